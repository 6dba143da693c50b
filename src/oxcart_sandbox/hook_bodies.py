"""What does a webhook say? PHP's bracketed form fields, all text, in the shapes that trip up parsers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from oxcart_sandbox.account import Account, Change
from oxcart_sandbox.rows import Row
from oxcart_sandbox.seed import DATE_FIELD, SOURCE_FIELD, text_date

_KINDS = {"leads": "lead", "contacts": "contact", "companies": "company", "tasks": "task"}
_ELEMENT_TYPES = {"contacts": 1, "leads": 2, "companies": 3}
_NOTE_TEXT, _NOTE_OTHER = 4, 25


def setting_of(change: Change) -> str:
    """The name by which a webhook subscribes to such a change, as in update_lead."""
    if change.entity.endswith("_notes"):
        return f"note_{_KINDS[change.entity.removesuffix('_notes')]}" if change.action == "add" else ""
    if change.entity == "customers":
        return ""
    return "add_message" if change.entity == "message" else f"{change.action}_{_KINDS[change.entity]}"


def body_of(account: Account, changes: Sequence[Change]) -> bytes:
    """One body with all of these changes: entities and actions may be mixed."""
    tree: Row = {}
    for change in changes:
        key, action, item = _place(account, change)
        tree.setdefault(key, {}).setdefault(action, []).append(item)
    tree["account"] = {
        "subdomain": account.subdomain,
        "id": account.id,
        "_links": {"self": f"https://{account.domain}"},
    }
    return urlencode(list(form_fields(tree))).encode()


def form_fields(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """As PHP's http_build_query writes a tree; an empty list or object leaves nothing."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in entries:
            yield from form_fields(item, f"{prefix}[{name}]" if prefix else str(name))
    elif value is not None:
        yield prefix, str(int(value)) if isinstance(value, bool) else str(value)


def _place(account: Account, change: Change) -> tuple[str, str, Row]:
    """The top key, the action, and what stands there."""
    entity, row = change.entity, change.row
    if entity.endswith("_notes"):
        of = entity.removesuffix("_notes")
        return ("leads" if of == "leads" else "contacts"), "note", {"note": _note(account, of, row)}
    if entity == "message":
        return "message", "add", row
    if entity == "tasks":
        return "task", change.action, _task(change)
    if entity == "leads":
        return "leads", change.action, _lead(account, change)
    # Companies come under contacts, and a change of the one responsible as an update.
    action = "update" if change.action == "responsible" else change.action
    return "contacts", action, _contact(account, change)


def _lead(account: Account, change: Change) -> Row:
    row, before = change.row, change.before or {}
    if change.action == "delete":
        return {name: row[name] for name in ("id", "status_id", "pipeline_id")}
    item = {
        **{name: row[name] for name in ("id", "name", "status_id", "price", "responsible_user_id")},
        "last_modified": row["updated_at"],
        "modified_user_id": row["updated_by"],
        "created_user_id": row["created_by"],
        "date_create": row["created_at"],
        "pipeline_id": row["pipeline_id"],
        "account_id": account.id,
        "custom_fields": _custom_fields(row),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
    if change.action == "status":
        item |= {"old_status_id": before.get("status_id"), "old_pipeline_id": before.get("pipeline_id")}
    if change.action == "responsible":
        item |= {"old_responsible_user_id": before.get("responsible_user_id")}
    return item


def _contact(account: Account, change: Change) -> Row:
    row, before = change.row, change.before or {}
    kind = _KINDS[change.entity]
    if change.action == "delete":
        return {"id": row["id"], "type": kind}
    item = {
        **{name: row[name] for name in ("id", "name", "responsible_user_id")},
        "date_create": row["created_at"],
        "last_modified": row["updated_at"],
        "created_user_id": row["created_by"],
        "modified_user_id": row["updated_by"],
        "account_id": account.id,
        "custom_fields": _custom_fields(row),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "type": kind,
    }
    if change.entity == "contacts":
        item["linked_leads_id"] = {lead: {"ID": lead} for lead in account.leads_of(row["id"])}
    if change.action == "responsible":
        item["old_responsible_user_id"] = before.get("responsible_user_id")
    return item


def _task(change: Change) -> Row:
    row = change.row
    return {
        "id": row["id"],
        "element_id": row["entity_id"],
        "element_type": _ELEMENT_TYPES.get(row["entity_type"]),
        "task_type": row["task_type_id"],
        "text": row["text"],
        "status": row["is_completed"],
        "date_create": text_date(row["created_at"]),
        "complete_till": text_date(row["complete_till"]),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "complete_before": row["complete_till"],
    }


def _note(account: Account, of: str, row: Row) -> Row:
    return {
        "id": row["id"],
        "text": row["params"].get("text", ""),
        "note_type": _NOTE_TEXT if row["note_type"] == "common" else _NOTE_OTHER,
        "element_type": _ELEMENT_TYPES[of],
        "element_id": row["entity_id"],
        "metadata": "{}",
        "account_id": account.id,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _custom_fields(row: Row) -> list[Row]:
    """`values` is a list of objects, of a date a list of texts, of a radio button one object."""
    found = []
    for field in row.get("custom_fields_values") or ():
        held = field["values"][0]
        if field["field_id"] == DATE_FIELD:
            values: Any = [text_date(int(held["value"]))]
        elif field["field_id"] == SOURCE_FIELD:
            values = {"value": held["value"], "enum": held.get("enum_id")}
        else:
            values = [{"value": one["value"], "enum": one.get("enum_id")} for one in field["values"]]
        found.append({"id": field["field_id"], "name": field["field_name"], "values": values})
    return found
