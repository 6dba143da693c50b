"""What becomes of an element of a list that cannot be read as a row? Its text is kept, until the row comes in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import insert_into, storable
from oxcart.kommo.store.own_tables import crm_quarantine

_ID = re.compile(r'^\s*\{\s*"id"\s*:\s*"?([\w-]{1,64})\b')
_LONGEST_CHARACTERS = 100_000


def key_of(element: Any) -> str:
    """Its id where that can be made out, else a hash of its text."""
    text = _text(element)
    found = _ID.match(text)
    return found[1] if found else hashlib.sha256(text.encode()).hexdigest()


async def put_aside(
    connection: AsyncConnection, connection_id: str, entity: str, broken: Sequence[Any], *, at: datetime
) -> None:
    statement = insert_into(connection, crm_quarantine)
    changes = {name: statement.excluded[name] for name in ("raw", "seen_at")}
    key = {"connection_id": connection_id, "entity": entity, "seen_at": at}
    rows = [key | {"external_id": key_of(one), "raw": _text(one)[:_LONGEST_CHARACTERS]} for one in broken]
    if rows:
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["connection_id", "entity", "external_id"], set_=changes),
            rows,
        )


async def let_out(connection: AsyncConnection, connection_id: str, entity: str, ids: Collection[str]) -> None:
    """These rows came in order."""
    mine = (crm_quarantine.c.connection_id == connection_id, crm_quarantine.c.entity == entity)
    held = await aside_of(connection, connection_id, entity) & set(ids)
    if held:
        await connection.execute(delete(crm_quarantine).where(*mine, crm_quarantine.c.external_id.in_(held)))


async def aside_of(connection: AsyncConnection, connection_id: str, entity: str) -> set[str]:
    mine = (crm_quarantine.c.connection_id == connection_id, crm_quarantine.c.entity == entity)
    return set((await connection.execute(select(crm_quarantine.c.external_id).where(*mine))).scalars())


async def count_aside(connection: AsyncConnection, connection_id: str) -> dict[str, int]:
    """By entity."""
    query = select(crm_quarantine.c.entity, func.count()).where(crm_quarantine.c.connection_id == connection_id)
    return {row[0]: row[1] for row in await connection.execute(query.group_by(crm_quarantine.c.entity))}


def _text(element: Any) -> str:
    return str(storable(element if isinstance(element, str) else msgspec.json.encode(storable(element)).decode()))
