"""Which accounts are connected, and with which tokens? The platform's rows, read and replaced without trampling it.

Node may refresh the same tokens beside us: whatever is replaced is compared first with what was read.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import insert_into, new_id
from oxcart.kommo.store.own_tables import crm_connection_states as states
from oxcart.kommo.store.platform_tables import METADATA, PLATFORM, crm_connections, crm_credentials
from oxcart.secret import Secret

KOMMO = "kommo"
_NAMESPACE = uuid.UUID("5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c11")


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """One account. Secrets are as they lie in the database, perhaps encrypted.

    `reauth_reason` is set once Kommo has refused the tokens that `refused_fingerprint` belongs to.
    """

    id: str
    org_id: str
    domain: str
    account_id: str | None
    access_token: Secret
    refresh_token: Secret | None
    expires_at: datetime | None
    client_id: str | None
    client_secret: Secret | None
    redirect_uri: str | None
    version: int
    api_domain: str | None
    reauth_reason: str | None
    refused_fingerprint: str | None
    refreshed_at: datetime | None

    @property
    def is_connected(self) -> bool:
        """False for one that was disconnected, of which only what was read is still here."""
        return bool(self.access_token)


@dataclass(frozen=True, slots=True)
class SealedTokens:
    """What replaces a connection's tokens, as it is to lie in the database."""

    access_token: str
    refresh_token: str | None
    expires_at: datetime | None
    domain: str
    api_domain: str | None
    account_id: str | None = None


def org_of_domain(domain: str) -> str:
    """The organisation of a connection where the database knows none: each account is its own."""
    return str(uuid.uuid5(_NAMESPACE, domain))


def _query() -> Select[Any]:
    credentials = and_(
        crm_credentials.c.org_id == crm_connections.c.org_id, crm_credentials.c.provider == crm_connections.c.provider
    )
    columns = (
        *(crm_connections.c[name] for name in ("id", "org_id", "base_domain", "account_id")),
        *(crm_connections.c[name] for name in ("access_token", "refresh_token", "expires_at")),
        *(crm_credentials.c[name] for name in ("client_id", "client_secret", "redirect_uri")),
        func.coalesce(states.c.token_version, 0).label("version"),
        *(states.c[name] for name in ("api_domain", "reauth_reason", "refused_fingerprint", "refreshed_at")),
    )
    joined = crm_connections.outerjoin(crm_credentials, credentials).outerjoin(
        states, states.c.connection_id == crm_connections.c.id
    )
    return select(*columns).select_from(joined).where(crm_connections.c.provider == KOMMO)


async def load_connection(connection: AsyncConnection, connection_id: str) -> StoredConnection | None:
    if not is_uuid(connection_id):
        return None
    found = (await connection.execute(_query().where(crm_connections.c.id == connection_id))).first()
    return None if found is None else _stored(found)


async def list_connections(connection: AsyncConnection) -> list[StoredConnection]:
    found = await connection.execute(_query().order_by(crm_connections.c.base_domain, crm_connections.c.id))
    return [_stored(row) for row in found]


def _stored(row: Row[Any]) -> StoredConnection:
    return StoredConnection(
        id=row.id,
        org_id=row.org_id,
        domain=row.base_domain,
        account_id=row.account_id,
        access_token=Secret(row.access_token),
        refresh_token=Secret(row.refresh_token) if row.refresh_token else None,
        expires_at=row.expires_at,
        client_id=row.client_id,
        client_secret=Secret(row.client_secret) if row.client_secret else None,
        redirect_uri=row.redirect_uri,
        version=row.version,
        api_domain=row.api_domain,
        reauth_reason=row.reauth_reason,
        refused_fingerprint=row.refused_fingerprint,
        refreshed_at=row.refreshed_at,
    )


async def replace_tokens(
    connection: AsyncConnection, read: StoredConnection, tokens: SealedTokens, *, at: datetime
) -> bool:
    """Write them if nobody has written others since `read` was read. False: nothing was written, roll back."""
    await make_state(connection, read.id)
    state = update(states).where(states.c.connection_id == read.id, states.c.token_version == read.version)
    known: dict[str, Any] = {"token_version": read.version + 1, "refreshed_at": at, "reauth_reason": None}
    known |= {"reauth_at": None, "refused_fingerprint": None, "api_domain": tokens.api_domain or read.api_domain}
    if (await connection.execute(state.values(known))).rowcount != 1:
        return False
    values: dict[str, Any] = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "expires_at": tokens.expires_at,
        "base_domain": tokens.domain,
        "account_id": tokens.account_id or read.account_id,
    }
    return (await connection.execute(update(crm_connections).where(*_as_read(read)).values(values))).rowcount == 1


async def reseal(connection: AsyncConnection, read: StoredConnection, access: str, refresh: str | None) -> bool:
    """The same tokens in another shape. False if they were replaced since."""
    values = {"access_token": access, "refresh_token": refresh}
    return (await connection.execute(update(crm_connections).where(*_as_read(read)).values(values))).rowcount == 1


