"""What becomes of a webhook that the platform received itself? A row of webhook_events as it reads them, and marks.

Bodies of the platform's jobs `kommo:webhook` and `webhook:retry`. Each may be run again at any point: a job makes one
row whatever happens, and a row that a killed process left as `processing` is taken up again.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from oxcart.errors import Discard
from oxcart.kommo.address import TOP_DOMAINS
from oxcart.kommo.crm import Crm
from oxcart.kommo.store.columns import insert_into, storable
from oxcart.kommo.store.connections import KOMMO, StoredConnection, list_connections
from oxcart.kommo.store.database import now
from oxcart.kommo.store.platform_tables import webhook_events as events
from oxcart.kommo.sync.marks import mark_dirty
from oxcart.kommo.webhooks.event_names import EventName, event_name
from oxcart.kommo.webhooks.expand import ACCOUNT, expand
from oxcart.kommo.webhooks.forms import Tree, UnreadableHook, text_of, tree_of
from oxcart.secret import Secret

_NAMESPACE = uuid.UUID("a0d1b1a3-6a0b-4e59-8df8-7a2b9f6c3f5e")

PENDING, PROCESSING, COMPLETED, FAILED = "pending", "processing", "completed", "failed"


@dataclass(frozen=True, slots=True)
class Handled:
    """`connection_id` may have new marks, for `drain_hooks` to read; None where nobody knows whose the webhook was."""

    event_id: str
    connection_id: str | None
    marks: int
    ignored: int

    def as_json(self) -> dict[str, Any]:
        return {"eventId": self.event_id, "marks": self.marks, "ignored": self.ignored}


async def handle_platform_hook(
    crm: Crm, data: Mapping[str, Any], *, job_id: str, webhook_secret: Secret | None = None
) -> Handled:
    """`data`: {orgId, provider, payload, signature?, rawBody?}. Raises Discard for what no repeating will mend."""
    org_id, payload = data.get("orgId"), data.get("payload")
    if not isinstance(org_id, str) or not _is_uuid(org_id) or not isinstance(payload, Mapping):
        raise Discard("kommo:webhook: it needs an orgId and a payload that is an object; the producer sent others.")
    if data.get("provider", KOMMO) != KOMMO:
        raise Discard("kommo:webhook: its provider is not kommo, and no other is known here.")
    _check_signature(data, webhook_secret)
    event_id = _event_id(org_id, job_id, payload)
    await _begin(crm, event_id, org_id, payload)
    return await _process(crm, event_id)


async def retry_platform_event(crm: Crm, data: Mapping[str, Any]) -> Handled:
    """`data`: {eventId, retryCount}. One that is completed stays so. Raises Discard."""
    event_id, count = data.get("eventId"), data.get("retryCount")
    if not isinstance(event_id, str) or not _is_uuid(event_id):
        raise Discard("webhook:retry: it needs the eventId of a row in webhook_events; the producer sent another.")
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31
    return await _process(crm, event_id, retry_count=count if is_count else None)


# ------------------------------------------------------------------------------------------------ the row
def _event_id(org_id: str, job_id: str, payload: Mapping[str, Any]) -> str:
    """The same for each attempt of a job; another for a job of the same id in an emptied Redis."""
    says = hashlib.sha256(msgspec.json.encode(storable(dict(payload)), order="deterministic")).hexdigest()
    return str(uuid.uuid5(_NAMESPACE, f"{org_id}\0{job_id}\0{says}"))


async def _begin(crm: Crm, event_id: str, org_id: str, payload: Mapping[str, Any]) -> None:
    async def write(connection: AsyncConnection) -> None:
        try:
            name = event_name(tree_of(payload))
        except UnreadableHook:
            name = EventName()
        row = {
            "id": event_id,
            "org_id": org_id,
            "provider": KOMMO,
            "event_type": name.kind,
            "event_subtype": name.subtype,
            "entity_id": name.entity_id,
            "entity_type": name.entity_type,
            "payload": storable(dict(payload)),
            "status": PENDING,
            "retry_count": 0,
            "max_retries": 3,
            "created_at": await now(connection),
        }
        await connection.execute(
            insert_into(connection, events).values(row).on_conflict_do_nothing(index_elements=["id"])
        )

    await crm.database.write("Storing a webhook of the platform", write)


async def _process(crm: Crm, event_id: str, *, retry_count: int | None = None) -> Handled:
    """Marks and the row's new status in one transaction: `processing` is never seen outside."""

    async def write(connection: AsyncConnection) -> Handled | str:
        at = await now(connection)
        known = (await connection.execute(select(events).where(events.c.id == event_id).with_for_update())).first()
        if known is None:
            raise Discard(f"webhook:retry: webhook_events has no row {event_id}; it was removed, or never made.")
        tried = {"processing_started_at": at, "retry_count": max(known.retry_count or 0, retry_count or 0)}
        try:
            handled = await _mark(connection, known, at)
        except UnreadableHook as error:
            if known.status == COMPLETED:  # by someone who could do something with it
                return Handled(event_id, None, 0, 0)
            await _end(connection, event_id, FAILED, tried, at=at, error=str(error))
            return str(error)
        if known.status != COMPLETED:
            await _end(connection, event_id, COMPLETED, tried, at=at, error=None)
        return handled

    handled = await crm.database.write("Expanding a webhook of the platform", write)
    if isinstance(handled, str):
        raise Discard(handled)
    return handled


