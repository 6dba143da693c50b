"""How does what was read of an account get into the mirror? By one way for all: pages, hooks, sweeps, pushes.

Whoever read a row calls `apply_rows` in its own transaction; the rules of store/rows.py make the order irrelevant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, and_, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart import clock
from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES, PIPELINES, TASKS, Entity
from oxcart.kommo.pages import Row as Raw
from oxcart.kommo.store.carrying import (
    carry,
    scope_of,
    write_custom_fields,
    write_pipelines,
    write_task_tombstones,
    write_tasks,
)
from oxcart.kommo.store.columns import storable
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.own_tables import crm_cursors, crm_links, crm_row_versions
from oxcart.kommo.store.platform_tables import crm_custom_fields
from oxcart.kommo.store.quarantine import let_out, put_aside
from oxcart.kommo.store.residents import CUSTOM_FIELDS
from oxcart.kommo.store.residents import TASKS as TASK_ROWS
from oxcart.kommo.store.rows import Scope, write_rows, write_tombstones
from oxcart.kommo.store.typed import hash_of, row_of
from oxcart.kommo.sync.marks import Mark, mark_dirty

LATE_SECONDS = 600.0
"""So long a list may show what was before; 300 s were seen."""

_IDS_AT_ONCE = 500


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

    `broken` are elements beside them that could not be read as rows; they are put aside. Of pipelines `raws` must be
    the whole list. Ids of custom fields are as in leads:771906. `run` is the sweep's. `by_id`: they were asked for by
    their ids. A list may lag behind: what it says of a row that was gone or read by id a moment ago is not believed if
    it is another, but marked, and `fetch_marked` asks for it by id.
    """
    at = clock.now_utc()
    await let_out(connection, account.connection_id, entity.name, [storable(str(raw["id"])) for raw in raws])
    await put_aside(connection, account.connection_id, entity.name, broken, at=at)
    if entity.marks_deleted:
        return await _apply_deleted_rows(connection, account, ENTITIES["leads"], raws, fetched_at=fetched_at)
    died = await _apply_deleted_rows(connection, account, entity, raws, fetched_at=fetched_at)
    raws = [raw for raw in raws if raw.get("is_deleted") is not True]
    if entity.by_id and not by_id:
        raws = await _believed(connection, account, entity, raws, fetched_at=fetched_at)
    if entity is PIPELINES and broken:
        raws = []  # without one of them they would not be the whole list
    how: dict[str, Any] = {"fetched_at": fetched_at, "run": run, "by_id": by_id}
    return died | await _apply_living(connection, account, entity, raws, at=at, **how)


async def _apply_living(
    connection: AsyncConnection,
    account: Account,
    entity: Entity,
    raws: Sequence[Raw],
    *,
    fetched_at: datetime,
    at: datetime,
    run: str | None,
    by_id: bool,
) -> frozenset[str]:
    if entity is PIPELINES:
        return await write_pipelines(connection, account.connection_id, raws, fetched_at=fetched_at, at=at)
    if entity is TASKS:
        whose = (account.connection_id, account.org_id)
        return await write_tasks(connection, *whose, raws, fetched_at=fetched_at, at=at, run=run, by_id=by_id)
    if is_custom_fields(entity):
        return await write_custom_fields(
            connection, account.connection_id, entity, raws, fetched_at=fetched_at, at=at, run=run
        )
    table, scope = table_of(entity, account.connection_id)
    rows = [row_of(entity, raw) for raw in raws]
    times = {"fetched_at": fetched_at, "changed_at": at}
    changed = await write_rows(connection, table, scope, rows, **times, run=run, by_id=by_id)
    if entity.links and changed:
        await _replace_links(connection, account.connection_id, entity, raws, changed)
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
    at = clock.now_utc()
    if entity is TASKS:
        whose = (account.connection_id, account.org_id)
        return await write_task_tombstones(
            connection, *whose, deleted, observed_at=observed_at, at=at, source=source
        )  # fmt: skip
    table, scope = table_of(entity, account.connection_id)
    died = await write_tombstones(
        connection, table, scope, deleted, observed_at=observed_at, changed_at=at, source=source
    )
    if is_custom_fields(entity):
        await carry(connection, CUSTOM_FIELDS, account.connection_id, account.connection_id, list(deleted))
    if entity.links:
        await _delete_links(connection, account.connection_id, entity, sorted(died))
    return died


def table_of(entity: Entity, connection_id: str) -> tuple[Table, Scope]:
    """Where the mirror's columns of these rows are. Custom fields of all three entities share one scope, their ids
    begin with whose they are; stages have none of their own here.
    """
    if entity is TASKS:
        return crm_row_versions, scope_of(TASK_ROWS, connection_id)
    if is_custom_fields(entity):
        return crm_row_versions, scope_of(CUSTOM_FIELDS, connection_id)
    if entity is PIPELINES:
        return crm_row_versions, Scope(connection_id, "entity", PIPELINES.name)
    table = ENTITY_TABLES[entity.table]
    return table, Scope(connection_id, "entity_type", entity.of) if entity.of else Scope(connection_id)


