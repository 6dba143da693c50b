"""How does what was read of the account become what the mirror says? By rules in which the order does not matter.

Two questions, answered apart. *What does the row say?* What was read last, by the server's clock; its own updated_at
decides nothing, for integrations may set that, back or ahead. *Is it there?* Whatever was seen last: a row that is met
after its tombstone is alive again, and a tombstone that is older than the last meeting changes nothing. So pages,
hooks, repeats and sweeps may come in any order, any number of times.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.entities import SHAPE
from oxcart.kommo.store.columns import epoch
from oxcart.kommo.store.typed import Row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_IDS_AT_ONCE = 500
_BOOKKEEPING = {"asked_at", "seen_at", "gone_at", "deleted_at", "deleted_source", "changed_at", "seen_run"}


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows: of one connection, and in a shared table of one entity (`column` is what tells them apart)."""

    connection_id: str
    column: str | None = None
    value: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        known = {"connection_id": self.connection_id}
        return known | {self.column: str(self.value)} if self.column else known


def within(table: Table, scope: Scope) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in scope.keys.items()]


async def rows_by_id(
    connection: AsyncConnection,
    table: Table,
    scope: Scope,
    ids: Collection[str],
    *columns: ColumnElement[Any],
    where: Sequence[ColumnElement[bool]] = (),
) -> list[Any]:
    """`external_id` and these columns, of those of the ids that are there."""
    query, ordered = select(table.c.external_id, *columns).where(*within(table, scope), *where), sorted(ids)
    found: list[Any] = []
    for start in range(0, len(ordered), _IDS_AT_ONCE):
        found += await connection.execute(query.where(table.c.external_id.in_(ordered[start : start + _IDS_AT_ONCE])))
    return found


async def write_rows(
    connection: AsyncConnection,
    table: Table,
    scope: Scope,
    rows: Sequence[Row],
    *,
    fetched_at: datetime,
    changed_at: datetime,
    run: str | None = None,
    by_id: bool = False,
) -> frozenset[str]:
    """Note that the account had these rows at `fetched_at`, the server's time. Returns the ids that changed by it.

    Changed: what the mirror says of the row is now another, or it is there again. `run` is the sweep that met them,
    `by_id` that they were asked for by their ids.
    """
    values = [
        {
            **scope.keys,
            **row.values,
            "external_id": row.external_id,
            "raw": row.raw,
            "content_hash": row.content_hash,
            "fetched_at": fetched_at,
            "asked_at": fetched_at if by_id else None,
            "seen_at": fetched_at,
            "changed_at": changed_at,
            "seen_run": run,
            "shape": SHAPE,
        }
        for row in _newest(rows)
    ]
    return await _upsert(connection, _row_upsert(table, connection.dialect.name), values, changed_at)


async def write_tombstones(
    connection: AsyncConnection,
    table: Table,
    scope: Scope,
    deleted: Mapping[str, datetime],
    *,
    observed_at: datetime,
    changed_at: datetime,
    source: str,
) -> frozenset[str]:
    """Note that the account had none of these rows at `observed_at`. `deleted` is id -> when it was deleted.

    Returns the ids that were alive until now. A row that was never here gets a tombstone too: a page read before it
    may still come.
    """
    values = [
        {
            **scope.keys,
            "external_id": external_id,
            "gone_at": observed_at,
            "deleted_at": deleted[external_id],
            "deleted_source": source,
            "changed_at": changed_at,
        }
        for external_id in sorted(deleted)
    ]
    return await _upsert(connection, _tombstone_upsert(table, connection.dialect.name), values, changed_at)


async def unseen(
    connection: AsyncConnection,
    table: Table,
    scope: Scope,
    *,
    run: str,
    before: datetime,
    limit: int,
    after: str | None = None,
) -> list[str]:
    """Ids of living rows that the sweep did not meet, and that nobody has met since `before`, when it began.

    In their order; `after` is the last of those that were had already.
    """
    query = select(table.c.external_id).where(*within(table, scope), _is_unseen(table, run, before))
    if after is not None:
        query = query.where(table.c.external_id > after)
    found = await connection.execute(query.order_by(table.c.external_id).limit(limit))
    return [row.external_id for row in found]


async def count_unseen(connection: AsyncConnection, table: Table, scope: Scope, *, run: str, before: datetime) -> int:
    query = select(func.count()).select_from(table).where(*within(table, scope), _is_unseen(table, run, before))
    return int((await connection.execute(query)).scalar_one())


def _is_unseen(table: Table, run: str, before: datetime) -> ColumnElement[bool]:
    return and_(
        table.c.deleted_at.is_(None),
        table.c.seen_run.is_distinct_from(run),
        or_(table.c.seen_at.is_(None), table.c.seen_at < before),
    )


