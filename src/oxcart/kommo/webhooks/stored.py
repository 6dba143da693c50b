"""How does a webhook lie in the database? As it came, and once; it stays for as long as hooks are kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import insert_into
from oxcart.kommo.store.own_tables import crm_hooks

_ERROR_CHARACTERS = 500
_KIND_CHARACTERS = 200
_ROWS_AT_ONCE = 20  # of bodies that may have a MiB each, whoever sent them

# A webhook that comes twice at once is one webhook. One that comes again later may be a repeat, or a lead that was
# deleted, restored and deleted: of a deletion Kommo sends the same bytes. Reading a row once too often does no harm.
_SAME_SECONDS = 10.0

_NOT_TEXT = re.compile("[\x00\udc80-\udcff]")
_AS_PERCENT = {0: "%00"} | {0xDC00 + byte: f"%{byte:02X}" for byte in range(0x80, 0x100)}


@dataclass(frozen=True, slots=True)
class Hook:
    """One body as it came. Bytes that are no UTF-8 are written with percent signs, which in a form is the same."""

    connection_id: str
    content_type: str | None
    body: str

    @property
    def body_hash(self) -> str:
        return hashlib.sha256(f"{self.connection_id}\0{self.body}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored body that is to be expanded. `received_at` tells it from the same body received again."""

    body_hash: str
    body: str
    content_type: str | None
    received_at: datetime


def hook_of(connection_id: str, content_type: str | None, body: bytes) -> Hook:
    text = body.decode("utf-8", "surrogateescape").translate(_AS_PERCENT)
    kind = _NOT_TEXT.sub("", content_type[:_KIND_CHARACTERS]) if content_type is not None else None
    return Hook(connection_id, kind, text)


async def store_hooks(connection: AsyncConnection, hooks: Sequence[Hook], *, at: datetime) -> None:
    by_hash = {hook.body_hash: hook for hook in hooks}
    rows = [
        {
            "connection_id": hook.connection_id,
            "body_hash": body_hash,
            "received_at": at,
            "content_type": hook.content_type,
            "body": hook.body,
        }
        for body_hash, hook in sorted(by_hash.items())
    ]
    statement = insert_into(connection, crm_hooks)
    new, old = statement.excluded, crm_hooks.c
    statement = statement.on_conflict_do_update(
        index_elements=["connection_id", "body_hash"],
        set_={"received_at": new.received_at, "expanded_at": None, "error": None},
        where=old.expanded_at.is_not(None) & (old.received_at < bindparam("same_since")),
    )
    if rows:
        since = at - timedelta(seconds=_SAME_SECONDS)
        await connection.execute(statement, [row | {"same_since": since} for row in rows])


async def waiting_hooks(
    connection: AsyncConnection, connection_id: str, *, limit: int, characters: int
) -> list[Waiting]:
    """The oldest first, at most `limit`; none follows once they have so many characters together."""
    hooks = crm_hooks.c
    query = select(hooks.body_hash, hooks.body, hooks.content_type, hooks.received_at)
    query = query.where(hooks.connection_id == connection_id, hooks.expanded_at.is_(None))
    query = query.order_by(hooks.received_at, hooks.body_hash)
    found: list[Waiting] = []
    while len(found) < limit:
        rows = await connection.execute(query.limit(min(_ROWS_AT_ONCE, limit - len(found))).offset(len(found)))
        page = [Waiting(*row) for row in rows]
        for hook in page:
            found.append(hook)
            characters -= len(hook.body)
            if characters <= 0:
                return found
        if len(page) < _ROWS_AT_ONCE:
            break
    return found


async def has_waiting(connection: AsyncConnection, connection_id: str) -> bool:
    query = select(crm_hooks.c.body_hash).where(
        crm_hooks.c.connection_id == connection_id, crm_hooks.c.expanded_at.is_(None)
    )
    return (await connection.execute(query.limit(1))).first() is not None


async def note_expanded(
    connection: AsyncConnection, connection_id: str, errors: Sequence[tuple[Waiting, str | None]], *, at: datetime
) -> None:
    """Each with what is wrong with it, if anything is."""
    hooks = crm_hooks.c
    statement = (
        update(crm_hooks)
        .where(hooks.connection_id == connection_id, hooks.body_hash == bindparam("one"))
        .values(expanded_at=at, error=bindparam("why"))
    )
    rows = [{"one": hook.body_hash, "why": why and why[:_ERROR_CHARACTERS]} for hook, why in errors]
    if rows:
        await connection.execute(statement, rows)
