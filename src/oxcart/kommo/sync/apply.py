"""How does what was read of an account get into the mirror? By one way for all: pages, hooks, sweeps, pushes.

Whoever read a row calls `apply_rows` in its own transaction; the rules of store/rows.py make the order irrelevant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES, INSIDE
from oxcart.kommo.entity import Entity, Walk
from oxcart.kommo.pages import Row as Raw
from oxcart.kommo.store.columns import new_id, storable
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.own_tables import crm_cursors
from oxcart.kommo.store.parts import delete_parts, embedded, replace_parts
from oxcart.kommo.store.platform_export import export
from oxcart.kommo.store.quarantine import let_out, put_aside
from oxcart.kommo.store.rows import rows_by_id, unseen, write_rows, write_tombstones
from oxcart.kommo.store.typed import Row, row_of
from oxcart.kommo.sync.marks import Mark, mark_dirty

LATE_SECONDS = 600.0
"""So long a list may show what was before; 300 s were seen."""

_MOST_ROWS = 100_000


async def apply_rows(
    connection: AsyncConnection,
    account: Account,
    entity: Entity,
    raws: Sequence[Raw],
    *,
    fetched_at: datetime,
    run: str | None = None,
    by_id: bool = False,
    broken: Sequence[Any] = (),
) -> frozenset[str]:
    """Note that the account had these rows at `fetched_at`, the server's time. Returns the ids that changed by it.

    `broken` are elements beside them that could not be read as rows; they are put aside. Of a stream that is read at
    once `raws` must be all there is. `run` is the sweep's. `by_id`: they were asked for by their ids. A list may lag
    behind: what it says of a row that was gone or read by id a moment ago is not believed if it is another, but
    marked, and `fetch_marked` asks for it by id.
    """
    at = clock.now_utc()
    await let_out(connection, account.connection_id, entity.name, [storable(str(raw["id"])) for raw in raws])
    await put_aside(connection, account.connection_id, entity.name, broken, at=at)
    if entity.marks_deleted:
        return await _apply_deleted_rows(connection, account, ENTITIES["leads"], raws, fetched_at=fetched_at)
    died = await _apply_deleted_rows(connection, account, entity, raws, fetched_at=fetched_at)
    rows = [row_of(entity, raw) for raw in raws if raw.get("is_deleted") is not True]
    if entity.by_id and not by_id:
        rows = await _believed(connection, account, entity, rows, fetched_at=fetched_at)
    if entity.walk is Walk.ONCE:
        # Without one of them they would not be the whole list; and none at all is what no account can have.
        return frozenset() if broken or not rows else await _apply_whole(connection, account, entity, rows, fetched_at)
    return died | await _write(connection, account, entity, rows, fetched_at=fetched_at, run=run, by_id=by_id)


async def _apply_whole(
    connection: AsyncConnection, account: Account, entity: Entity, rows: Sequence[Row], fetched_at: datetime
) -> frozenset[str]:
    """A complete list, with what is inside its rows: what is not in it is gone."""
    run = new_id()
    changed: set[str] = set()
    for one in (entity, *(one for one in INSIDE if one.inside == entity.name)):
        found = rows if one is entity else [inner for row in rows for inner in rows_inside(one, row)]
        changed |= await _write(connection, account, one, found, fetched_at=fetched_at, run=run)
        table, scope = table_of(one, account.connection_id)
        gone = await unseen(connection, table, scope, run=run, before=fetched_at, limit=_MOST_ROWS)
        lost = dict.fromkeys(gone, fetched_at)
        changed |= await apply_deleted(connection, account, one, lost, observed_at=fetched_at, source="list")
    return frozenset(changed)


def rows_inside(entity: Entity, row: Row) -> list[Row]:
    """The rows of `entity` that this one holds."""
    within = row.external_id if entity.is_composite else None
    return [row_of(entity, raw, within) for raw in embedded(row.raw, entity.key)]


async def _write(
    connection: AsyncConnection,
    account: Account,
    entity: Entity,
    rows: Sequence[Row],
    *,
    fetched_at: datetime,
    run: str | None = None,
    by_id: bool = False,
) -> frozenset[str]:
    table, scope = table_of(entity, account.connection_id)
    times: dict[str, Any] = {"fetched_at": fetched_at, "changed_at": clock.now_utc()}
    changed = await write_rows(connection, table, scope, rows, **times, run=run, by_id=by_id)
    if changed:
        new = [row for row in rows if row.external_id in changed]
        linked = await replace_parts(connection, account.connection_id, entity, new)
        for name, ids in linked.items():
            await _mark_missing(connection, account.connection_id, ENTITIES[name], sorted(ids))
    await _export(connection, account, entity, [row.external_id for row in rows])
    return changed


async def apply_deleted(
    connection: AsyncConnection,
    account: Account,
    entity: Entity,
    deleted: Mapping[str, datetime],
    *,
    observed_at: datetime,
    source: str,
) -> frozenset[str]:
    """Note that the account had none of these rows at `observed_at`, the server's time; id -> when it was deleted.

    `source` is hook, event, list or sweep. Returns the ids that were alive until now. A row that is met again later
    comes back to life.
    """
    table, scope = table_of(entity, account.connection_id)
    times: dict[str, Any] = {"observed_at": observed_at, "changed_at": clock.now_utc()}
    died = await write_tombstones(connection, table, scope, deleted, **times, source=source)
    await delete_parts(connection, account.connection_id, entity, died)
    await _export(connection, account, entity, list(deleted))
    return died


async def _export(connection: AsyncConnection, account: Account, entity: Entity, ids: Collection[str]) -> None:
    whose = {"connection_id": account.connection_id, "org_id": account.org_id}
    await export(connection, account.database.exports, entity, **whose, ids=ids)


def is_too_much(missing: int, alive: int) -> bool:
    """In number and in share: rows that are missing at once are then rather out of sight than deleted."""
    return missing > 100 and missing > alive * 0.2


async def _apply_deleted_rows(
    connection: AsyncConnection, account: Account, entity: Entity, raws: Sequence[Raw], *, fetched_at: datetime
) -> frozenset[str]:
    """Rows that say so themselves, as in the bin's list: {id, updated_at, is_deleted}; updated_at is when it was."""
    deleted = {
        str(raw["id"]): _moment(raw.get("updated_at"), fetched_at) for raw in raws if raw.get("is_deleted") is True
    }
    if not deleted:
        return frozenset()
    return await apply_deleted(connection, account, entity, deleted, observed_at=fetched_at, source="list")


