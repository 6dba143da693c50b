"""Which events say that a row went, or came back? They become marks; a read by id then tells what is true."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.entities import ENTITIES, Entity
from oxcart.kommo.pages import Row
from oxcart.kommo.sync.apply import table_of
from oxcart.kommo.sync.marks import Mark, mark_dirty

_DELETED, _RESTORED = "delete", "restore"
_IDS_AT_ONCE = 500

_TYPES: dict[str, tuple[Entity, str]] = {
    kind: (entity, action)
    for entity in ENTITIES.values()
    if entity.events is not None
    for kind, action in ((entity.events.deleted, _DELETED), (entity.events.restored, _RESTORED))
    if kind is not None
}


async def mark_vanished(connection: AsyncConnection, connection_id: str, events: Sequence[Row]) -> int:
    """Marks what the mirror does not know yet: a row that is alive here and was deleted, or the other way round.

    An account's history of deletions, read for the first time, so costs nothing. Returns how many rows were marked.
    """
    told: dict[str, dict[str, list[Mark]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        entity, action = _TYPES.get(str(event.get("type")), (None, ""))
        if entity is not None and event.get("entity_id"):
            told[entity.name][str(event["entity_id"])].append(_mark(entity, action, event))
    news: list[Mark] = []
    for name, by_id in told.items():
        alive = await _alive(connection, connection_id, ENTITIES[name], list(by_id))
        for external_id, marks in by_id.items():
            known = _RESTORED if external_id in alive else _DELETED
            news += marks if any(mark.action != known for mark in marks) else []
    return await mark_dirty(connection, connection_id, news, at=datetime.now(UTC))


def _mark(entity: Entity, action: str, event: Row) -> Mark:
    created = event.get("created_at")
    hinted_at = datetime.fromtimestamp(created, UTC) if isinstance(created, int) and 0 < created < 2**33 else None
    return Mark(entity.name, str(event["entity_id"]), action, hinted_at, source="event")


async def _alive(connection: AsyncConnection, connection_id: str, entity: Entity, ids: list[str]) -> set[str]:
    table, scope = table_of(entity, connection_id)
    found: set[str] = set()
    for start in range(0, len(ids), _IDS_AT_ONCE):
        within = [table.c[name] == value for name, value in scope.keys.items()]
        query = select(table.c.external_id).where(
            *within, table.c.external_id.in_(ids[start : start + _IDS_AT_ONCE]), table.c.deleted_at.is_(None)
        )
        found |= set((await connection.execute(query)).scalars())
    return found
