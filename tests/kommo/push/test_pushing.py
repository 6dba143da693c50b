"""Is what is pushed in the account once, whatever happens on the way?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from support.sandbox import Sandbox

from kommo.push.pushed import LEAD, boxed, requests, texts
from oxcart.errors import InvalidInput
from oxcart.kommo.account import Account
from oxcart.kommo.crm import Crm
from oxcart.kommo.failures import Blocked, NoRights, ServerTrouble, TooManyRequests, Unpaid
from oxcart.kommo.push.drafts import NewNote, NewTask
from oxcart.kommo.push.pushing import SURE_SECONDS, Pushed, push
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart_sandbox import change_scenario

HELLO = NewNote("leads", LEAD, "Hello")


async def until_done(sandbox: Sandbox, account: Account, key: str, note: NewNote) -> Pushed:
    """As a job that comes back does it, while the sandbox's time goes on."""
    for _ in range(40):
        pushed = await push(account, key, note)
        if pushed.state in {"confirmed", "failed"}:
            return pushed
        sandbox.world.clock.advance(pushed.come_back_seconds or 5)
    raise AssertionError(f"still not done: {pushed}")


async def test_a_note_reads_well_and_is_in_the_mirror_at_once(
    sandbox: Sandbox, account: Account, database: Database
) -> None:
    pushed = await push(account, "agent-jobs:7", NewNote("leads", LEAD, "Hello\nthere \n"))

    note = sandbox.demo.find("leads_notes", int(pushed.remote_id or 0))
    marker = (await boxed(database))[0]["marker"]
    assert (note["note_type"], note["params"]["text"]) == ("common", f"Hello\nthere\n\nRef. {marker}")
    async with database.reading("Asserting") as connection:
        notes = ENTITY_TABLES["crm_notes"]
        found = (
            (await connection.execute(select(notes).where(notes.c.external_id == pushed.remote_id))).mappings().one()
        )
    assert (found["entity_type"], found["entity_id"], found["text"]) == ("leads", str(LEAD), note["params"]["text"])


async def test_the_same_key_posts_nothing_more(sandbox: Sandbox, account: Account, database: Database) -> None:
    first = await push(account, "job", HELLO)
    asked = len(sandbox.world.seen)
    again = await push(account, "job", HELLO)
    other = await push(account, "another", HELLO)

    assert first == again
    assert other.remote_id != first.remote_id
    assert texts(sandbox)["Hello"] == 2
    assert len(sandbox.world.seen) - asked == asked, "the repetition asked nothing"
    assert [row["payload"] for row in await boxed(database)] == [{}, {}], "what was said is not kept twice"


async def test_tasks_are_pushed_with_their_fields(sandbox: Sandbox, account: Account, database: Database) -> None:
    till = datetime(2026, 12, 1, 9, tzinfo=UTC)
    responsible = sandbox.demo.users[1]["id"]

    pushed = await push(account, "job", NewTask("leads", LEAD, "Call", till, responsible_user_id=responsible))

    task = sandbox.demo.find("tasks", int(pushed.remote_id or 0))
    assert task["text"].startswith("Call\n\nRef. ox-")
    assert (task["entity_id"], task["entity_type"], task["complete_till"]) == (LEAD, "leads", till.timestamp())
    assert (task["responsible_user_id"], task["task_type_id"]) == (responsible, 1)
    async with database.reading("Asserting") as connection:
        ids = set((await connection.execute(select(ENTITY_TABLES["kommo_tasks"].c.external_id))).scalars())
    assert pushed.remote_id in ids


async def test_notes_go_to_every_kind_of_card(sandbox: Sandbox, account: Account) -> None:
    contact = next(sandbox.demo.truth("contacts"))["id"]
    company = next(sandbox.demo.truth("companies"))["id"]
    for entity, card in (("contacts", contact), ("leads", LEAD), ("companies", company)):
        pushed = await push(account, f"job-{entity}", NewNote(entity, card, f"to {entity}"))

        assert pushed.state == "confirmed"
        assert texts(sandbox, f"{entity}_notes")[f"to {entity}"] == 1