async def _mark(connection: AsyncConnection, event: Row[Any], at: datetime) -> Handled:
    """Nothing new of an event that is completed, but whose it is. Raises UnreadableHook."""
    if not isinstance(event.payload, Mapping):
        raise UnreadableHook("Reading a webhook: the payload in webhook_events is no object. Look at its sender.")
    tree = tree_of(event.payload)
    expanded = expand(tree)
    known = [one for one in await list_connections(connection) if one.org_id == event.org_id]
    connection_id = _connection_of(tree, known).id
    if event.status == COMPLETED:
        return Handled(event.id, connection_id, 0, 0)
    marks = await mark_dirty(connection, connection_id, expanded.marks, at=at)
    return Handled(event.id, connection_id, marks, expanded.ignored)


async def _end(
    connection: AsyncConnection,
    event_id: str,
    status: str,
    tried: Mapping[str, Any],
    *,
    at: datetime,
    error: str | None,
) -> None:
    values = {**tried, "status": status, "error": error, "next_retry_at": None}
    values["processed_at"] = at if status == COMPLETED else None
    await connection.execute(update(events).where(events.c.id == event_id).values(values))


# ------------------------------------------------------------------------------------------------ whose it is
def _connection_of(tree: Tree, known: list[StoredConnection]) -> StoredConnection:
    """By the account that the payload names, else the only one. Raises UnreadableHook where that is open."""
    account = tree.get(ACCOUNT)
    named = account if isinstance(account, dict) else {}
    account_id = text_of(named.get("id"))
    address = text_of(named.get("base_domain")) or text_of(named.get("subdomain")) or ""
    by_id = [one for one in known if account_id is not None and one.account_id == account_id]
    by_address = [one for one in known if one.domain in _hosts(address) and one.account_id in {None, account_id}]
    only = known if account_id is None and not address else []
    found = by_id or by_address or only
    if len(found) == 1:
        return found[0]
    which = "more than one Kommo connection" if found else "no Kommo connection for this account"
    raise UnreadableHook(
        f"Reading a webhook of the platform: its organisation has {which}. Connect the account: oxcart kommo connect."
    )


def _hosts(address: str) -> set[str]:
    address = address.lower()
    return {address} if "." in address else {f"{address}.{top}" for top in TOP_DOMAINS if address}


def _check_signature(data: Mapping[str, Any], secret: Secret | None) -> None:
    """The platform's own: HMAC-SHA256 in hex of the raw body, where it passes a signature on."""
    signature = data.get("signature")
    if secret is None or signature is None:
        return
    raw = data.get("rawBody")
    body = storable(raw).encode() if isinstance(raw, str) else msgspec.json.encode(storable(data.get("payload")))
    expected = hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
    given = signature if isinstance(signature, str) else ""
    if not hmac.compare_digest(expected.encode(), given.strip().lower().encode("utf-8", "replace")):
        raise Discard(
            "kommo:webhook: its signature does not fit KOMMO_WEBHOOK_SECRET; whoever sent it does not know the secret, "
            "or the platform has another one."
        )


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
