"""Do changes that move no row's own time arrive with the next poll, and at what price?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.mirroring import Mirror
from support.sandbox import Sandbox

from oxcart.kommo.client import LongLivedToken
from oxcart.kommo.sync.marked import fetch_marked
from oxcart.secret import Secret
from oxcart_sandbox.seed import FIRST_IDS

STREAMS = 19
CONTACT, LEAD, COMPANY = (FIRST_IDS[name] for name in ("contacts", "leads", "companies"))


@pytest.mark.parametrize(
    ("entity", "change"),
    [
        ("leads", {"_tags": [11]}),
        ("contacts", {"_tags": []}),
        ("companies", {"_tags": [11, 12]}),
        ("leads", {"_contacts": [[CONTACT + 50, True]]}),
        ("leads", {"_contacts": []}),
        ("leads", {"_company": COMPANY + 5}),
        ("contacts", {"_company": None}),
    ],
)
async def test_tags_and_links_arrive_with_the_next_poll(
    mirror: Mirror, sandbox: Sandbox, entity: str, change: dict[str, Any]
) -> None:
    row_id = FIRST_IDS[entity]
    sandbox.demo.edit(
        entity, row_id, {"_tags": [12], "_company": COMPANY + 1} if entity != "companies" else {"_tags": []}
    )
    sandbox.world.clock.advance(1000)
    await mirror.sync()
    sandbox.world.clock.advance(300)
    sandbox.demo.edit(entity, row_id, change)
    assert (await mirror.differences())[entity][2] == [str(row_id)]
    sandbox.world.seen.clear()

    await mirror.sync(confirm=fetch_marked)

    assert await mirror.differences() == {}
    assert await mirror.marks() == set()
    both = "_company" in change or "_contacts" in change  # the other side is looked at, too
    assert len(sandbox.world.seen) <= STREAMS + (2 if both else 1)


async def test_the_history_of_tags_and_links_costs_nothing(mirror: Mirror, sandbox: Sandbox) -> None:
    for number in range(10):
        sandbox.demo.edit("leads", LEAD + number, {"_tags": [11], "_contacts": [[CONTACT + number, True]]})
    sandbox.world.clock.advance(1000)

    await mirror.sync(confirm=fetch_marked)

    assert len(sandbox.world.seen) == STREAMS + 5  # the lists that are read once an hour
    assert await mirror.differences() == {}


async def test_hundreds_of_tags_cost_one_request(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    sandbox.world.clock.advance(1000)
    for number in range(150):
        sandbox.demo.edit("contacts", CONTACT + number, {"_tags": [11, 14]})
    sandbox.world.seen.clear()

    await mirror.sync(confirm=fetch_marked)

    assert await mirror.differences() == {}
    assert sum("filter[id]" in seen.query for seen in sandbox.world.seen) == 1


async def test_a_late_list_does_not_bring_the_old_tags_back(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    sandbox.world.clock.advance(1000)
    sandbox.demo.edit("leads", LEAD, {"name": "Just now"})
    sandbox.world.clock.advance(10)
    sandbox.demo.edit("leads", LEAD, {"_tags": [11, 14]})
    await mirror.sync(confirm=fetch_marked)
    assert await mirror.differences() == {}

    sandbox.world.scenario = replace(sandbox.world.scenario, late_seconds=300.0)
    sandbox.demo.edit("leads", LEAD, {"_tags": []})
    sandbox.world.clock.advance(301)
    await mirror.sync(confirm=fetch_marked)
    sandbox.world.clock.advance(301)
    await mirror.sync(confirm=fetch_marked)

    assert await mirror.differences() == {}


async def test_merged_contacts_are_asked_for_at_the_next_poll(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    sandbox.world.clock.advance(1000)
    sandbox.demo.merge(CONTACT, [CONTACT + 1])

    await mirror.sync()

    assert ("contacts", str(CONTACT + 1), "update") in await mirror.marks()


async def test_a_contact_that_is_linked_and_in_no_list_is_fetched(mirror: Mirror, sandbox: Sandbox) -> None:
    """Contacts of leads that nobody has accepted are hidden in lists."""
    await mirror.sync()
    sandbox.world.clock.advance(1000)
    made = sandbox.demo.add("contacts", {"name": "Of a form", "updated_at": 1_600_000_000})
    sandbox.demo.edit("leads", LEAD, {"name": "With it", "_contacts": [[made["id"], True]]})

    await mirror.sync(confirm=fetch_marked)

    assert str(made["id"]) in await mirror.alive("contacts")


async def test_links_do_not_fetch_what_no_walk_has_read_yet(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync("leads")

    assert await mirror.marks() == set()


@pytest.mark.parametrize("entity", ["leads_notes", "contacts_notes", "companies_notes"])
async def test_a_note_that_was_deleted_is_gone_at_the_next_poll(mirror: Mirror, sandbox: Sandbox, entity: str) -> None:
    await mirror.sync()
    sandbox.world.clock.advance(1000)
    note = next(sandbox.demo.truth(entity))["id"]
    sandbox.demo.delete(entity, note)

    await mirror.sync(confirm=fetch_marked)

    assert await mirror.differences() == {}
    assert (await mirror.rows(entity))[str(note)]["deleted_source"] == "event"


async def test_the_links_of_a_deleted_lead_go_and_come_back_with_it(mirror: Mirror, sandbox: Sandbox) -> None:
    await mirror.sync()
    before = {link for link in await mirror.links("leads") if link[0] == str(LEAD)}
    sandbox.world.clock.advance(1000)
    sandbox.demo.delete("leads", LEAD)
    await mirror.sync(confirm=fetch_marked)
    assert before
    assert not {link for link in await mirror.links("leads") if link[0] == str(LEAD)}

    sandbox.world.clock.advance(1000)
    sandbox.demo.restore("leads", LEAD)
    sandbox.world.clock.advance(1)
    await mirror.sync(confirm=fetch_marked)

    assert before <= await mirror.links("leads")


async def test_a_token_without_an_administrator_is_no_error_of_every_sync(mirror: Mirror, sandbox: Sandbox) -> None:
    token = Secret(sandbox.world.authority.long_lived(sandbox.demo, admin=False))
    client = mirror.account.client
    mirror.account = replace(
        mirror.account, client=client.kommo.client(client.host, LongLivedToken(token), client.caller)
    )

    outcomes = await mirror.sync()
    named = await mirror.sync("users")

    assert {outcome.error for outcome in outcomes.values()} == {None}
    assert outcomes["users"].mode == "skipped"
    assert "administrator" in str((await mirror.cursor("users"))["last_error"])
    assert "administrator" in str(named["users"].error)