async def count_rows(connection: AsyncConnection, table: Table, scope: Scope) -> tuple[int, int]:
    """The living and the dead."""
    query = select(func.count(), func.count(table.c.deleted_at)).select_from(table).where(*within(table, scope))
    every, dead = (await connection.execute(query)).one()
    return every - dead, dead


async def strip_tombstones(
    connection: AsyncConnection, table: Table, before: datetime, *, keep: frozenset[str] = frozenset()
) -> int:
    """Forget what rows said that were deleted before, but for the columns `keep`. Returns how many."""
    where = and_(table.c.deleted_at < before, table.c.content_hash.is_not(None))
    return await empty_rows(connection, table, where, keep=keep)


async def empty_rows(
    connection: AsyncConnection, table: Table, where: ColumnElement[bool], *, keep: frozenset[str] = frozenset()
) -> int:
    """Take their content from rows; their keys and times stay. Returns how many."""
    kept = {"remote_created_at", "remote_updated_at", "fetched_at"} | _BOOKKEEPING | keep
    emptied = {c.name: None for c in table.columns if c.nullable and c.name not in kept}
    return int((await connection.execute(update(table).where(where).values(**emptied))).rowcount)


def _newest(rows: Sequence[Row]) -> list[Row]:
    """One row for each id, in the order of ids: two transactions that overlap then lock in the same order."""
    found: dict[str, Row] = {}
    for row in rows:
        other = found.get(row.external_id)
        if other is None or _updated(row) >= _updated(other):
            found[row.external_id] = row
    return [found[external_id] for external_id in sorted(found)]


def _updated(row: Row) -> datetime:
    return row.values.get("remote_updated_at") or EPOCH


async def _upsert(
    connection: AsyncConnection, statement: Any, values: list[dict[str, Any]], changed_at: datetime
) -> frozenset[str]:
    if not values:
        return frozenset()
    found = await connection.execute(statement, values)
    return frozenset(row.external_id for row in found if row.changed_at == changed_at)


def _or_epoch(column: Any) -> ColumnElement[Any]:
    return func.coalesce(column, epoch())


def _insert(table: Table, dialect: str) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _keys(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


@cache
def _row_upsert(table: Table, dialect: str) -> Any:
    statement = _insert(table, dialect)
    old, new = table.c, statement.excluded
    is_newer = new.fetched_at >= _or_epoch(old.fetched_at)
    is_met_later = _or_epoch(new.seen_at) > _or_epoch(old.seen_at)
    stays_dead = and_(old.deleted_at.is_not(None), old.gone_at >= new.seen_at)
    comes_back = and_(old.deleted_at.is_not(None), old.gone_at < new.seen_at)
    says_another = and_(is_newer, old.content_hash.is_distinct_from(new.content_hash))
    content = [c.name for c in table.columns if c.name not in _BOOKKEEPING and c.name not in _keys(table)]
    changes: dict[str, Any] = {name: case((is_newer, new[name]), else_=old[name]) for name in content}
    changes |= {
        "asked_at": func.coalesce(new.asked_at, old.asked_at),
        "seen_at": case((is_met_later, new.seen_at), else_=old.seen_at),
        "deleted_at": case((stays_dead, old.deleted_at), else_=None),
        "deleted_source": case((stays_dead, old.deleted_source), else_=None),
        "changed_at": case((or_(says_another, comes_back), new.changed_at), else_=old.changed_at),
        "seen_run": func.coalesce(new.seen_run, old.seen_run),
    }
    upsert = statement.on_conflict_do_update(index_elements=_keys(table), set_=changes)
    return upsert.returning(table.c.external_id, table.c.changed_at)


@cache
def _tombstone_upsert(table: Table, dialect: str) -> Any:
    statement = _insert(table, dialect)
    old, new = table.c, statement.excluded
    is_dead = old.deleted_at.is_not(None)
    dies = and_(old.deleted_at.is_(None), new.gone_at >= _or_epoch(old.seen_at))
    earlier = case((new.deleted_at < old.deleted_at, new.deleted_at), else_=old.deleted_at)
    changes = {
        "gone_at": case((new.gone_at > _or_epoch(old.gone_at), new.gone_at), else_=old.gone_at),
        "deleted_at": case((is_dead, earlier), (dies, new.deleted_at), else_=None),
        "deleted_source": case((dies, new.deleted_source), else_=old.deleted_source),
        "changed_at": case((dies, new.changed_at), else_=old.changed_at),
    }
    upsert = statement.on_conflict_do_update(index_elements=_keys(table), set_=changes)
    return upsert.returning(table.c.external_id, table.c.changed_at)
