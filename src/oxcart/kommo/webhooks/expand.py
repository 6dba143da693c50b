"""Which rows does a webhook say have changed? Marks to read them by; nothing else that it says is believed.

Companies come under `contacts` with a type, notes under what they hang on; messages, talks,
incoming leads and catalogs have no stream of ours and are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from oxcart.kommo.sync.marks import Mark
from oxcart.kommo.webhooks.forms import Tree, UnreadableHook, items_of, parse_form, parse_json_hook, text_of

FORM, JSON = "application/x-www-form-urlencoded", "application/json"

ACCOUNT = "account"
NOTE = "note"

_UPDATE = "update"
_ACTIONS = {"add": "add", "delete": "delete", "restore": "restore"}  # a change of status or owner is an update
_TOP = {"leads": "leads", "contacts": "contacts", "companies": "companies", "task": "tasks", "tasks": "tasks"}
_WITHOUT_STREAM = frozenset(
    {"unsorted", "message", "messages", "outgoing_message", "talk", "catalogs", "customers", "calls"}
)
_NOTES_OF = {"1": "contacts", "2": "leads", "3": "companies"}  # element_type
_TIMES = ("updated_at", "last_modified", "created_at", "date_create")
_LONGEST_ID = 20


@dataclass(frozen=True, slots=True)
class Expanded:
    """`ignored` counts what is known and not mirrored, `account_id` is the sender's, None if it does not say."""

    marks: tuple[Mark, ...]
    ignored: int
    account_id: str | None


def expand_body(body: str, content_type: str | None) -> Expanded:
    """Raises UnreadableHook for a body that names nothing we know: its sender is not Kommo, or we must learn."""
    kind = (content_type or FORM).partition(";")[0].strip().lower()
    if kind == FORM:
        return expand(parse_form(body))
    if kind == JSON or kind.endswith("+json"):
        return expand(parse_json_hook(body))
    raise UnreadableHook(f"Reading a webhook: its content type is not {FORM}. Look at its sender.")


def expand(tree: Tree) -> Expanded:
    """Raises UnreadableHook as `expand_body`."""
    marks, ignored = [], 0
    for key, node in tree.items():
        if key in _WITHOUT_STREAM:
            ignored += sum(len(items_of(items)) for items in node.values()) if isinstance(node, dict) else 1
        elif key in _TOP and isinstance(node, dict):
            marks += [mark for action, items in node.items() for mark in _marks(_TOP[key], action, items)]
    if not marks and not _WITHOUT_STREAM & tree.keys():
        raise UnreadableHook("Reading a webhook: it names no lead, contact, company, task or note. Look at its sender.")
    return Expanded(tuple(marks), ignored, _account_id(tree))


def _marks(entity: str, action: str, items: Any) -> Iterator[Mark]:
    for item in items_of(items):
        if action == NOTE:
            found = _note(entity, item)
        else:
            found = _mark(_entity_of(entity, item), item, _ACTIONS.get(action, _UPDATE))
        if found is not None:
            yield found


def _entity_of(entity: str, item: Tree) -> str:
    is_company = entity == "contacts" and text_of(item.get("type")) == "company"
    return "companies" if is_company else entity


def _note(entity: str, item: Tree) -> Mark | None:
    within = item.get(NOTE)
    note = within if isinstance(within, dict) else item
    of = _NOTES_OF.get(text_of(note.get("element_type")) or "", entity)
    return _mark(f"{of}_notes", note, _UPDATE) if of != "tasks" else None


def _mark(entity: str, item: Tree, action: str) -> Mark | None:
    external_id = text_of(item.get("id")) or ""
    if not (external_id.isascii() and external_id.isdecimal() and len(external_id) <= _LONGEST_ID):
        return None
    return Mark(entity, external_id, action, _hint(item))


def _hint(item: Tree) -> datetime | None:
    """When it changed, by the sender: epoch seconds. Dates in words have no zone there, and say nothing."""
    for name in _TIMES:
        text = text_of(item.get(name)) or ""
        if text.isascii() and text.isdecimal() and 0 < len(text) <= 10 and int(text) > 0:
            return datetime.fromtimestamp(int(text), UTC)
    return None


def _account_id(tree: Tree) -> str | None:
    account = tree.get(ACCOUNT)
    return text_of(account.get("id")) if isinstance(account, dict) else None
