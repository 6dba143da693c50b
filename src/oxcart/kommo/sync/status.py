"""How does each stream stand? What is here, how current it is, what went wrong and what it has cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.entity import Entity
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.own_tables import crm_cursors
from oxcart.kommo.store.quarantine import count_aside
from oxcart.kommo.store.rows import count_rows
from oxcart.kommo.sync.progress import camel


@dataclass(frozen=True, slots=True)
class EntityStatus:
    """`rows` are alive, `deleted` are not, `aside` could not be read. `last_error` is null after a run that succeeded,
    and a sweep, too, and if none is aside.
    """

    entity: str
    rows: int
    deleted: int
    cursor_at: datetime | None = None
    full_walk_at: datetime | None = None
    swept_at: datetime | None = None
    last_run_at: datetime | None = None
    last_error: str | None = None
    rows_written: int = 0
    requests: int = 0
    aside: int = 0

    def as_json(self) -> dict[str, Any]:
        values = asdict(self)
        times = {name: value.isoformat() for name, value in values.items() if isinstance(value, datetime)}
        return {camel(name): times.get(name, value) for name, value in values.items()}


async def read_status(connection: AsyncConnection, connection_id: str) -> list[EntityStatus]:
    """Every stream, in the order of a first sync, whether it was ever read or not."""
    query = select(crm_cursors).where(crm_cursors.c.connection_id == connection_id)
    cursors = {row["entity"]: row for row in (await connection.execute(query)).mappings()}
    aside = await count_aside(connection, connection_id)
    found = []
    for entity in ENTITIES.values():
        rows, deleted = await count_rows(connection, *table_of(entity, connection_id))
        alive = 0 if entity.marks_deleted else rows
        unread = aside.get(entity.name, 0)
        found.append(_status(entity, alive, deleted, cursors.get(entity.name, {}), unread))
    return found


def _status(entity: Entity, rows: int, deleted: int, cursor: Mapping[Any, Any], aside: int) -> EntityStatus:
    times = {name: cursor.get(name) for name in ("cursor_at", "full_walk_at", "swept_at", "last_run_at")}
    unread = aside and f"Of {entity.name} {aside} rows could not be read; their text is in crm_quarantine."
    errors = [str(text) for text in (cursor.get("last_error"), cursor.get("sweep_error"), unread) if text]
    return EntityStatus(
        entity.name,
        rows,
        deleted,
        **times,
        last_error=" ".join(dict.fromkeys(errors)) or None,
        rows_written=cursor.get("rows_written", 0),
        requests=cursor.get("requests", 0),
        aside=aside,
    )
