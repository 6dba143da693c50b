"""Which mirrored rows live in a table of the platform, and what of them does it want? One record per entity.

What the account says of such a row is kept in crm_row_versions, under the same rules as everywhere (rows.py); from
there it is carried over to the platform's table. Its row is found by its natural key and keeps its id for ever:
other tables of the platform point at it. `metadata` belongs to the platform; we add `deleted_at` to it, and take it
away again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table

from oxcart.kommo.store.platform_tables import crm_custom_fields, crm_pipeline_stages, crm_pipelines, crm_tasks

Raw = Mapping[str, Any]

_INT4 = 2**31 - 1
_SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company"}


@dataclass(frozen=True, slots=True)
class Resident:
    """`key` are the columns of the natural key, the first being `parent`: a connection, organisation or pipeline.

    `key_of` says the rest of the key by the row's id in crm_row_versions; `columns` what the platform's columns hold.
    """

    entity: str
    table: Table
    key: tuple[str, ...]
    key_of: Callable[[str], tuple[str, ...]]
    columns: Callable[[Raw], dict[str, Any]]
    shows_deleted: Callable[[dict[str, Any]], None] | None = None


def _last(external_id: str) -> tuple[str, ...]:
    """Of pipeline:stage the stage."""
    return (external_id.rpartition(":")[2],)


def _field_key(external_id: str) -> tuple[str, ...]:
    of, _, field_id = external_id.partition(":")
    return (_SINGULAR.get(of, of), field_id)


def _pipeline(raw: Raw) -> dict[str, Any]:
    return {
        "name": _text(raw.get("name")),
        "sort_order": _int4(raw.get("sort")),
        "is_active": not raw.get("is_archive"),
    }


def _no_longer_active(columns: dict[str, Any]) -> None:
    columns["is_active"] = False


def _stage(raw: Raw) -> dict[str, Any]:
    return {"name": _text(raw.get("name")), "sort_order": _int4(raw.get("sort"))}


def _task(raw: Raw) -> dict[str, Any]:
    return {
        "entity_id": _text(raw.get("entity_id")),
        "entity_type": _text(raw.get("entity_type")),
        "task_text": _text(raw.get("text")),
        "task_type_id": _int4(raw.get("task_type_id")),
        "complete_till": _moment(raw.get("complete_till")),
        "responsible_user_id": _int4(raw.get("responsible_user_id")),
        "is_completed": bool(raw.get("is_completed")),
    }


def _custom_field(raw: Raw) -> dict[str, Any]:
    enums = raw.get("enums")
    found = (
        {str(one.get("id")): one.get("value") for one in enums if isinstance(one, dict)}
        if isinstance(enums, list)
        else None
    )
    return {
        "name": _text(raw.get("name")),
        "field_type": _text(raw.get("type")),
        "code": raw.get("code") if isinstance(raw.get("code"), str) else None,
        "sort_order": _int4(raw.get("sort")),
        "is_api_only": bool(raw.get("is_api_only")),
        "is_deletable": bool(raw.get("is_deletable", True)),
        "is_required": bool(raw.get("required_statuses")),
        "enums": found,
    }


PIPELINES = Resident(
    "pipelines", crm_pipelines, ("connection_id", "external_id"), _last, _pipeline, shows_deleted=_no_longer_active
)
STAGES = Resident("stages", crm_pipeline_stages, ("pipeline_id", "external_id"), _last, _stage)
TASKS = Resident("tasks", crm_tasks, ("org_id", "task_id"), _last, _task)
CUSTOM_FIELDS = Resident(
    "custom_fields", crm_custom_fields, ("connection_id", "entity_type", "external_id"), _field_key, _custom_field
)


def _text(value: Any) -> str:
    """The platform's columns take no null."""
    return "" if value is None or isinstance(value, bool | list | dict) else str(value)


def _int4(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _INT4 else None


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int) and value else None
    except (ValueError, OverflowError, OSError):
        return None