def is_too_much(missing: int, alive: int) -> bool:
    """In number and in share: rows that are missing at once are then rather out of sight than deleted."""
    return missing > 100 and missing > alive * 0.2


def is_custom_fields(entity: Entity) -> bool:
    return entity.table == crm_custom_fields.name


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
    connection: AsyncConnection, account: Account, entity: Entity, raws: Sequence[Raw], *, fetched_at: datetime
) -> list[Raw]:
    """Without the rows of which it may show what was: gone within the last minutes, or read by id, and not so."""
    table, scope = table_of(entity, account.connection_id)
    mine = [table.c[name] == value for name, value in scope.keys.items()]
    since = fetched_at - timedelta(seconds=LATE_SECONDS)
    recently = or_(and_(table.c.deleted_at.is_not(None), table.c.gone_at > since), table.c.asked_at > since)
    query = select(table.c.external_id, table.c.deleted_at, table.c.content_hash).where(*mine, recently)
    by_its_id = {storable(str(raw["id"])): raw for raw in raws}
    ids, doubtful = list(by_its_id), set()
    for start in range(0, len(ids), _IDS_AT_ONCE):
        found = await connection.execute(query.where(table.c.external_id.in_(ids[start : start + _IDS_AT_ONCE])))
        doubtful |= {
            row.external_id
            for row in found
            if row.deleted_at is not None or row.content_hash != hash_of(storable(by_its_id[row.external_id]))
        }
    marks = [Mark(entity.name, external_id, "restore", source="list") for external_id in doubtful]
    await mark_dirty(connection, account.connection_id, marks, at=clock.now_utc())
    return [raw for raw in raws if storable(str(raw["id"])) not in doubtful]


async def _replace_links(
    connection: AsyncConnection, connection_id: str, entity: Entity, raws: Sequence[Raw], changed: Collection[str]
) -> None:
    """A row's links are what its last version says: all of them, or none."""
    ids = sorted(changed)
    await _delete_links(connection, connection_id, entity, ids)
    by_id = {storable(str(raw["id"])): raw for raw in raws}
    links = {
        (external_id, link.to, str(item["id"])): bool(item.get(link.main)) if link.main else None
        for external_id in ids
        for link in entity.links
        for item in _embedded(by_id[external_id], link.embedded)
    }
    if links:
        rows = [
            {"connection_id": connection_id, "from_type": entity.name, "from_id": of, "to_type": to, "to_id": to_id}
            | {"is_main": main}
            for (of, to, to_id), main in links.items()
        ]
        await connection.execute(insert(crm_links), rows)
    for link in entity.links:
        ids_linked = {to_id for _, to, to_id in links if to == link.to}
        await _mark_missing(connection, connection_id, ENTITIES[link.to], sorted(ids_linked))


async def _delete_links(connection: AsyncConnection, connection_id: str, entity: Entity, ids: Sequence[str]) -> None:
    mine = (crm_links.c.connection_id == connection_id, crm_links.c.from_type == entity.name)
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[start : start + _IDS_AT_ONCE]
        await connection.execute(delete(crm_links).where(*mine, crm_links.c.from_id.in_(part)))


async def _mark_missing(connection: AsyncConnection, connection_id: str, entity: Entity, ids: Sequence[str]) -> None:
    """Some rows are in no list, as a contact whose lead nobody has accepted yet. They are asked for by id, once all
    that lists have is here.
    """
    walked = (crm_cursors.c.connection_id == connection_id, crm_cursors.c.entity == entity.name)
    whole = select(crm_cursors.c.full_walk_at).where(*walked)
    if not ids or (await connection.execute(whole)).scalar_one_or_none() is None:
        return
    table, scope = table_of(entity, connection_id)
    mine = [table.c[name] == value for name, value in scope.keys.items()]
    here: set[str] = set()
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = table.c.external_id.in_(ids[start : start + _IDS_AT_ONCE])
        here |= set((await connection.execute(select(table.c.external_id).where(*mine, some))).scalars())
    marks = [Mark(entity.name, external_id, source="list") for external_id in ids if external_id not in here]
    await mark_dirty(connection, connection_id, marks, at=clock.now_utc())


def _embedded(raw: Raw, key: str) -> list[dict[str, Any]]:
    """PHP writes an empty object as []."""
    embedded = raw.get("_embedded")
    items = embedded.get(key) if isinstance(embedded, dict) else None
    return [item for item in items if isinstance(item, dict) and "id" in item] if isinstance(items, list) else []


def _moment(value: Any, otherwise: datetime) -> datetime:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**33
    return datetime.fromtimestamp(value, UTC) if usable else otherwise
