"""How is the store opened? SQLite's tables appear by themselves; PostgreSQL's must be there, and be visible."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.connection.embedded import prepare_folder
from oxcart.errors import SettingsError
from oxcart.kommo.entities import SHAPE
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import DatabaseTarget
from oxcart.kommo.store.platform_export import tables_there
from oxcart.kommo.store.platform_tables import METADATA
from oxcart.kommo.store.views import VIEW_NAMES
from oxcart.language import tr


class UnfitTables(SettingsError):  # noqa: N818 - says what is wrong
    """Tables are missing, or hide their rows; `code` has a section in docs/doctor.md."""

    def __init__(self, code: str, happened: str, cure: str) -> None:
        self.code = code
        self.happened = happened
        self.cure = cure
        super().__init__([f"{happened} {cure}"])


@asynccontextmanager
async def open_database(target: DatabaseTarget) -> AsyncIterator[Database]:
    """Ready for work. Raises SettingsError for missing tables (with the command that makes them), Unavailable."""
    async with reach_database(target) as database:
        if database.is_postgresql:
            async with database.reading("Looking for the tables") as connection:
                await check_tables(connection, target.schema)
        else:
            await _complete(database)
        async with database.reading("Looking for the platform's tables") as connection:
            database.exports = await tables_there(connection, target.schema if database.is_postgresql else None)
        yield database


async def _complete(database: Database) -> None:
    """SQLite's tables appear by themselves. Comparing them takes Alembic and half a second, so a file of our own
    remembers for which tables that was done last, in `user_version`; another's may use that for itself.
    """
    wanted = fingerprint()
    async with database.reading("Looking for the tables") as connection:
        known = (await connection.execute(text("PRAGMA user_version"))).scalar_one()
    if known == wanted:
        return
    from oxcart.kommo.store.migrate import migrate

    await migrate(database)
    if database.target.is_ours:
        async with database.writing("Remembering the tables") as connection:
            await connection.execute(text(f"PRAGMA user_version = {wanted}"))


def fingerprint() -> int:
    """The same for the same tables, columns and indexes; never 0, which an empty file has."""
    from oxcart.kommo.store import entity_tables  # noqa: F401 - declares every table in METADATA
    from oxcart.kommo.store.views import views_for

    parts: list[Any] = [views_for("sqlite", "", frozenset()), SHAPE]
    parts += [
        (
            table.name,
            [(column.name, repr(column.type)) for column in table.columns],
            sorted(str(index.name) for index in table.indexes),
        )
        for table in METADATA.sorted_tables
    ]
    return zlib.crc32(repr(parts).encode()) % (2**31 - 1) + 1


@asynccontextmanager
async def reach_database(target: DatabaseTarget) -> AsyncIterator[Database]:
    """As it is, whatever tables it has: for `migrate`."""
    if target.path is not None and target.is_ours:
        prepare_folder(target.path.parent)
    database = Database(target)
    try:
        yield database
    finally:
        await database.close()


async def check_tables(connection: AsyncConnection, schema: str | None) -> None:
    """Of PostgreSQL. Raises UnfitTables."""
    from oxcart.kommo.store import entity_tables  # noqa: F401 - declares every table in METADATA

    preparer = connection.dialect.identifier_preparer
    prefix = f"{preparer.quote(schema)}." if schema else ""
    names = [f"{prefix}{name}" for name in (*METADATA.tables, *VIEW_NAMES)]
    query = text(
        "SELECT name, to_regclass(name) IS NOT NULL AS found, "
        "CASE WHEN to_regclass(name) IS NULL THEN false ELSE row_security_active(to_regclass(name)::oid) END AS hidden "
        "FROM unnest(CAST(:names AS text[])) AS name"
    )
    rows = (await connection.execute(query, {"names": names})).all()
    lacking = [row.name for row in rows if not row.found]
    if lacking:
        cure = tr(
            "Run `oxcart kommo migrate` once; it only adds, and `oxcart kommo migrate --sql` prints what it would do."
        )
        raise UnfitTables("DB_TABLES", tr("The database lacks {tables}.", tables=_some(lacking)), cure)
    hidden = [row.name for row in rows if row.hidden]
    if hidden:
        happened = tr(
            "Row level security hides {tables} from the user of DATABASE_URL: it would see no rows.",
            tables=_some(hidden),
        )
        cure = tr("Use the tables' owner (postgres, on Supabase), or give the user BYPASSRLS.")
        raise UnfitTables("DB_RLS", happened, cure)


def _some(names: Iterable[str]) -> str:
    every = sorted(names)
    more = tr(" and {count} more tables", count=len(every) - 3) if len(every) > 3 else ""
    return ", ".join(every[:3]) + more
