"""What does the platform call a webhook? The words in webhook_events that its pages and its analytics know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oxcart.kommo.webhooks.expand import NOTE
from oxcart.kommo.webhooks.forms import Tree, items_of, text_of

_KINDS = {
    "leads": ("leads", "lead"),
    "contacts": ("contacts", "contact"),
    "companies": ("companies", "company"),
    "task": ("tasks", "task"),
    "tasks": ("tasks", "task"),
    "message": ("messages", "message"),
    "messages": ("messages", "message"),
}
_SUBTYPES = {
    "add": "created",
    "update": "updated",
    "responsible": "updated",
    "status": "status_changed",
    "delete": "deleted",
    "restore": "restored",
    NOTE: "note_added",
}


@dataclass(frozen=True, slots=True)
class EventName:
    """Of the first thing that a webhook names, for the row has room for one; the payload has all of them."""

    kind: str = "unknown"
    subtype: str | None = None
    entity_id: str | None = None
    entity_type: str | None = None


def event_name(tree: Tree) -> EventName:
    for key, (kind, entity_type) in _KINDS.items():
        node = tree.get(key)
        for action, items in node.items() if isinstance(node, dict) else ():
            for item in items_of(items):
                return _name(kind, entity_type, action, item)
    return EventName()


def _name(kind: str, entity_type: str, action: str, item: Tree) -> EventName:
    within: Any = item.get(NOTE) if action == NOTE else None
    about = within if isinstance(within, dict) else item
    if kind == "contacts" and text_of(item.get("type")) == "company":
        kind, entity_type = "companies", "company"
    said = "received" if kind == "messages" else _SUBTYPES.get(action, "updated")
    entity_id = text_of(about.get("element_id")) if within is about else text_of(about.get("id"))
    return EventName(kind, f"{entity_type}_{said}", entity_id, entity_type)
