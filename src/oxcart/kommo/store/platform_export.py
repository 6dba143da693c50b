"""How do the platform's own pipelines, stages, fields and tasks stay current? Written after ours, where they are.

They are not ours: nothing here reads them to know anything. A row is found by its natural key and keeps its id for
ever, for other tables of the platform point at it. `metadata` is the platform's; `deleted_at` is added to it, and
taken away again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, func, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.kommo.entity import Entity, Form
from oxcart.kommo.store.columns import insert_into, new_id
from oxcart.kommo.store.entity_tables import table_of
from oxcart.kommo.store.platform_tables import (
    EXPORTED,
    crm_custom_fields,
    crm_pipeline_stages,
    crm_pipelines,
    crm_tasks,
)
from oxcart.kommo.store.typed import at, read_as

Row = Mapping[Any, Any]

_INT4 = 2**31 - 1
_IDS_AT_ONCE = 250
_DELETED = "deleted_at"
_SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company"}


async def tables_there(connection: AsyncConnection, schema: str | None) -> frozenset[str]:
    """Which of them the database has, with the columns that we write."""

    def look(sync: Connection) -> frozenset[str]:
        inspector = inspect(sync)
        names = EXPORTED.tables.keys() & set(inspector.get_table_names(schema=schema))
        columns = {name: {one["name"] for one in inspector.get_columns(name, schema=schema)} for name in names}
        return frozenset(name for name in names if {c.name for c in EXPORTED.tables[name].columns} <= columns[name])

    return await connection.run_sync(look)


@dataclass(frozen=True, slots=True)
class Export:
    """`key` are the columns of the natural key; the first names the connection, the organisation or the pipeline.

    `key_of` says the rest of it by our row, `columns` what the others hold. `is_shown` is false where the row is gone.
    """

    table: Table
    key: tuple[str, ...]
    key_of: Callable[[Row], tuple[str, ...]]
    columns: Callable[[Any, bool], dict[str, Any]]


async def export(
    connection: AsyncConnection,
    there: frozenset[str],
    entity: Entity,
    *,
    connection_id: str,
    org_id: str,
    ids: Collection[str],
) -> None:
    """Make the platform's rows say what ours say of these ids. `there` are the tables that it has."""
    one = EXPORTS.get(entity.table)
    if one is None or one.table.name not in there:
        return
    ordered = sorted(set(ids))
    table, scope = table_of(entity, connection_id)
    mine = [table.c[name] == value for name, value in scope.keys.items()]
    for start in range(0, len(ordered), _IDS_AT_ONCE):
        some = table.c.external_id.in_(ordered[start : start + _IDS_AT_ONCE])
        found = (await connection.execute(select(table).where(*mine, some))).mappings().all()
        by_parent: dict[str, list[Row]] = {}
        for row in found:
            by_parent.setdefault(await _parent(connection, one, row, connection_id, org_id), []).append(row)
        for parent, rows in by_parent.items():
            await _write(connection, one, parent, rows)


async def _parent(connection: AsyncConnection, one: Export, row: Row, connection_id: str, org_id: str) -> str:
    if one.key[0] == "org_id":
        return org_id
    if one.key[0] == "connection_id":
        return connection_id
    of = str(row["external_id"]).partition(":")[0]
    mine = (crm_pipelines.c.connection_id == connection_id, crm_pipelines.c.external_id == of)
    return (await connection.execute(select(crm_pipelines.c.id).where(*mine))).scalar_one_or_none() or ""