async def _believed(
    connection: AsyncConnection, account: Account, entity: Entity, rows: Sequence[Row], *, fetched_at: datetime
) -> list[Row]:
    """Without the rows of which it may show what was: gone within the last minutes, or read by id, and not so."""
    table, scope = table_of(entity, account.connection_id)
    since = fetched_at - timedelta(seconds=LATE_SECONDS)
    recently = or_(and_(table.c.deleted_at.is_not(None), table.c.gone_at > since), table.c.asked_at > since)
    by_its_id = {row.external_id: row for row in rows}
    columns = (table.c.deleted_at, table.c.content_hash)
    found = await rows_by_id(connection, table, scope, by_its_id, *columns, where=[recently])
    doubtful = {
        one.external_id
        for one in found
        if one.deleted_at is not None or one.content_hash != by_its_id[one.external_id].content_hash
    }
    marks = [Mark(entity.name, external_id, "restore", source="list") for external_id in doubtful]
    await mark_dirty(connection, account.connection_id, marks, at=clock.now_utc())
    return [row for row in rows if row.external_id not in doubtful]


async def _mark_missing(connection: AsyncConnection, connection_id: str, entity: Entity, ids: Sequence[str]) -> None:
    """Some rows are in no list, as a contact whose lead nobody has accepted yet. They are asked for by id, once all
    that lists have is here.
    """
    if not entity.by_id:
        return
    walked = (crm_cursors.c.connection_id == connection_id, crm_cursors.c.entity == entity.name)
    whole = select(crm_cursors.c.full_walk_at).where(*walked)
    if not ids or (await connection.execute(whole)).scalar_one_or_none() is None:
        return
    table, scope = table_of(entity, connection_id)
    here = {row.external_id for row in await rows_by_id(connection, table, scope, ids)}
    marks = [Mark(entity.name, external_id, source="list") for external_id in ids if external_id not in here]
    await mark_dirty(connection, connection_id, marks, at=clock.now_utc())


def _moment(value: Any, otherwise: datetime) -> datetime:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**33
    return datetime.fromtimestamp(value, UTC) if usable else otherwise
