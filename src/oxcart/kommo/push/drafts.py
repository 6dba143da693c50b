"""What can be pushed into an account, and how is it known again there? Notes and tasks, each with a mark in its text.

Kommo has no idempotency key: after a lost answer the account itself has to tell whether a note is there. So every text
ends with a reference of its own, as letters and invoices have one: "Ref. ox-4kq7w2nd3f". The alternatives are worse.
A service_message could carry it in `params.service`, but shows every note as written by a machine whose name changes
each time; invisible characters may be stripped on the way, and then nothing is ever found again; comparing whole texts
takes the same words of a colleague for ours, and fails where Kommo trims or escapes them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.entity import Entity
from oxcart.kommo.store.columns import storable
from oxcart.language import tr

CARDS = ("leads", "contacts", "companies")

_MARKER_CHARACTERS = 10  # 50 bits, looked for among the notes of a few cards


@dataclass(frozen=True, slots=True)
class NewNote:
    """`entity_type` is leads, contacts or companies."""

    entity_type: str
    entity_id: int
    text: str


@dataclass(frozen=True, slots=True)
class NewTask:
    """`complete_till` has a zone. Without `responsible_user_id` Kommo gives it to the user who granted the token."""

    entity_type: str
    entity_id: int
    text: str
    complete_till: datetime
    task_type_id: int = 1
    responsible_user_id: int | None = None


class Kind(StrEnum):
    NOTE = "note"
    TASK = "task"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be posted, as the outbox keeps it. `payload` is JSON, without the marker."""

    kind: Kind
    entity_type: str
    entity_id: str
    payload: dict[str, Any]

    @property
    def stream(self) -> Entity:
        """Where it is posted, and found again."""
        return ENTITIES["tasks" if self.kind is Kind.TASK else f"{self.entity_type}_notes"]


def draft_of(new: NewNote | NewTask) -> Draft:
    """Raises InvalidInput for what Kommo would refuse in any case."""
    doing = f"Pushing a {'note' if isinstance(new, NewNote) else 'task'}"
    if new.entity_type not in CARDS:
        raise InvalidInput(
            tr(
                '{doing}: "{entity_type}" is no card; it is leads, contacts or companies.',
                doing=doing,
                entity_type=str(new.entity_type)[:40],
            )
        )
    if isinstance(new.entity_id, bool) or not isinstance(new.entity_id, int) or new.entity_id <= 0:
        raise InvalidInput(
            tr(
                "{doing}: the id of the card is a whole number above 0, not {entity_id!r}.",
                doing=doing,
                entity_id=str(new.entity_id)[:40],
            )
        )
    if not isinstance(new.text, str) or not new.text.strip():
        raise InvalidInput(
            tr(
                "{doing} to {entity_type} {entity_id}: its text is empty; give it one.",
                doing=doing,
                entity_type=new.entity_type,
                entity_id=new.entity_id,
            )
        )
    kind, more = (Kind.NOTE, {"note_type": "common"}) if isinstance(new, NewNote) else (Kind.TASK, _task(new))
    return Draft(kind, new.entity_type, str(new.entity_id), storable({**more, "text": new.text.rstrip()}))


def marker_of(connection_id: str, key: str) -> str:
    """The same for the same key, so that it is found by whoever comes after us."""
    digest = hashlib.sha256(f"{connection_id}\0{key}".encode(errors="surrogatepass")).digest()
    return "ox-" + base64.b32encode(digest).decode().lower()[:_MARKER_CHARACTERS]


def posted_row(draft: Draft, marker: str) -> dict[str, Any]:
    """As it goes to Kommo."""
    payload = dict(draft.payload)
    text = f"{payload.pop('text')}\n\nRef. {marker}"
    common = {"entity_id": int(draft.entity_id)}
    if draft.kind is Kind.TASK:
        return {**common, "entity_type": draft.entity_type, "text": text, **payload}
    return {**common, **payload, "params": {"text": text}}


def text_of(raw: Mapping[str, Any]) -> str:
    """The text of a note or task as Kommo lists it."""
    params = raw.get("params")
    text = params.get("text") if isinstance(params, dict) else raw.get("text")
    return text if isinstance(text, str) else ""


def _task(new: NewTask) -> dict[str, Any]:
    if new.complete_till.tzinfo is None:
        raise InvalidInput(tr("Pushing a task: complete_till has no time zone; give it one, as in datetime.now(UTC)."))
    payload: dict[str, Any] = {"complete_till": int(new.complete_till.timestamp()), "task_type_id": new.task_type_id}
    if new.responsible_user_id is not None:
        payload["responsible_user_id"] = new.responsible_user_id
    return payload
