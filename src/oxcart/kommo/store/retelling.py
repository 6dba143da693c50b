"""How do rows that an earlier version wrote get the columns of this one? They are told anew, from their own raw.

Nothing is asked of Kommo. A batch is a transaction; what is cut off goes on where it was.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.entities import ENTITIES, INSIDE, SHAPE
from oxcart.kommo.entity import Entity
from oxcart.kommo.store.columns import UUID
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.parts import replace_parts
from oxcart.kommo.store.typed import Row, row_of

_AT_ONCE = 500


async def retell(database: Database) -> int:
    """Of all accounts. Returns how many rows there were. Raises Unavailable, StoreRefused."""
    told = 0
    for entity in (*ENTITIES.values(), *INSIDE):
        while not entity.marks_deleted and (count := await _some(database, entity)):
            told += count
    return told


async def _some(database: Database, entity: Entity) -> int:
    table = ENTITY_TABLES[entity.table]
    is_old = or_(table.c.shape.is_(None), table.c.shape < SHAPE)
    query = select(table).where(table.c.raw.is_not(None), is_old)
    if entity.of:
        query = query.where(table.c.entity_type == entity.of)

    async def work(connection: AsyncConnection) -> int:
        rows = (await connection.execute(query.limit(_AT_ONCE).with_for_update())).mappings().all()
        living: dict[str, list[Row]] = {}
        changes: list[dict[str, Any]] = []
        for old in rows:
            within = str(old["external_id"]).rpartition(":")[0] if entity.is_composite else None
            row = row_of(entity, old["raw"], within)
            changes.append({"_whose": old["connection_id"], "_id": old["external_id"], **row.values})
            if old["deleted_at"] is None:
                living.setdefault(old["connection_id"], []).append(row)
        if changes:
            key = [table.c.connection_id == bindparam("_whose", type_=UUID), table.c.external_id == bindparam("_id")]
            key += [table.c.entity_type == entity.of] if entity.of else []
            await connection.execute(update(table).where(*key).values(shape=SHAPE), changes)
        for connection_id, found in living.items():
            await replace_parts(connection, connection_id, entity, found)
        return len(rows)

    return await database.write(f"Telling {entity.name} anew", work)