# ------------------------------------------------------------------------------------------------ lost answers
@pytest.mark.parametrize("kind", ["lost", "504", "500", "truncate", "cut", "garbage"])
async def test_a_note_whose_answer_is_lost_is_found_at_once(sandbox: Sandbox, account: Account, kind: str) -> None:
    sandbox.world.faults.plan({"kind": kind, "method": "POST", "after_doing": True})

    pushed = await push(account, "job", HELLO)

    assert (pushed.state, pushed.stopped) == ("confirmed", None)
    assert texts(sandbox)["Hello"] == 1


async def test_a_note_that_lists_show_late_is_not_posted_again(
    sandbox: Sandbox, account: Account, database: Database
) -> None:
    """Facts 6: rows appear in lists up to 300 s after they were made."""
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"late_seconds": 300.0})
    sandbox.world.faults.plan({"kind": "lost", "method": "POST"})

    lost = await push(account, "job", HELLO)
    assert (lost.state, lost.come_back_seconds) == ("sent", 5)
    assert isinstance(lost.stopped, ServerTrouble)
    sandbox.world.clock.advance(299)
    assert (await push(account, "job", HELLO)).state == "sent"
    assert len(requests(sandbox, "POST")) == 1

    sandbox.world.clock.advance(2)
    assert (await push(account, "job", HELLO)).state == "confirmed"
    assert texts(sandbox)["Hello"] == 1
    assert len(requests(sandbox, "POST")) == 1
    assert (await boxed(database))[0]["attempts"] == 1


async def test_a_note_that_was_never_made_is_posted_once_that_is_certain(sandbox: Sandbox, account: Account) -> None:
    sandbox.world.faults.plan({"kind": "504", "method": "POST"})

    assert (await push(account, "job", HELLO)).state == "sent"
    sandbox.world.clock.advance(SURE_SECONDS - 1)
    assert (await push(account, "job", HELLO)).state == "sent"
    assert texts(sandbox)["Hello"] == 0

    sandbox.world.clock.advance(1)
    assert (await push(account, "job", HELLO)).state == "confirmed"
    assert texts(sandbox)["Hello"] == 1


async def test_the_waits_grow_and_end_when_it_is_certain(sandbox: Sandbox, account: Account) -> None:
    """Each look is a request; Kommo names the same question asked again and again as a reason to block."""
    sandbox.world.faults.plan({"kind": "504", "method": "POST"})

    pushed = await until_done(sandbox, account, "job", HELLO)

    assert pushed.state == "confirmed"
    assert len(requests(sandbox, "GET")) < 13


async def test_a_note_in_doubt_is_found_behind_newer_ones_when_filters_are_off(
    sandbox: Sandbox, account: Account
) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"late_seconds": 60.0, "filters": False})
    sandbox.world.faults.plan({"kind": "lost", "method": "POST"})
    await push(account, "job", HELLO)

    for number in range(300):
        sandbox.demo.add("leads_notes", {"entity_id": LEAD + 1, "params": {"text": f"by a colleague {number}"}})
    sandbox.world.clock.advance(61)

    assert (await push(account, "job", HELLO)).state == "confirmed"
    assert texts(sandbox)["Hello"] == 1


async def test_kommo_out_of_reach_leaves_the_note_unposted_and_not_in_doubt(
    account: Account, crm_without_kommo: Crm
) -> None:
    """What could not even be connected was not posted: there is nothing to wait for."""
    there = await crm_without_kommo.find(connection_id=account.connection_id)
    away = await push(crm_without_kommo.account(there), "job", HELLO)

    assert away.state == "pending"
    assert isinstance(away.stopped, ServerTrouble)
    assert (await push(account, "job", HELLO)).state == "confirmed"


# ------------------------------------------------------------------------------------------------ refusals
async def test_what_kommo_refuses_fails_with_its_words(sandbox: Sandbox, account: Account) -> None:
    pushed = await push(account, "job", NewNote("leads", 999, "bad"))
    again = await push(account, "job", NewNote("leads", 999, "bad"))

    assert pushed == again
    assert (pushed.state, pushed.error) == ("failed", "entity_id NotFound Element not found")
    assert len(requests(sandbox, "POST")) == 1, "none for the repetition"


