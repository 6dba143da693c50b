"""What does the platform's job kommo:send-message do? It leaves the message as a note at the lead, once.

Kommo's API sends no mail and writes into nobody's chat: the platform posts a note for either, and
so do we, as note_type common; its outgoing_email is none of Kommo's. It also counts words in `usage_daily` and
`subscriptions`: those tables are the platform's bookkeeping, not in our schema, and are left to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oxcart.errors import Discard, InvalidInput
from oxcart.kommo.crm import Crm
from oxcart.kommo.push.drafts import NewNote
from oxcart.kommo.push.pushing import push_as_job

CHANNELS = ("email", "chat")

_DOING = "Reading kommo:send-message"


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """The job's data, checked. `connection_id` and `domain` are for organisations with several accounts."""

    org_id: str
    lead_id: int
    text: str
    connection_id: str | None = None
    domain: str | None = None


async def send_message(crm: Crm, data: Any, *, key: str) -> dict[str, Any]:
    """Returns {ok, noteId, dealId, state}. `key` is what may be sent once: queue:jobId. Raises as push_as_job does."""
    try:
        message = read_message(data)
        stored = await crm.find(connection_id=message.connection_id, domain=message.domain, org_id=message.org_id)
    except InvalidInput as error:
        raise Discard(str(error)) from error
    note = NewNote("leads", message.lead_id, message.text)
    note_id = await push_as_job(crm.account(stored, interactive=True), key, note)
    return {"ok": True, "noteId": note_id, "dealId": str(message.lead_id), "state": "confirmed"}


def read_message(data: Any) -> OutgoingMessage:
    """{orgId, dealId, channel, message: {subject?, body, attachments?: [{name, url}]}}. Raises InvalidInput."""
    given = _mapping(data, "the data")
    message = _mapping(given.get("message"), "message")
    if given.get("channel") not in CHANNELS:
        raise InvalidInput(f"{_DOING}: channel is email or chat.")
    org_id, lead = given.get("orgId"), str(given.get("dealId")).strip()
    if not isinstance(org_id, str) or not org_id:
        raise InvalidInput(f"{_DOING}: orgId is missing; it says whose account the message goes to.")
    if not (lead.isascii() and lead.isdecimal() and 0 < int(lead) < 2**63):
        raise InvalidInput(f"{_DOING}: dealId is the number of a lead, as in its address in Kommo.")
    text = _text(message, with_subject=given["channel"] == "email")
    if not text:
        raise InvalidInput(f"{_DOING}: message.body is empty; there is nothing to send.")
    return OutgoingMessage(org_id, int(lead), text, _optional(given, "connectionId"), _optional(given, "baseDomain"))


def _text(message: Mapping[str, Any], *, with_subject: bool) -> str:
    """Subject, body, and a line for each attachment, with blank lines between."""
    subject = message.get("subject") if with_subject else None
    attachments = message.get("attachments") or []
    if not isinstance(attachments, list):
        raise InvalidInput(f"{_DOING}: message.attachments is a list of {{name, url}}.")
    parts = [subject, message.get("body"), "\n".join(filter(None, map(_attachment, attachments)))]
    if not all(part is None or isinstance(part, str) for part in parts):
        raise InvalidInput(f"{_DOING}: message.subject and message.body are texts.")
    return "\n\n".join(part.strip() for part in parts if part and part.strip())


def _attachment(given: Any) -> str:
    if isinstance(given, str):
        return given.strip()
    found = [given.get("name"), given.get("url")] if isinstance(given, dict) else []
    return ": ".join(part.strip() for part in found if isinstance(part, str) and part.strip())


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{_DOING}: {what} is no object; it is {{orgId, dealId, channel, message: {{body}}}}.")
    return value


def _optional(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    return value if isinstance(value, str) and value else None
