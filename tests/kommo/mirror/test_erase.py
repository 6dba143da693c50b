"""Is a contact gone from everywhere once it was erased, and is nothing else?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Text, and_, cast, insert, or_, select
from support.mirror import Mirror

from oxcart.errors import InvalidInput
from oxcart.kommo.erase import Erased, ErasedJobs, erase_contact, erase_from_queue
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.own_tables import crm_field_values, crm_hooks, crm_links, crm_outbox
from oxcart.kommo.store.platform_tables import METADATA, webhook_events
from oxcart.kommo.sync.compare import compare_account
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.queue.producer import Queue

CONTACT, OTHER = 30_000_011, 30_000_012
NAME = "Zebulon Quick"


def hook(contact_id: int, **more: Any) -> str:
    return urlencode({"contacts[update][0][id]": contact_id, "contacts[update][0][type]": "contact", **more})


@pytest.fixture
async def peopled(mirror: Mirror) -> Mirror:
    """Two contacts of which everything there is speaks, in every table."""
    demo = mirror.sandbox.demo
    for contact in (CONTACT, OTHER):
        demo.edit("contacts", contact, {"name": NAME, "first_name": "Zebulon"})
        demo.add("contacts_notes", {"entity_id": contact, "params": {"text": NAME}})
        demo.add("tasks", {"entity_id": contact, "entity_type": "contacts", "text": NAME})
        demo.edit("leads", demo.random_id("leads", contact) or 0, {"_contacts": [[contact, True]]})
    await mirror.fill("contacts", "leads", "contacts_notes", "tasks", "events")
    await mirror.mark("contacts", [CONTACT, OTHER])
    async with mirror.database.writing("Arranging") as connection:
        for contact in (CONTACT, OTHER):
            await store(connection, mirror, contact)
    return mirror


async def store(connection: Any, mirror: Mirror, contact: int) -> None:
    ours = {"connection_id": mirror.account.connection_id}
    at = datetime.now(UTC)
    hooks = {**ours, "body_hash": f"h{contact}", "received_at": at, "body": hook(contact, name=NAME)}
    await connection.execute(insert(crm_hooks).values(hooks))
    payload = {"contacts": {"update": [{"id": str(contact), "name": NAME}]}}
    saved = {"org_id": mirror.account.org_id, "provider": "kommo", "event_type": "contacts", "payload": payload}
    await connection.execute(insert(webhook_events).values(saved))
    posts = {**ours, "key": f"k{contact}", "kind": "note", "payload": {"text": NAME}, "marker": "m", "created_at": at}
    posts |= {"entity_type": "contacts", "entity_id": str(contact)}
    await connection.execute(insert(crm_outbox).values(posts))


async def everything(mirror: Mirror) -> dict[str, list[str]]:
    """Every row of every table that has a text with the name or the contact's id in it, as one text."""
    found: dict[str, list[str]] = {}
    async with mirror.database.reading("Asserting") as connection:
        for table in METADATA.sorted_tables:
            joined = [cast(column, Text) for column in table.columns]
            rows = [" ".join(str(value) for value in row) for row in await connection.execute(select(*joined))]
            found[table.name] = [row for row in rows if str(CONTACT) in row]
    return {name: rows for name, rows in found.items() if rows}


async def test_nothing_but_a_tombstone_and_keys_are_left(peopled: Mirror) -> None:
    peopled.sandbox.demo.delete("contacts", CONTACT)
    links = await count_links(peopled)

    erased = await erase_contact(peopled.account, str(CONTACT))

    left = await everything(peopled)
    assert erased == Erased(
        str(CONTACT),
        contacts=1,
        links=links,
        notes=erased.notes,
        tasks=1,
        events=erased.events,
        marks=1,
        hooks=1,
        webhook_events=1,
        outbox=1,
        is_in_kommo=False,
    )
    assert links >= 1
    assert erased.notes >= 1
    assert erased.events >= 1
    assert erased.advice is None
    assert set(left) <= {"crm_contacts", "crm_leads", "crm_outbox"}
    assert NAME not in " ".join(left["crm_contacts"] + left["crm_outbox"])
    row = (await peopled.rows("contacts"))[str(CONTACT)]
    assert (row["raw"], row["name"], row["first_name"], row["deleted_source"]) == (None, None, None, "erased")


async def count_links(mirror: Mirror) -> int:
    """To its company, and from its leads."""
    ends = ((crm_links.c.from_type, crm_links.c.from_id), (crm_links.c.to_type, crm_links.c.to_id))
    query = select(crm_links).where(or_(*(and_(kind == "contacts", end == str(CONTACT)) for kind, end in ends)))
    async with mirror.database.reading("Asserting") as connection:
        return len((await connection.execute(query)).all())