async def test_a_refused_row_can_be_tried_again(sandbox: Sandbox, account: Account) -> None:
    sandbox.demo.hidden.add(("leads", LEAD))
    refused = await push(account, "job", HELLO)
    sandbox.demo.hidden.clear()

    assert refused.state == "failed"
    assert (await push(account, "job", HELLO, retry_failed=True)).state == "confirmed"


async def test_nothing_is_posted_to_an_unpaid_account_until_it_is_paid(sandbox: Sandbox, account: Account) -> None:
    sandbox.demo.unpaid = True
    unpaid = await push(account, "job", HELLO)
    sandbox.demo.unpaid = False

    assert (unpaid.state, type(unpaid.stopped)) == ("pending", Unpaid)
    assert (await push(account, "job", HELLO)).state == "confirmed"
    assert texts(sandbox)["Hello"] == 1


@pytest.mark.parametrize(("kind", "error"), [("403", NoRights), ("429", TooManyRequests), ("blocked", Blocked)])
async def test_what_kommo_turns_away_is_pending_again(
    sandbox: Sandbox, account: Account, crm: Crm, kind: str, error: type[Exception]
) -> None:
    change = {"retry_after_real_seconds": 0.05}
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, change)
    sandbox.world.faults.plan({"kind": kind, "method": "POST"})

    turned_away = await push(account, "job", HELLO)
    await crm.kommo.limiter.unblock()

    assert (turned_away.state, type(turned_away.stopped)) == ("pending", error)
    assert (await push(account, "job", HELLO)).state == "confirmed"
    assert texts(sandbox)["Hello"] == 1


async def test_a_post_that_a_429_carried_out_nevertheless_is_found(sandbox: Sandbox, account: Account) -> None:
    """Facts 7: nobody knows whether that can be; one look costs little."""
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"retry_after_real_seconds": 0.05})
    sandbox.world.faults.plan({"kind": "429", "method": "POST", "after_doing": True})

    await push(account, "job", HELLO)

    assert (await push(account, "job", HELLO)).state == "confirmed"
    assert texts(sandbox)["Hello"] == 1


@pytest.mark.parametrize(
    "note",
    [
        NewNote("deals", LEAD, "x"),
        NewNote("leads", 0, "x"),
        NewNote("leads", LEAD, "  "),
    ],
)
async def test_what_cannot_be_pushed_is_refused_before_anything_is(
    sandbox: Sandbox, account: Account, note: NewNote
) -> None:
    with pytest.raises(InvalidInput, match="Pushing a note"):
        await push(account, "job", note)

    assert not sandbox.world.seen


async def test_texts_that_no_database_takes_are_pushed(sandbox: Sandbox, account: Account) -> None:
    pushed = await push(account, "job", NewNote("leads", LEAD, "a\x00b\ud800c"))

    assert pushed.state == "confirmed"
    assert texts(sandbox)["a\ufffdb\ufffdc"] == 1


# ------------------------------------------------------------------------------------------------ several at once
async def test_of_many_with_the_same_key_one_posts(sandbox: Sandbox, account: Account) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"latency_real_seconds": 0.02})
    await asyncio.gather(*(push(account, "job", HELLO) for _ in range(8)))

    assert (await push(account, "job", HELLO)).state == "confirmed"
    assert texts(sandbox) == {"Hello": 1}


async def test_who_comes_while_another_posts_waits_and_finds_it(sandbox: Sandbox, account: Account) -> None:
    sandbox.world.faults.plan({"kind": "slow", "method": "POST", "seconds": 0.5})
    posting = asyncio.create_task(push(account, "job", HELLO))
    while not requests(sandbox, "POST"):
        await asyncio.sleep(0.005)

    second = await push(account, "job", HELLO)

    assert second.state in {"sent", "confirmed"}
    assert (await posting).state == "confirmed"
    assert len(requests(sandbox, "POST")) == 1
    assert texts(sandbox)["Hello"] == 1
