"""Which rows are known to have changed, and wait to be read? Marks from hooks and events, one for each row."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.store.columns import insert_into, new_id
from oxcart.kommo.store.database import now
from oxcart.kommo.store.own_tables import crm_dirty

AGAIN_SECONDS = 30.0
"""After this a row that did not come is asked for once more."""

_MARKS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Mark:
    """`entity` is a name of entities.ENTITIES; `action` what is said to have happened: update, delete, restore…

    `source` is who said so, hook, event or list: a tombstone that follows from the mark carries it.
    """

    entity: str
    external_id: str
    action: str = "update"
    hinted_at: datetime | None = None
    source: str = "hook"


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark as it is stored. `token` changes with each marking: one that was made meanwhile is not cleared.

    `is_second`: the row was asked for before, and did not come.
    """

    external_id: str
    action: str
    hinted_at: datetime | None
    marked_at: datetime
    token: str
    source: str = "hook"
    is_second: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """The marks of one entity that are due: how many, and when the first and the last was made."""

    count: int
    oldest_at: datetime
    newest_at: datetime


async def mark_dirty(connection: AsyncConnection, connection_id: str, marks: Iterable[Mark], *, at: datetime) -> int:
    """Returns how many rows these are. A row that is marked already keeps its first time, and takes a newer hint."""
    newest: dict[tuple[str, str], Mark] = {}
    for mark in marks:
        key = (mark.entity, mark.external_id)
        other = newest.get(key)
        if other is None or _is_newer(mark.hinted_at, other.hinted_at):
            newest[key] = mark
    ordered = [newest[key] for key in sorted(newest)]
    for start in range(0, len(ordered), _MARKS_AT_ONCE):
        await _mark(connection, connection_id, ordered[start : start + _MARKS_AT_ONCE], at)
    return len(ordered)


async def _mark(connection: AsyncConnection, connection_id: str, marks: Collection[Mark], at: datetime) -> None:
    rows = [
        {
            "connection_id": connection_id,
            "entity": mark.entity,
            "external_id": mark.external_id,
            "action": mark.action,
            "hinted_at": mark.hinted_at,
            "marked_at": at,
            "mark": new_id(),
            "source": mark.source,
        }
        for mark in marks
    ]
    statement = insert_into(connection, crm_dirty).values(rows)
    new, old = statement.excluded, crm_dirty.c
    is_newer = func.coalesce(new.hinted_at >= old.hinted_at, True)
    changes = {"mark": new.mark, "due_at": None, "action": case((is_newer, new.action), else_=old.action)}
    changes["source"] = case((is_newer, new.source), else_=old.source)
    changes["hinted_at"] = case((is_newer, func.coalesce(new.hinted_at, old.hinted_at)), else_=old.hinted_at)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["connection_id", "entity", "external_id"], set_=changes)
    )


async def backlog(connection: AsyncConnection, connection_id: str) -> dict[str, Backlog]:
    """By entity; entities without a mark are not in it."""
    dirty = crm_dirty.c
    query = (
        select(dirty.entity, func.count(), func.min(dirty.marked_at), func.max(dirty.marked_at))
        .where(dirty.connection_id == connection_id, await _are_due(connection))
        .group_by(dirty.entity)
    )
    return {entity: Backlog(count, first, last) for entity, count, first, last in await connection.execute(query)}


async def oldest_marks(
    connection: AsyncConnection, connection_id: str, entity: str, *, limit: int, after: Marked | None = None
) -> list[Marked]:
    """The first there are, or those that follow on `after`."""
    dirty = crm_dirty.c
    query = _marks(connection_id, entity).where(await _are_due(connection))
    query = query.order_by(dirty.marked_at, dirty.external_id).limit(limit)
    if after is not None:
        same_time = and_(dirty.marked_at == after.marked_at, dirty.external_id > after.external_id)
        query = query.where(or_(dirty.marked_at > after.marked_at, same_time))
    return [Marked(*row) for row in await connection.execute(query)]


async def marks_on(connection: AsyncConnection, connection_id: str, entity: str, ids: Collection[str]) -> list[Marked]:
    """The marks of these rows, also those that are not due yet."""
    query = _marks(connection_id, entity).where(crm_dirty.c.external_id.in_(ids))
    return [Marked(*row) for row in await connection.execute(query)]


def _marks(connection_id: str, entity: str) -> Select[Any]:
    dirty = crm_dirty.c
    source, is_second = func.coalesce(dirty.source, "hook"), dirty.due_at.is_not(None)
    columns = (dirty.external_id, dirty.action, dirty.hinted_at, dirty.marked_at, dirty.mark, source, is_second)
    return select(*columns).where(dirty.connection_id == connection_id, dirty.entity == entity)


async def clear_marks(connection: AsyncConnection, connection_id: str, entity: str, marks: Collection[Marked]) -> None:
    """In the transaction that wrote the rows. A mark that was renewed since it was read stays."""
    await _on_marks(connection, delete(crm_dirty), connection_id, entity, marks)


async def postpone_marks(
    connection: AsyncConnection, connection_id: str, entity: str, marks: Collection[Marked]
) -> None:
    """Their rows did not come: they are asked for once more, within a minute."""
    due_at = await now(connection) + timedelta(seconds=AGAIN_SECONDS)
    await _on_marks(connection, update(crm_dirty).values(due_at=due_at), connection_id, entity, marks)


async def _on_marks(
    connection: AsyncConnection, statement: Any, connection_id: str, entity: str, marks: Collection[Marked]
) -> None:
    ordered = sorted(marks, key=lambda mark: mark.external_id)
    for start in range(0, len(ordered), _MARKS_AT_ONCE):
        pairs = [(mark.external_id, mark.token) for mark in ordered[start : start + _MARKS_AT_ONCE]]
        mine = (crm_dirty.c.connection_id == connection_id, crm_dirty.c.entity == entity)
        await connection.execute(statement.where(*mine, tuple_(crm_dirty.c.external_id, crm_dirty.c.mark).in_(pairs)))


async def _are_due(connection: AsyncConnection) -> ColumnElement[bool]:
    return or_(crm_dirty.c.due_at.is_(None), crm_dirty.c.due_at <= await now(connection))


def _is_newer(one: datetime | None, other: datetime | None) -> bool:
    return one is None or other is None or one >= other
