"""How does a row get from crm_row_versions into the platform's table? Compared first: only what differs is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo import entities
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.own_tables import crm_row_versions as versions
from oxcart.kommo.store.residents import CUSTOM_FIELDS, PIPELINES, STAGES, TASKS, Raw, Resident
from oxcart.kommo.store.rows import Scope, unseen, write_rows, write_tombstones
from oxcart.kommo.store.typed import Row, row_of

_VERSION_COLUMNS = ("name", "remote_created_at", "remote_updated_at")
_IDS_AT_ONCE = 250
_DELETED = "deleted_at"


async def write_pipelines(
    connection: AsyncConnection, connection_id: str, pipelines: Sequence[Raw], *, fetched_at: datetime, at: datetime
) -> frozenset[str]:
    """The account's complete list of pipelines with their stages: what is not in it is gone. Returns what changed.

    Ids are pipeline and pipeline:stage. `fetched_at` is by the server's clock, `at` by ours. A list without a single
    pipeline is none that an account can have, and deletes nothing.
    """
    if not pipelines:
        return frozenset()
    stages = [stage for pipeline in pipelines for stage in _stages_of(pipeline)]
    changed: set[str] = set()
    run = new_id()
    for resident, rows in ((PIPELINES, [_version(entities.PIPELINES, raw) for raw in pipelines]), (STAGES, stages)):
        scope = scope_of(resident, connection_id)
        times: dict[str, Any] = {"fetched_at": fetched_at, "changed_at": at}
        changed |= await write_rows(connection, versions, scope, rows, **times, run=run)
        gone = await unseen(connection, versions, scope, run=run, before=fetched_at, limit=100_000)
        dead = dict.fromkeys(gone, fetched_at)
        changed |= await write_tombstones(
            connection, versions, scope, dead, observed_at=fetched_at, changed_at=at, source="list"
        )
        touched = [row.external_id for row in rows] + gone
        if resident is PIPELINES:
            await carry(connection, resident, connection_id, connection_id, touched)
            local = await local_ids(connection, connection_id, PIPELINES)
        else:
            for pipeline in {external_id.partition(":")[0] for external_id in touched} & local.keys():
                mine = [external_id for external_id in touched if external_id.startswith(f"{pipeline}:")]
                await carry(connection, resident, connection_id, local[pipeline], mine)
    return frozenset(changed)


async def write_tasks(
    connection: AsyncConnection,
    connection_id: str,
    org_id: str,
    tasks: Sequence[Raw],
    *,
    fetched_at: datetime,
    at: datetime,
    run: str | None = None,
    by_id: bool = False,
) -> frozenset[str]:
    rows = [_version(entities.TASKS, raw) for raw in tasks]
    scope = scope_of(TASKS, connection_id)
    times: dict[str, Any] = {"fetched_at": fetched_at, "changed_at": at}
    changed = await write_rows(connection, versions, scope, rows, **times, run=run, by_id=by_id)
    await carry(connection, TASKS, connection_id, org_id, [row.external_id for row in rows])
    return changed


async def write_task_tombstones(
    connection: AsyncConnection,
    connection_id: str,
    org_id: str,
    deleted: Mapping[str, datetime],
    *,
    observed_at: datetime,
    at: datetime,
    source: str,
) -> frozenset[str]:
    """The row stays, and its metadata say since when it is deleted."""
    scope = scope_of(TASKS, connection_id)
    died = await write_tombstones(
        connection, versions, scope, deleted, observed_at=observed_at, changed_at=at, source=source
    )
    await carry(connection, TASKS, connection_id, org_id, list(deleted))
    return died


async def write_custom_fields(
    connection: AsyncConnection,
    connection_id: str,
    entity: entities.Entity,
    fields: Sequence[Raw],
    *,
    fetched_at: datetime,
    at: datetime,
    run: str | None = None,
) -> frozenset[str]:
    """`entity` says whose fields: of leads, contacts or companies. Ids are as in leads:771906."""
    rows = [_version(entity, raw, f"{entity.of}:{raw.get('id')}") for raw in fields]
    scope = scope_of(CUSTOM_FIELDS, connection_id)
    changed = await write_rows(connection, versions, scope, rows, fetched_at=fetched_at, changed_at=at, run=run)
    await carry(connection, CUSTOM_FIELDS, connection_id, connection_id, [row.external_id for row in rows])
    return changed


def scope_of(resident: Resident, connection_id: str) -> Scope:
    """Its rows in crm_row_versions."""
    return Scope(connection_id, "entity", resident.entity)


async def local_ids(connection: AsyncConnection, connection_id: str, resident: Resident) -> dict[str, str]:
    """External id -> the platform's id, of every row that was ever carried over."""
    query = select(versions.c.external_id, versions.c.local_id).where(
        versions.c.connection_id == connection_id,
        versions.c.entity == resident.entity,
        versions.c.local_id.is_not(None),
    )
    return {row.external_id: row.local_id for row in await connection.execute(query)}


