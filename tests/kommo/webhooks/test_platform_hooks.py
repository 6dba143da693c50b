"""Do the platform's own webhook jobs leave one row each, as its pages read it, and marks in the right connection?"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select, update

from kommo.stored import add_account
from kommo.webhooks.conftest import ON_SQLITE, marks_of
from oxcart.errors import Discard
from oxcart.kommo.account import Account
from oxcart.kommo.crm import Crm
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.platform_tables import webhook_events
from oxcart.kommo.webhooks.platform_hooks import handle_platform_hook, retry_platform_event
from oxcart.secret import Secret

SECRET = Secret("platform-secret")
PAYLOAD = {
    "account": {"id": "31000001", "subdomain": "demo"},
    "leads": {"status": [{"id": "5", "status_id": "142", "updated_at": "1790000000"}]},
    "contacts": {"update": [{"id": "7", "type": "company"}]},
}


def data(account: Account, payload: Any = PAYLOAD, **others: Any) -> dict[str, Any]:
    return {"orgId": account.org_id, "provider": "kommo", "payload": payload, **others}


async def events_of(database: Database) -> list[dict[str, Any]]:
    async with database.reading("Asserting") as connection:
        found = await connection.execute(select(webhook_events).order_by(webhook_events.c.created_at))
        return [dict(row) for row in found.mappings()]


async def test_a_job_makes_one_row_however_often_it_runs(database: Database, crm: Crm, account: Account) -> None:
    """1.4: the Node worker made another row with each attempt."""
    handled = [await handle_platform_hook(crm, data(account), job_id="41") for _ in range(3)]
    await handle_platform_hook(crm, data(account), job_id="42")

    first, second = await events_of(database)
    assert first["id"] != second["id"]
    assert {one.event_id for one in handled} == {first["id"]}
    assert {one.connection_id for one in handled} == {account.connection_id}
    assert [one.marks for one in handled] == [2, 0, 0]
    assert (first["status"], first["error"], first["provider"]) == ("completed", None, "kommo")
    assert (first["event_type"], first["event_subtype"]) == ("leads", "lead_status_changed")
    assert (first["entity_id"], first["entity_type"]) == ("5", "lead")
    assert first["payload"] == PAYLOAD
    assert first["processed_at"] is not None
    assert await marks_of(database) == [("companies", "7"), ("leads", "5")]


@ON_SQLITE
@pytest.mark.parametrize(
    ("payload", "names", "marked"),
    [
        ({"leads[delete][0][id]": "5", "account[id]": "31000001"}, ("leads", "lead_deleted", "5"), "leads"),
        ({"contacts": {"add": [{"id": 7, "type": "company"}]}}, ("companies", "company_created", "7"), "companies"),
        ({"contacts": {"update": {"0": {"id": "7"}}}}, ("contacts", "contact_updated", "7"), "contacts"),
        ({"task": {"add": [{"id": "9"}]}}, ("tasks", "task_created", "9"), "tasks"),
        ({"message": {"add": [{"id": "u-1", "text": "hi"}]}}, ("messages", "message_received", "u-1"), None),
        ({"unsorted": {"add": [{"uid": "x"}]}}, ("unknown", None, None), None),
        (
            {"leads": {"note": [{"note": {"id": "3", "element_id": "5", "element_type": "2"}}]}},
            ("leads", "lead_note_added", "5"),
            "leads_notes",
        ),
    ],
)
async def test_every_shape_that_the_platform_passes_on_is_read(
    database: Database, crm: Crm, account: Account, payload: dict[str, Any], names: tuple[Any, ...], marked: str | None
) -> None:
    """1.4, 14: keys task, message, unsorted; companies under contacts; nested, or with the brackets unparsed."""
    await handle_platform_hook(crm, data(account, payload), job_id="1")

    (event,) = await events_of(database)
    assert (event["event_type"], event["event_subtype"], event["entity_id"]) == names
    assert event["status"] == "completed"
    assert [entity for entity, _ in await marks_of(database)] == ([marked] if marked else [])


@ON_SQLITE
async def test_the_signature_is_checked_where_there_is_one(database: Database, crm: Crm, account: Account) -> None:
    raw = msgspec.json.encode(PAYLOAD).decode()
    good = hmac.new(SECRET.reveal().encode(), raw.encode(), hashlib.sha256).hexdigest()

    await handle_platform_hook(crm, data(account, signature=good, rawBody=raw), job_id="1", webhook_secret=SECRET)
    await handle_platform_hook(crm, data(account, signature=good), job_id="2", webhook_secret=SECRET)
    await handle_platform_hook(crm, data(account, signature=None), job_id="3", webhook_secret=SECRET)
    await handle_platform_hook(crm, data(account, signature="any"), job_id="4")
    for signature in ("0" * 64, "", 5, good[:-1], "é"):
        with pytest.raises(Discard, match="does not fit KOMMO_WEBHOOK_SECRET") as raised:
            await handle_platform_hook(
                crm, data(account, signature=signature, rawBody=raw), job_id="5", webhook_secret=SECRET
            )
        assert SECRET.reveal() not in str(raised.value)

    assert len(await events_of(database)) == 4


@ON_SQLITE
@pytest.mark.parametrize(
    "wrong",
    [
        {"orgId": None},
        {"orgId": "7"},
        {"payload": None},
        {"payload": "leads"},
        {"payload": [1]},
        {"provider": "hubspot"},
    ],
)
async def test_a_job_that_is_none_is_discarded(
    database: Database, crm: Crm, account: Account, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Discard, match=r"^kommo:webhook: "):
        await handle_platform_hook(crm, data(account) | wrong, job_id="1")

    assert await events_of(database) == []


async def test_a_payload_that_names_nothing_fails_with_the_reason_in_its_row(
    database: Database, crm: Crm, account: Account
) -> None:
    with pytest.raises(Discard, match="names no lead"):
        await handle_platform_hook(crm, data(account, {"hello": 1}), job_id="1")

    (event,) = await events_of(database)
    assert event["status"] == "failed"
    assert "names no lead" in event["error"]
    assert event["payload"] == {"hello": 1}


async def test_the_right_connection_of_the_organisation_is_marked(
    database: Database, crm: Crm, account: Account
) -> None:
    """1.4, 17: any second connection of an organisation broke the Node worker."""
    second = await add_account(
        database,
        org_id=account.org_id,
        client_secret=None,
        base_domain="second.amocrm.com",
        account_id=None,
        access_token="x",
    )
    other = await add_account(database, base_domain="demo.kommo.com")
    edit = {"leads": {"update": [{"id": 5}]}}

    by_id = await handle_platform_hook(crm, data(account, {**edit, "account": {"id": 31000001}}), job_id="1")
    by_name = await handle_platform_hook(crm, data(account, {**edit, "account": {"subdomain": "second"}}), job_id="2")
    for stranger in ({}, {"id": 5}, {"id": 5, "subdomain": "demo"}):
        with pytest.raises(Discard, match="Connect the account"):
            await handle_platform_hook(crm, data(account, {**edit, "account": stranger}), job_id="3")

    assert (by_id.connection_id, by_name.connection_id) == (account.connection_id, second)
    assert other not in {by_id.connection_id, by_name.connection_id}


@pytest.mark.parametrize("status", ["pending", "processing", "retrying", "failed"])
async def test_a_row_that_somebody_left_is_taken_up_again(
    database: Database, crm: Crm, account: Account, status: str
) -> None:
    """1.4, 13: what a killed process left as processing was refused for ever."""
    event_id = str(uuid.uuid4())
    row = {"id": event_id, "org_id": account.org_id, "provider": "kommo", "event_type": "leads", "payload": PAYLOAD}
    async with database.writing("Acting as the platform") as connection:
        started = {"processing_started_at": datetime(2026, 1, 1, tzinfo=UTC), "retry_count": 1, "error": "boom"}
        await connection.execute(insert(webhook_events).values(row | started | {"status": status}))

    handled = await retry_platform_event(crm, {"eventId": event_id, "retryCount": 2})
    again = await retry_platform_event(crm, {"eventId": event_id, "retryCount": 3})

    (event,) = await events_of(database)
    assert (handled.marks, handled.connection_id) == (2, account.connection_id)
    assert (again.marks, again.connection_id) == (0, account.connection_id)
    assert (event["status"], event["retry_count"], event["error"]) == ("completed", 2, None)


async def test_an_event_that_is_completed_stays_so(database: Database, crm: Crm, account: Account) -> None:
    await handle_platform_hook(crm, data(account), job_id="1")
    async with database.writing("Acting as the platform") as connection:
        await connection.execute(update(webhook_events).values(payload={"hello": 1}, error="kept"))
    (before,) = await events_of(database)

    handled = await retry_platform_event(crm, {"eventId": before["id"], "retryCount": 9})

    assert handled.connection_id is None
    assert await events_of(database) == [before]


@ON_SQLITE
@pytest.mark.parametrize("event_id", [None, "7", "00000000-0000-0000-0000-000000000000"])
async def test_a_retry_of_nothing_is_discarded(crm: Crm, account: Account, event_id: str | None) -> None:
    assert account.org_id

    with pytest.raises(Discard, match=r"^webhook:retry: "):
        await retry_platform_event(crm, {"eventId": event_id, "retryCount": 1})