async def _write(connection: AsyncConnection, one: Export, parent: str, rows: Sequence[Row]) -> None:
    """Compared first: only what differs is written."""
    if not parent:  # the platform has deleted the pipeline of these stages, and gets it back with the next list
        return
    keys = {(parent, *one.key_of(row)): row for row in rows}
    last = one.table.c[one.key[-1]].in_([key[-1] for key in keys])
    if one.key[-1] == "entity_type":
        last = one.table.c[one.key[1]].in_([key[1] for key in keys])
    query = select(one.table).where(one.table.c[one.key[0]] == parent, last)
    known = (await connection.execute(query)).mappings().all()
    existing = {tuple(str(row[name]) for name in one.key): row for row in known}
    new: list[dict[str, Any]] = []
    for key, row in keys.items():
        before = existing.get(key)
        wanted = _wanted(one, row, before)
        if before is None and wanted:
            new.append({"id": new_id(), **dict(zip(one.key, key, strict=True)), **wanted})
        elif before is not None and any(before[name] != value for name, value in wanted.items()):
            statement = update(one.table).where(one.table.c.id == before["id"])
            await connection.execute(statement.values(**wanted, updated_at=func.now()))
    if new:
        insert = insert_into(connection, one.table)
        changes = {name: insert.excluded[name] for name in new[0] if name != "id" and name not in one.key}
        await connection.execute(insert.on_conflict_do_update(index_elements=list(one.key), set_=changes), new)


def _wanted(one: Export, row: Row, before: Row | None) -> dict[str, Any]:
    """Nothing of a row that was gone before anybody had read it."""
    is_alive = row["deleted_at"] is None
    if row["raw"] is None and before is None:
        return {}
    metadata = dict((before or {}).get("metadata") or {})
    metadata.pop(_DELETED, None)
    if not is_alive:
        metadata[_DELETED] = row["deleted_at"].isoformat()
    said = one.columns(row["raw"], is_alive) if row["raw"] is not None else {}
    if row["raw"] is None and "is_active" in one.table.c and not is_alive:
        said = {"is_active": False}
    return {**said, "metadata": metadata}


def _last(row: Row) -> tuple[str, ...]:
    """Of pipeline:stage the stage."""
    return (str(row["external_id"]).rpartition(":")[2],)


def _pipeline(raw: Any, is_alive: bool) -> dict[str, Any]:
    is_active = is_alive and not raw.get("is_archive")
    return {"name": _text(raw.get("name")), "sort_order": _int4(raw.get("sort")), "is_active": is_active}


def _stage(raw: Any, is_alive: bool) -> dict[str, Any]:  # noqa: ARG001
    return {"name": _text(raw.get("name")), "sort_order": _int4(raw.get("sort"))}


def _task(raw: Any, is_alive: bool) -> dict[str, Any]:  # noqa: ARG001
    return {
        "entity_id": _text(raw.get("entity_id")),
        "entity_type": _text(raw.get("entity_type")),
        "task_text": _text(raw.get("text")),
        "task_type_id": _int4(raw.get("task_type_id")),
        "complete_till": read_as(Form.MOMENT, raw.get("complete_till")),
        "responsible_user_id": _int4(raw.get("responsible_user_id")),
        "is_completed": bool(raw.get("is_completed")),
    }


def _custom_field(raw: Any, is_alive: bool) -> dict[str, Any]:  # noqa: ARG001
    enums = raw.get("enums")
    choices = enums if isinstance(enums, list) else None
    return {
        "name": _text(raw.get("name")),
        "field_type": _text(raw.get("type")),
        "code": raw.get("code") if isinstance(raw.get("code"), str) else None,
        "sort_order": _int4(raw.get("sort")),
        "is_api_only": bool(raw.get("is_api_only")),
        "is_deletable": bool(raw.get("is_deletable", True)),
        "is_required": bool(raw.get("required_statuses")),
        "enums": None if choices is None else {str(at(one, ("id",))): at(one, ("value",)) for one in choices},
    }


def _text(value: Any) -> str:
    """The platform's columns take no null."""
    return "" if value is None or isinstance(value, bool | list | dict) else str(value)


def _int4(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INT4 else None


EXPORTS: Mapping[str, Export] = {
    "kommo_pipelines": Export(crm_pipelines, ("connection_id", "external_id"), _last, _pipeline),
    "kommo_stages": Export(crm_pipeline_stages, ("pipeline_id", "external_id"), _last, _stage),
    "kommo_tasks": Export(crm_tasks, ("org_id", "task_id"), _last, _task),
    "kommo_custom_fields": Export(
        crm_custom_fields,
        ("connection_id", "external_id", "entity_type"),
        lambda row: (str(row["external_id"]), str(_SINGULAR.get(row["entity_type"], row["entity_type"]))),
        _custom_field,
    ),
}
"""By our table."""
