"""Can the CRM's database be used, and its secrets read? The doctor's checks before anything is asked of Kommo."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from oxcart import clock
from oxcart.checks import BAD_SETTINGS, Check, Finding, NotApplicable, State, failed, failed_by, ok, warning
from oxcart.errors import OxcartError, ServerRefused, SettingsError, Unavailable
from oxcart.kommo.visit import CrmVisit, of_each
from oxcart.language import tr

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from oxcart.kommo.store.connections import StoredConnection
    from oxcart.kommo.store.database import Database
    from oxcart.kommo.store.database_url import DatabaseTarget

GROUP = "kommo"

_SUPABASE_DIRECT = re.compile(r"db\.([a-z0-9]+)\.supabase\.(?:co|com)")
_UNREACHED = frozenset({"DB_NAME_UNKNOWN", "DB_DNS", "DB_UNREACHABLE", "DB_SILENT", "DB_NETWORK"})
_SHOWN = 3


async def database(visit: CrmVisit) -> Finding:
    """Reads the connected accounts, too; without one all of these checks have nothing to say."""
    target = _target(visit)
    from oxcart.kommo.store.opening import reach_database

    try:
        reached = await visit.stack.enter_async_context(reach_database(target))
        visit.stored = await _read_accounts(reached)
        if not visit.stored:
            raise NotApplicable(tr("no Kommo account is connected"))
        await _try_to_write(reached)
    except (SettingsError, Unavailable, ServerRefused) as error:
        return _failed(error, target)
    visit.database = reached
    names = ", ".join(stored.domain for stored in visit.stored[:_SHOWN])
    more = f" {tr('and {count} more', count=len(visit.stored) - _SHOWN)}" if len(visit.stored) > _SHOWN else ""
    seen = f"{target.shown}; {names}{more}"
    if _SUPABASE_DIRECT.fullmatch(target.host or ""):
        summary = tr("The database's host has only an IPv6 address, and many hosting platforms have no IPv6.")
        return warning("DB_IPV6", summary, _pooler(target), evidence=seen)
    return ok(seen)


def _target(visit: CrmVisit) -> DatabaseTarget:
    """Raises NotApplicable where Kommo is not used, SettingsError."""
    settings = visit.settings
    is_ours = settings.data_dir.absolute() / "kommo.db"
    if settings.database_url is None and settings.kommo_base_url is None and not is_ours.exists():
        raise NotApplicable(tr("Kommo is not used: no DATABASE_URL, and no account in the data folder"))
    from oxcart.kommo.store.database_url import database_of

    target = database_of(settings)
    if target.path is not None and not target.path.exists():
        raise NotApplicable(tr("no Kommo account is connected: `oxcart kommo connect` makes the database"))
    return target


async def _read_accounts(reached: Database) -> list[StoredConnection]:
    """None where the platform's table is missing, or has no account of Kommo: then nothing else is expected there."""
    from sqlalchemy import inspect, select

    from oxcart.kommo.store.connections import KOMMO, list_connections
    from oxcart.kommo.store.opening import check_tables
    from oxcart.kommo.store.platform_tables import crm_connections

    schema = reached.target.schema
    async with reached.reading("Looking for connected accounts") as connection:
        is_there = await connection.run_sync(lambda sync: inspect(sync).has_table(crm_connections.name, schema=schema))
        if not is_there:
            return []
        ours = select(crm_connections.c.id).where(crm_connections.c.provider == KOMMO).limit(1)
        if (await connection.execute(ours)).first() is None and not await _is_hidden(connection, schema):
            return []
        if reached.is_postgresql:
            await check_tables(connection, schema)
        return await list_connections(connection)


async def _is_hidden(connection: AsyncConnection, schema: str | None) -> bool:
    """Whether row level security applies to us, so that seeing no account says nothing."""
    from sqlalchemy import text

    if connection.dialect.name != "postgresql":
        return False
    prefix = f"{connection.dialect.identifier_preparer.quote(schema)}." if schema else ""
    query = text("SELECT row_security_active(CAST(CAST(:name AS regclass) AS oid))")
    return bool((await connection.execute(query, {"name": f"{prefix}crm_connections"})).scalar_one())


class _Undone(Exception):  # noqa: N818 - it only ends the transaction
    """Takes back what was written."""


async def _try_to_write(reached: Database) -> None:
    from oxcart.kommo.store.leases import acquire_lease

    try:
        async with reached.writing("Trying to write") as connection:
            await acquire_lease(connection, f"doctor:{clock.new_uuid()}", "doctor", 1.0)
            raise _Undone
    except _Undone:
        return


def _failed(error: OxcartError, target: DatabaseTarget) -> Finding:
    from oxcart.kommo.store.failures import failure_of, words_of
    from oxcart.kommo.store.opening import UnfitTables

    if isinstance(error, UnfitTables):
        return failed(error.code, error.happened, error.cure, evidence=target.shown)
    cause = error.__cause__
    known = error.failure if isinstance(error, Unavailable | ServerRefused) else failure_of(cause) if cause else None
    if known is None:
        raise error
    words = words_of(known, cause).replace('"', "'")
    said = tr(' It said: "{words}".', words=words) if words else ""
    found = failed_by(known, evidence=f"{target.shown}: {known.summary}{said}")
    if found.code in _UNREACHED and _SUPABASE_DIRECT.fullmatch(target.host or ""):
        summary = tr("The database's host has only an IPv6 address, and from here it cannot be reached.")
        return Finding(State.FAILED, found.evidence, _pooler(target), "DB_IPV6", summary)
    return found


def _pooler(target: DatabaseTarget) -> str:
    found = _SUPABASE_DIRECT.fullmatch(target.host or "")
    return tr(
        "Use the session pooler: in the Supabase project open Connect, copy {url} into DATABASE_URL, and put the "
        "database password in.",
        url=f"postgresql://postgres.{found[1] if found else 'REF'}:PASSWORD@…pooler.supabase.com:5432/postgres",
    )


async def key(visit: CrmVisit) -> Finding:
    async def look(stored: StoredConnection) -> Finding:
        from oxcart.kommo.crypto import NoKeyFits

        try:
            held = visit.held(stored)
        except NoKeyFits as error:
            return failed("KOMMO_KEY", error.happened, error.cure, evidence=tr("no key opens its secrets"))
        parts = [part for part in (held.access, held.refresh, held.client_secret) if part is not None]
        return ok(", ".join(dict.fromkeys(tr(part.shape.value) for part in parts)))

    return await of_each(visit.accounts(), look)


CHECKS: tuple[Check[CrmVisit], ...] = (
    Check(
        "crm-database",
        GROUP,
        "the CRM's database can be used",
        database,
        "Accounts, tokens and everything that is synchronised are kept there.",
        needs=("settings",),
        deadline_seconds=20,
        exit_code=BAD_SETTINGS,
    ),
    Check(
        "crm-key",
        GROUP,
        "the accounts' secrets can be read",
        key,
        "Without its key no token can be used.",
        needs=("crm-database",),
        exit_code=BAD_SETTINGS,
    ),
)
