"""What is forgotten by itself, and when? Raw hooks and what deleted rows said, after a time that the settings say.

The platform's own tables are its own: its saved hooks (webhook_events) and the text of deleted tasks (crm_tasks) stay.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, cast, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.database import Database
from oxcart.kommo.store.entity_tables import ENTITY_TABLES, NAMES_STAY
from oxcart.kommo.store.own_tables import crm_hooks, crm_outbox, crm_quarantine
from oxcart.kommo.store.platform_tables import oauth_states
from oxcart.kommo.store.rows import strip_tombstones

_AT_ONCE = 2000
"""Rows a transaction: in SQLite it keeps every other writer waiting, also the one that answers hooks."""

_FINISHED = ("confirmed", "failed")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`hooks` are deleted, `rows` have lost what they said, `payloads` what was posted; `states` are of logins."""

    hooks: int
    rows: int
    payloads: int
    states: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def forget_old(database: Database, *, hook_days: int = 30, tombstone_days: int = 30, now: datetime) -> Forgotten:
    """Of all connections. That a row was deleted stays known, and that something was posted.

    Raises Unavailable, StoreRefused; what was forgotten until then is forgotten.
    """
    return Forgotten(
        await _forget_hooks(database, now - timedelta(days=hook_days)),
        await _forget_deleted(database, now - timedelta(days=tombstone_days)),
        await _forget_payloads(database, now - timedelta(days=tombstone_days)),
        await _forget_states(database, now),
    )


async def _forget_hooks(database: Database, before: datetime) -> int:
    key = (crm_hooks.c.connection_id, crm_hooks.c.body_hash)
    some = select(*key).where(crm_hooks.c.received_at < before).limit(_AT_ONCE)

    async def forget(connection: AsyncConnection) -> int:
        return int((await connection.execute(delete(crm_hooks).where(tuple_(*key).in_(some)))).rowcount)

    async def forget_aside(connection: AsyncConnection) -> None:
        await connection.execute(delete(crm_quarantine).where(crm_quarantine.c.seen_at < before))

    await database.write("Forgetting rows that could not be read", forget_aside)
    forgotten = 0
    while count := await database.write("Forgetting old hooks", forget):
        forgotten += count
    return forgotten


async def _forget_deleted(database: Database, before: datetime) -> int:
    forgotten = 0
    for table in ENTITY_TABLES.values():

        async def forget(connection: AsyncConnection, table: Any = table) -> int:
            keep = frozenset({"name"}) if table.name in NAMES_STAY else frozenset[str]()
            return await strip_tombstones(connection, table, before, keep=keep)

        forgotten += await database.write(f"Forgetting what was deleted from {table.name}", forget)
    return forgotten


async def _forget_payloads(database: Database, before: datetime) -> int:
    old = (crm_outbox.c.state.in_(_FINISHED), crm_outbox.c.finished_at < before)
    filled = cast(crm_outbox.c.payload, Text) != "{}"

    async def forget(connection: AsyncConnection) -> int:
        return int((await connection.execute(update(crm_outbox).where(*old, filled).values(payload={}))).rowcount)

    return await database.write("Forgetting what was posted", forget)


async def _forget_states(database: Database, before: datetime) -> int:
    """A state that was used is gone already; one that was not is of no more use."""

    async def forget(connection: AsyncConnection) -> int:
        return int((await connection.execute(delete(oauth_states).where(oauth_states.c.expires_at < before))).rowcount)

    return await database.write("Forgetting logins that were never finished", forget)