async def carry(
    connection: AsyncConnection, resident: Resident, connection_id: str, parent: str, external_ids: Collection[str]
) -> None:
    """Make the platform's rows say what crm_row_versions says of these ids. `parent` begins their natural key."""
    ordered = sorted(set(external_ids))
    for start in range(0, len(ordered), _IDS_AT_ONCE):
        await _carry_some(connection, resident, connection_id, parent, ordered[start : start + _IDS_AT_ONCE])


async def _carry_some(
    connection: AsyncConnection, resident: Resident, connection_id: str, parent: str, external_ids: Sequence[str]
) -> None:
    known = select(versions).where(
        versions.c.connection_id == connection_id,
        versions.c.entity == resident.entity,
        versions.c.external_id.in_(external_ids),
    )
    found = (await connection.execute(known)).mappings().all()
    existing = await _existing(connection, resident, parent, external_ids)
    wanted: list[dict[str, Any]] = []
    for version in found:
        key = (parent, *resident.key_of(version["external_id"]))
        row = _wanted(resident, version, existing.get(key))
        if row is not None:
            wanted.append(dict(zip(resident.key, key, strict=True)) | row)
    ids = {key: row["id"] for key, row in existing.items()} | await _write(connection, resident, wanted)
    moved = [
        {"carried": version["external_id"], "arrived": ids[key]}
        for version in found
        if (key := (parent, *resident.key_of(version["external_id"]))) in ids and version["local_id"] != ids[key]
    ]
    if moved:
        mine = (versions.c.connection_id == connection_id, versions.c.entity == resident.entity)
        statement = update(versions).where(*mine, versions.c.external_id == bindparam("carried"))
        await connection.execute(statement.values(local_id=bindparam("arrived")), moved)


async def _existing(
    connection: AsyncConnection, resident: Resident, parent: str, external_ids: Sequence[str]
) -> dict[tuple[str, ...], Mapping[str, Any]]:
    table, last = resident.table, resident.key[-1]
    ids = {resident.key_of(external_id)[-1] for external_id in external_ids}
    query = select(table).where(table.c[resident.key[0]] == parent, table.c[last].in_(sorted(ids)))
    rows = (await connection.execute(query)).mappings().all()
    return {tuple(str(row[name]) for name in resident.key): dict(row) for row in rows}


def _wanted(resident: Resident, version: Any, existing: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What to write, all of it; None if the platform's row says so already, or there is nothing to tell."""
    if version["raw"] is None and existing is None:
        return None
    row = resident.columns(version["raw"]) if version["raw"] is not None else {}
    metadata = dict((existing or {}).get("metadata") or {})
    deleted_at = version["deleted_at"]
    if deleted_at is not None:
        metadata[_DELETED] = deleted_at.isoformat()
        if resident.shows_deleted is not None:
            resident.shows_deleted(row)
    else:
        metadata.pop(_DELETED, None)
    row["metadata"] = metadata
    if existing is not None and all(existing[name] == value for name, value in row.items()):
        return None
    kept = {name: existing[name] for name in resident.columns({}) if name not in row} if existing else {}
    return {**kept, **row}


async def _write(
    connection: AsyncConnection, resident: Resident, rows: Sequence[dict[str, Any]]
) -> dict[tuple[str, ...], str]:
    """Key -> id. An id is given to a new row only: it is not among what an update sets."""
    if not rows:
        return {}
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(resident.table)
    names = [name for name in rows[0] if name not in resident.key]
    statement = statement.on_conflict_do_update(
        index_elements=list(resident.key),
        set_={name: statement.excluded[name] for name in names} | {"updated_at": func.now()},
    )
    returned = statement.returning(resident.table.c.id, *(resident.table.c[name] for name in resident.key))
    found = await connection.execute(returned, [{"id": new_id(), **row} for row in rows])
    return {tuple(str(row._mapping[name]) for name in resident.key): row.id for row in found}  # noqa: SLF001


def _stages_of(pipeline: Raw) -> list[Row]:
    embedded = pipeline.get("_embedded")
    statuses = embedded.get("statuses") if isinstance(embedded, dict) else None
    return [
        _version(entities.PIPELINES, status, f"{pipeline.get('id')}:{status.get('id')}")
        for status in (statuses if isinstance(statuses, list) else [])
        if isinstance(status, dict)
    ]


def _version(entity: entities.Entity, raw: Raw, external_id: str | None = None) -> Row:
    row = row_of(entity, raw, external_id)
    values = {name: row.values.get(name) for name in _VERSION_COLUMNS}
    return Row(row.external_id, values, row.raw, row.content_hash)
