"""Which rows do events tell of? Of those that went or came back, and of changes that move no row's own time.

They become marks; a read by id then tells what is true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row as Found
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.entity import Entity
from oxcart.kommo.pages import Row, seconds_of
from oxcart.kommo.store.columns import storable
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.rows import rows_by_id
from oxcart.kommo.sync.apply import LATE_SECONDS
from oxcart.kommo.sync.marks import Mark, mark_dirty

_DELETED, _RESTORED, _UPDATED = "delete", "restore", "update"

_TYPES: dict[str, tuple[Entity, str]] = {
    kind: (entity, action)
    for entity in ENTITIES.values()
    if entity.events is not None
    for kind, action in ((entity.events.deleted, _DELETED), (entity.events.restored, _RESTORED))
    if kind is not None
}
_KINDS = {entity.events.kind: entity for entity in ENTITIES.values() if entity.events is not None}
_NOTE_DELETED = "common_note_deleted"
_SILENT = frozenset({"entity_linked", "entity_unlinked", "entity_tag_added", "entity_tag_deleted", "entity_merged"})
"""Changes of a row, and of those that the event names beside it, that move no updated_at."""


async def mark_told(connection: AsyncConnection, connection_id: str, events: Sequence[Row]) -> int:
    """Marks what the mirror does not know yet: a row that is alive here and was deleted, or the other way round, or
    that was read before the event.

    An account's history, read for the first time, so costs nothing. Returns how many rows were marked.
    """
    told: dict[str, dict[str, list[Mark]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        for mark in _marks_of(event):
            told[mark.entity][mark.external_id].append(mark)
    news: list[Mark] = []
    for name, by_id in told.items():
        here = await _here(connection, connection_id, ENTITIES[name], list(by_id))
        for external_id, marks in by_id.items():
            row = here.get(external_id)
            known = _DELETED if row is None or row.deleted_at is not None else _RESTORED
            if any(mark.action not in {known, _UPDATED} for mark in marks):
                news += [mark for mark in marks if mark.action != _UPDATED]
            elif row is not None and known == _RESTORED:
                news += [mark for mark in marks if mark.action == _UPDATED and not _was_read_since(row, mark)]
    return await mark_dirty(connection, connection_id, news, at=clock.now_utc())


def _marks_of(event: Row) -> Iterator[Mark]:
    kind, created = str(event.get("type")), seconds_of(event.get("created_at"))
    at = datetime.fromtimestamp(created, UTC) if created and created < 2**33 else None
    entity, action = _TYPES.get(kind, (None, ""))
    if entity is not None and event.get("entity_id"):
        yield Mark(entity.name, str(event["entity_id"]), action, at, source="event")
    if kind == _NOTE_DELETED and event.get("entity_type") in _KINDS:
        for note_id in _notes_in(event.get("value_before")) | _notes_in(event.get("value_after")):
            yield Mark(f"{_KINDS[str(event['entity_type'])].name}_notes", note_id, _DELETED, at, source="event")
    if kind in _SILENT:
        subject = {"type": event.get("entity_type"), "id": event.get("entity_id")}
        for named in (subject, *named_in(event.get("value_before")), *named_in(event.get("value_after"))):
            if named["type"] in _KINDS:
                yield Mark(_KINDS[named["type"]].name, storable(str(named["id"])), _UPDATED, at, source="event")


def _notes_in(value: Any) -> set[str]:
    """Ids of [{"note": {"id": …}}]."""
    notes = [item.get("note") for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return {storable(str(note["id"])) for note in notes if isinstance(note, dict) and note.get("id")}


def named_in(value: Any) -> Iterator[Row]:
    """Each {type, id} in it, however deep: only of some events it is documented where that stands."""
    if isinstance(value, dict) and isinstance(value.get("type"), str) and value.get("id"):
        yield value
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in within:
        yield from named_in(item)


def _was_read_since(row: Found[Any], mark: Mark) -> bool:
    """By its id, or by a list that is not late any more."""
    if mark.hinted_at is None:
        return False
    lists_show_it_at = mark.hinted_at + timedelta(seconds=LATE_SECONDS)
    return bool(
        (row.asked_at and row.asked_at > mark.hinted_at) or (row.fetched_at and row.fetched_at > lists_show_it_at)
    )


async def _here(
    connection: AsyncConnection, connection_id: str, entity: Entity, ids: list[str]
) -> dict[str, Found[Any]]:
    table, scope = table_of(entity, connection_id)
    columns = (table.c.deleted_at, table.c.asked_at, table.c.fetched_at)
    return {row.external_id: row for row in await rows_by_id(connection, table, scope, ids, *columns)}