def _as_read(read: StoredConnection) -> tuple[Any, ...]:
    refresh = read.refresh_token.reveal() if read.refresh_token else None
    return (
        crm_connections.c.id == read.id,
        crm_connections.c.access_token == read.access_token.reveal(),
        func.coalesce(crm_connections.c.refresh_token, "") == (refresh or ""),
    )


async def mark_refused(
    connection: AsyncConnection, connection_id: str, *, reason: str, fingerprint: str, at: datetime
) -> bool:
    """These tokens are of no more use. False if that was known."""
    await make_state(connection, connection_id)
    unknown = states.c.refused_fingerprint.is_distinct_from(fingerprint) | states.c.reauth_reason.is_(None)
    statement = update(states).where(states.c.connection_id == connection_id, unknown)
    values = {"reauth_reason": reason, "refused_fingerprint": fingerprint, "reauth_at": at}
    return (await connection.execute(statement.values(values))).rowcount == 1


async def connection_of_domain(connection: AsyncConnection, domain: str, org_id: str | None = None) -> str | None:
    """The connection's id, of this organisation or of any."""
    return await _oldest(connection, crm_connections.c.base_domain == domain, org_id)


async def connection_of_account(connection: AsyncConnection, account_id: str, org_id: str | None) -> str | None:
    """By Kommo's own id of the account, which a new name does not change."""
    return await _oldest(connection, crm_connections.c.account_id == account_id, org_id)


async def _oldest(connection: AsyncConnection, which: ColumnElement[bool], org_id: str | None) -> str | None:
    query = select(crm_connections.c.id).where(crm_connections.c.provider == KOMMO, which)
    if org_id is not None:
        query = query.where(crm_connections.c.org_id == org_id)
    return (await connection.execute(query.order_by(crm_connections.c.created_at))).scalars().first()


async def add_connection(connection: AsyncConnection, org_id: str, tokens: SealedTokens) -> str:
    """A row for an account that has none; the id. Raises StoreRefused if the organisation does not exist."""
    connection_id = new_id()
    row: dict[str, Any] = {
        "id": connection_id,
        "org_id": org_id,
        "provider": KOMMO,
        "base_domain": tokens.domain,
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "expires_at": tokens.expires_at,
        "account_id": tokens.account_id,
        "metadata": {},
    }
    await connection.execute(insert_into(connection, crm_connections).values(row))
    await make_state(connection, connection_id)
    known = update(states).where(states.c.connection_id == connection_id)
    await connection.execute(known.values(api_domain=tokens.api_domain))
    return connection_id


async def save_credentials(connection: AsyncConnection, org_id: str, values: Mapping[str, str | None]) -> None:
    """`values`: client_id, client_secret (as it is to lie there), redirect_uri. One row per organisation."""
    statement = insert_into(connection, crm_credentials).values(org_id=org_id, provider=KOMMO, id=new_id(), **values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["org_id", "provider"], set_=dict(values)))


async def share_credentials(connection: AsyncConnection, source: str, target: str) -> None:
    """The integration of one organisation for another one's connection, which is refreshed with it."""
    names = ("client_id", "client_secret", "redirect_uri")
    query = select(*(crm_credentials.c[name] for name in names)).where(crm_credentials.c.org_id == source)
    found = (await connection.execute(query)).first() if source != target else None
    if found is not None:
        await save_credentials(connection, target, dict(zip(names, found, strict=True)))


async def organisation_is_wanted(connection: AsyncConnection) -> bool:
    """Whether a connection must belong to an organisation of the platform, which then has to be named."""
    from sqlalchemy import inspect

    def has_key(sync: Any) -> bool:
        schema = (sync.get_execution_options().get("schema_translate_map") or {}).get(None)
        keys = inspect(sync).get_foreign_keys("crm_connections", schema=schema)
        return any("org_id" in key["constrained_columns"] for key in keys)

    return await connection.run_sync(has_key)


async def purge_connection(connection: AsyncConnection, connection_id: str) -> None:
    """Forget an account as a whole: tokens, mirror, hooks, everything that belongs to this connection."""
    from oxcart.kommo.store import entity_tables  # noqa: F401 - declares every table in METADATA

    for table in reversed(METADATA.sorted_tables):
        if "connection_id" in table.c and not (table.info.get(PLATFORM) and table.name == "crm_connections"):
            await connection.execute(delete(table).where(table.c.connection_id == connection_id))
    await connection.execute(delete(crm_connections).where(crm_connections.c.id == connection_id))


async def make_state(connection: AsyncConnection, connection_id: str) -> None:
    """The row of ours beside the platform's, if there is none."""
    statement = insert_into(connection, states).values(connection_id=connection_id, token_version=0)
    await connection.execute(statement.on_conflict_do_nothing())


def is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