async def test_another_contact_keeps_everything(peopled: Mirror) -> None:
    async def others() -> list[int]:
        notes, events, tasks = (ENTITY_TABLES[name].c for name in ("crm_notes", "crm_events", "kommo_tasks"))
        queries = (
            select(crm_hooks.c.body).where(crm_hooks.c.body.contains(str(OTHER))),
            select(webhook_events.c.id).where(cast(webhook_events.c.payload, Text).contains(str(OTHER))),
            select(crm_outbox.c.id).where(cast(crm_outbox.c.payload, Text).contains(NAME)),
            select(tasks.external_id).where(tasks.entity_id == str(OTHER)),
            select(crm_field_values.c.text).where(crm_field_values.c.entity_id == str(OTHER)),
            select(notes.external_id).where(notes.entity_id == str(OTHER)),
            select(events.external_id).where(events.entity_id == str(OTHER)),
            select(crm_links.c.to_id).where(crm_links.c.to_id == str(OTHER)),
        )
        async with peopled.database.reading("Asserting") as connection:
            return [len((await connection.execute(query)).all()) for query in queries]

    before = await others()

    await erase_contact(peopled.account, str(CONTACT))

    assert await others() == [*before[:2], 1, *before[3:]]
    assert all(before)
    assert (await peopled.rows("contacts"))[str(OTHER)]["name"] == NAME
    assert await peopled.waiting() == {"contacts": 1}


async def test_a_contact_that_is_still_in_kommo_is_said_to_come_back_and_does(peopled: Mirror) -> None:
    erased = await erase_contact(peopled.account, str(CONTACT))
    peopled.later()
    await peopled.fill("contacts")
    await fetch_marked(peopled.account)

    assert erased.advice is not None
    assert "Delete it there" in erased.advice
    assert (await peopled.rows("contacts"))[str(CONTACT)]["name"] == NAME
    assert (await compare_account(peopled.account, ["contacts"]))[0].is_none


async def test_erasing_twice_finds_nothing_the_second_time(peopled: Mirror) -> None:
    peopled.sandbox.demo.delete("contacts", CONTACT)
    await erase_contact(peopled.account, str(CONTACT))

    again = await erase_contact(peopled.account, str(CONTACT))

    assert again == Erased(str(CONTACT), contacts=1, is_in_kommo=False)


async def test_kommo_away_does_not_keep_a_contact(peopled: Mirror) -> None:
    peopled.sandbox.world.faults.plan({"kind": "500", "path": "/api/v4/contacts", "times": 3})

    erased = await erase_contact(peopled.account, str(CONTACT))

    assert (erased.contacts, erased.is_in_kommo) == (1, None)
    assert "could not be asked" in erased.as_json()["advice"]


async def test_what_was_not_posted_to_an_erased_contact_will_not_be(peopled: Mirror) -> None:
    await erase_contact(peopled.account, str(CONTACT))

    async with peopled.database.reading("Asserting") as connection:
        query = select(crm_outbox.c.state, crm_outbox.c.payload, crm_outbox.c.error)
        row = (await connection.execute(query.where(crm_outbox.c.key == f"k{CONTACT}"))).one()
    assert tuple(row) == ("failed", {}, "The contact was erased.")


@pytest.mark.parametrize("contact_id", ["", "abc", "1 OR 1=1", "%", "-5"])
async def test_what_can_be_no_id_is_refused(mirror: Mirror, contact_id: str) -> None:
    with pytest.raises(InvalidInput, match="is a number"):
        await erase_contact(mirror.account, contact_id)


@pytest.fixture
async def queue(redis_url: str, queue_name: str) -> AsyncIterator[Queue]:
    async with Queue(queue_name, url=redis_url) as opened:
        yield opened


async def test_finished_jobs_with_the_contact_are_removed_and_others_told(queue: Queue, redis: Any) -> None:
    data = {"orgId": new_id(), "provider": "kommo", "payload": {"contacts": {"add": [{"id": str(CONTACT)}]}}}
    raw = {"orgId": new_id(), "provider": "kommo", "payload": {}, "rawBody": hook(CONTACT, name=NAME)}
    finished = [(await queue.add("kommo:webhook", one)).id for one in (data, raw)]
    kept = (await queue.add("kommo:webhook", {"payload": {"leads": {"add": [{"id": str(CONTACT)}]}}})).id
    for place, job_id in enumerate([*finished, kept]):
        await redis.lrem(f"bull:{queue.name}:wait", 0, job_id)
        await redis.zadd(f"bull:{queue.name}:{'failed' if place else 'completed'}", {job_id: place + 1})
    waiting = (await queue.add("kommo:webhook", data)).id
    later = (await queue.add("kommo:webhook", raw, delay_seconds=3600)).id

    erased = await erase_from_queue(queue, str(CONTACT))

    assert erased == ErasedJobs(removed=2, left=(waiting, later))
    assert [await queue.get(job_id) for job_id in finished] == [None, None]
    assert await queue.get(kept) is not None
