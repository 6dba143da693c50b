"""Does a marked row end up as the account has it, with as few requests as it takes?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from support.mirror import Mirror

from oxcart.kommo.failures import ServerTrouble
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.sync.marked import Fetched, fetch_marked


async def test_marked_rows_are_read_250_a_request_and_their_marks_end(mirror: Mirror) -> None:
    ids = mirror.ids("contacts")[:501]
    await mirror.mark("contacts", ids)

    fetched = await fetch_marked(mirror.account)

    assert fetched == Fetched(read=501, changed=501, gone=0, requests=3)
    assert mirror.asked("/contacts") == 3
    assert await mirror.living("contacts") == {str(row_id): mirror.truth("contacts")[str(row_id)] for row_id in ids}
    assert await mirror.waiting() == {}


async def test_a_mirror_without_marks_costs_no_request(mirror: Mirror) -> None:
    assert await fetch_marked(mirror.account) == Fetched()
    assert mirror.asked() == 0


async def test_only_the_named_entities_are_read(mirror: Mirror) -> None:
    await mirror.mark("contacts", mirror.ids("contacts")[:2])
    await mirror.mark("leads", mirror.ids("leads")[:3])

    await fetch_marked(mirror.account, only={"leads"})

    assert await mirror.waiting() == {"contacts": 2}
    assert len(await mirror.living("leads")) == 3


@pytest.mark.parametrize("name", ["leads", "contacts", "companies", "tasks", "leads_notes", "contacts_notes"])
async def test_a_row_that_was_marked_as_deleted_is_gone_since_then(mirror: Mirror, name: str) -> None:
    """Two say so, the mark and the read: a flood of deletions costs nothing beyond its 250 ids a request."""
    await mirror.fill(name)
    row_id = mirror.ids(name)[0]
    mirror.sandbox.demo.delete(name, row_id)
    deleted_at = mirror.now()
    mirror.later()
    mirror.asked()
    await mirror.mark(name, [row_id], "delete", deleted_at, source="event")

    fetched = await fetch_marked(mirror.account)

    row = (await mirror.rows(name))[str(row_id)]
    assert (row["deleted_at"], row["deleted_source"]) == (deleted_at, "event")
    assert await mirror.living(name) == mirror.truth(name)
    assert (fetched.gone, mirror.asked()) == (1, 1)


async def test_a_delete_that_was_followed_by_a_restore_deletes_nothing(mirror: Mirror) -> None:
    await mirror.fill("leads")
    row_id = mirror.ids("leads")[0]
    mirror.sandbox.demo.delete("leads", row_id)
    mirror.sandbox.demo.restore("leads", row_id)
    await mirror.mark("leads", [row_id], "delete", mirror.now())

    fetched = await fetch_marked(mirror.account)

    assert fetched.gone == 0
    assert await mirror.living("leads") == mirror.truth("leads")


async def test_a_restored_row_lives_again(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    row_id = mirror.ids("contacts")[7]
    mirror.sandbox.demo.delete("contacts", row_id)
    await mirror.mark("contacts", [row_id], "delete")
    await fetch_marked(mirror.account)
    mirror.later()
    mirror.sandbox.demo.restore("contacts", row_id)

    await mirror.mark("contacts", [row_id], "restore", mirror.now())
    await fetch_marked(mirror.account)

    assert await mirror.living("contacts") == mirror.truth("contacts")
    assert (await mirror.rows("contacts"))[str(row_id)]["deleted_source"] is None


async def test_a_row_that_nobody_said_was_deleted_is_asked_for_twice_before_it_is_buried(mirror: Mirror) -> None:
    await mirror.fill("leads")
    there, gone = mirror.ids("leads")[:2]
    mirror.sandbox.demo.delete("leads", gone)
    mirror.later()
    await mirror.mark("leads", [there, gone], "update", mirror.now() - timedelta(seconds=5))
    mirror.asked()

    first = await fetch_marked(mirror.account)
    at_once = await fetch_marked(mirror.account)
    await mirror.let_half_a_minute_pass()
    second = await fetch_marked(mirror.account)

    row = (await mirror.rows("leads"))[str(gone)]
    assert (row["deleted_at"], row["deleted_source"]) == (mirror.now(), "hook")
    assert first == Fetched(read=1, requests=1, waiting=1)
    assert at_once == Fetched()
    assert second == Fetched(read=1, changed=1, gone=1, requests=1)
    assert await mirror.waiting() == {}


@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("action", ["update", "add", "restore"])
async def test_an_update_that_is_followed_by_an_empty_answer_is_no_deletion(
    mirror: Mirror, action: str, filters: bool
) -> None:
    """Seen: reads by id lag behind the webhook. Facts 9."""
    mirror.change_scenario(empty_by_id_seconds=20.0, filters=filters)
    await mirror.know(unfiltered=[] if filters else ["leads"])
    await mirror.fill("leads")
    edited = mirror.ids("leads")[0]
    mirror.sandbox.demo.edit("leads", edited, {"name": "Edited"})
    added = mirror.sandbox.demo.add("leads", {"name": "Added"})["id"]
    await mirror.mark("leads", [edited, added], action, mirror.now())

    fetched = await fetch_marked(mirror.account)
    assert (fetched.gone, fetched.waiting) == (0, 2)
    assert str(edited) in await mirror.living("leads")

    mirror.later(30)
    await mirror.let_half_a_minute_pass()
    await fetch_marked(mirror.account)

    assert await mirror.living("leads") == mirror.truth("leads")
    assert (await mirror.rows("leads"))[str(edited)]["name"] == "Edited"


async def test_a_row_whose_time_went_back_is_written_and_stays(mirror: Mirror) -> None:
    """What its id was answered with is not undone by a list that is late, whatever times the two have."""
    await mirror.fill("contacts")
    row_id = mirror.ids("contacts")[0]
    mirror.change_scenario(late_seconds=300.0)
    mirror.sandbox.demo.edit("contacts", row_id, {"name": "Set back", "updated_at": 1_600_000_000})
    await mirror.mark("contacts", [row_id], "update", mirror.now())
    await fetch_marked(mirror.account)

    await mirror.fill("contacts")
    assert (await mirror.rows("contacts"))[str(row_id)]["name"] == "Set back"
    assert await mirror.waiting() == {"contacts": 1}
    await fetch_marked(mirror.account)

    assert await mirror.living("contacts") == mirror.truth("contacts")
    assert await mirror.waiting() == {}


async def test_a_list_that_ignores_the_filter_is_not_believed(mirror: Mirror) -> None:
    """Its first page has other rows, and says nothing of those that were asked for."""
    await mirror.fill("contacts")
    ids = mirror.ids("contacts")
    mirror.change_scenario(filters=False)
    mirror.sandbox.demo.edit("contacts", ids[400], {"name": "New"})
    mirror.sandbox.demo.delete("contacts", ids[401])
    mirror.sandbox.world.account("demo").settle()
    await mirror.mark("contacts", [ids[400], ids[401], ids[402]])

    await fetch_marked(mirror.account)
    await mirror.let_half_a_minute_pass()
    await fetch_marked(mirror.account)

    assert await mirror.living("contacts") == mirror.truth("contacts")
    assert await mirror.waiting() == {}


async def test_an_account_known_to_ignore_filters_is_not_asked_by_them(mirror: Mirror) -> None:
    await mirror.know(unfiltered=["contacts"])
    mirror.change_scenario(filters=False)
    ids = mirror.ids("contacts")[:3]
    await mirror.mark("contacts", ids)

    fetched = await fetch_marked(mirror.account)

    assert (fetched.read, fetched.requests, mirror.asked()) == (3, 3, 3)


async def test_a_late_list_does_not_bring_a_deleted_row_back(mirror: Mirror) -> None:
    """A poll that sees it still listed marks it; only a read by id may bring it to life."""
    await mirror.fill("contacts")
    mirror.change_scenario(late_seconds=300.0)
    row_id = mirror.ids("contacts")[3]
    mirror.sandbox.demo.delete("contacts", row_id)
    mirror.later()
    await mirror.mark("contacts", [row_id], "delete", mirror.now())
    await fetch_marked(mirror.account)
    mirror.later()

    await mirror.fill("contacts")
    in_between = await mirror.living("contacts")
    await fetch_marked(mirror.account)

    assert in_between == mirror.truth("contacts")
    assert await mirror.living("contacts") == mirror.truth("contacts")
    assert await mirror.waiting() == {}


async def test_a_new_row_that_lists_do_not_show_yet_is_here_at_once(mirror: Mirror) -> None:
    mirror.change_scenario(late_seconds=300.0)
    row = mirror.sandbox.demo.add("leads", {"name": "Just now"})
    await mirror.mark("leads", [row["id"]], "add", mirror.now())

    await fetch_marked(mirror.account)

    assert (await mirror.rows("leads"))[str(row["id"])]["name"] == "Just now"


async def test_two_at_once_read_each_mark_once(mirror: Mirror) -> None:
    await mirror.mark("contacts", mirror.ids("contacts"))
    mirror.change_scenario(latency_real_seconds=0.05)

    first, second = await asyncio.gather(fetch_marked(mirror.account), fetch_marked(mirror.account))

    assert (first + second).read == 600
    assert mirror.asked("/contacts") == 3
    assert await mirror.living("contacts") == mirror.truth("contacts")


async def test_a_mark_that_is_renewed_while_it_is_read_stays(mirror: Mirror) -> None:
    """What was read may be older than what the second hook tells of."""
    row_id = mirror.ids("leads")[0]
    await mirror.mark("leads", [row_id])
    mirror.change_scenario(latency_real_seconds=0.2)
    fetching = asyncio.create_task(fetch_marked(mirror.account))
    while not mirror.asked("/leads"):
        await asyncio.sleep(0.01)

    await mirror.mark("leads", [row_id])
    await fetching

    assert await mirror.waiting() == {"leads": 1}


async def test_marks_of_what_cannot_be_asked_for_stay(mirror: Mirror) -> None:
    await mirror.mark("message", ["0f"])
    await mirror.mark("events", ["01"])

    assert await fetch_marked(mirror.account) == Fetched()
    assert (await mirror.waiting(), mirror.asked()) == ({"message": 1, "events": 1}, 0)


async def test_an_id_that_kommo_cannot_have_is_dropped_and_spoils_nothing(mirror: Mirror) -> None:
    row_id = mirror.ids("leads")[0]
    await mirror.mark("leads", ["x&limit=1", "", "9" * 19, "١", row_id])

    fetched = await fetch_marked(mirror.account)

    assert (fetched.read, fetched.requests) == (1, 1)
    assert list(await mirror.rows("leads")) == [str(row_id)]
    assert await mirror.waiting() == {}


async def test_250_long_ids_fit_into_a_request(mirror: Mirror) -> None:
    await mirror.mark("leads", [f"{number:018}"[::-1] for number in range(1, 251)], "delete")

    fetched = await fetch_marked(mirror.account)

    assert (fetched.read, fetched.requests) == (250, 1)


async def test_an_entity_in_trouble_keeps_its_marks_and_the_others_are_read(mirror: Mirror) -> None:
    await mirror.mark("contacts", mirror.ids("contacts")[:2])
    await mirror.mark("leads", mirror.ids("leads")[:2])
    mirror.sandbox.world.faults.plan({"kind": "500", "path": "/api/v4/contacts", "times": 3})

    with pytest.raises(ServerTrouble):
        await fetch_marked(mirror.account)

    assert await mirror.waiting() == {"contacts": 2}
    assert len(await mirror.living("leads")) == 2
    assert "500" in (await mirror.cursor("contacts"))["last_error"]


async def test_a_fault_in_the_middle_loses_nothing(mirror: Mirror) -> None:
    await mirror.mark("contacts", mirror.ids("contacts"))
    mirror.sandbox.world.faults.plan({"kind": "500", "path": "/api/v4/contacts", "skip": 1, "times": 3})
    with pytest.raises(ServerTrouble):
        await fetch_marked(mirror.account)
    between = await mirror.waiting()

    await fetch_marked(mirror.account)

    assert between == {"contacts": 350}
    assert await mirror.living("contacts") == mirror.truth("contacts")


async def test_what_the_token_may_not_see_does_not_wait_for_ever(mirror: Mirror) -> None:
    await mirror.mark("contacts", mirror.ids("contacts")[:2])
    mirror.sandbox.world.faults.plan({"kind": "403", "path": "/api/v4/contacts"})

    await fetch_marked(mirror.account)

    assert await mirror.waiting() == {}
    assert "may not do this" in (await mirror.cursor("contacts"))["last_error"]


async def test_cancelled_at_any_point_it_goes_on_where_it_was(mirror: Mirror) -> None:
    """Whatever was not committed is still marked; the lease of a killed call is given back or ends."""
    ids = mirror.ids("contacts")
    mirror.sandbox.demo.delete("contacts", ids[0])
    await mirror.mark("contacts", ids)
    seconds = 0.002
    while await mirror.waiting():
        fetching = asyncio.create_task(fetch_marked(mirror.account))
        await asyncio.wait({fetching}, timeout=seconds)
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)
        seconds *= 1.3

    assert await mirror.living("contacts") == mirror.truth("contacts")


async def test_marks_of_another_account_are_left_alone(mirror: Mirror) -> None:
    await mirror.mark("leads", mirror.ids("leads")[:1])

    await fetch_marked(replace(mirror.account, connection_id=new_id()))

    assert await mirror.waiting() == {"leads": 1}
