"""Does a sweep find what vanished without a word, and never bury what only seems to have?"""

from __future__ import annotations

import asyncio

import pytest
from support.mirror import Mirror

from oxcart.errors import InvalidInput
from oxcart.kommo.failures import TooManyRequests
from oxcart.kommo.sync.progress import Progress
from oxcart.kommo.sync.sweep import SWEPT, Swept, sweep_account


async def test_merged_contacts_are_found_though_nothing_told_of_them(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    keeper, *merged = mirror.ids("contacts")[100:104]
    mirror.sandbox.demo.merge(keeper, merged)
    mirror.later()
    mirror.asked()

    [swept] = await sweep_account(mirror.account, ["contacts"])

    rows = await mirror.rows("contacts")
    assert {rows[str(row_id)]["deleted_source"] for row_id in merged} == {"sweep"}
    assert await mirror.living("contacts") == mirror.truth("contacts")
    assert swept == Swept("contacts", met=597, suspects=3, tombstoned=3, requests=4)
    assert mirror.asked("/contacts") == 4


async def test_every_entity_with_ids_is_swept_and_its_content_mended(mirror: Mirror) -> None:
    await mirror.know(customers_mode="segments")
    for _ in range(2):
        mirror.sandbox.demo.add("customers", {"name": "Regular"})
    await mirror.fill(*SWEPT)
    for name in SWEPT:
        first, second = mirror.ids(name)[:2]
        mirror.sandbox.demo.delete(name, first)
        mirror.sandbox.demo.edit(name, second, {"responsible_user_id": 8_000_002})
    added = mirror.sandbox.demo.add("tasks", {"text": "New"})

    swept = await sweep_account(mirror.account)

    assert [one.entity for one in swept] == list(SWEPT)
    assert {(one.tombstoned, one.guarded, one.error) for one in swept} == {(1, False, None)}
    for name in SWEPT:
        assert await mirror.living(name) == mirror.truth(name)
        assert (await mirror.cursor(name))["swept_at"] is not None
    assert str(added["id"]) in await mirror.living("tasks")


async def test_a_quiet_account_costs_its_pages_alone(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    mirror.asked()

    [swept] = await sweep_account(mirror.account, ["contacts"])

    assert swept == Swept("contacts", met=600, requests=3)
    assert mirror.asked() == 3


async def test_250_suspects_are_confirmed_by_one_request(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    for row_id in mirror.ids("contacts")[:60]:
        mirror.sandbox.demo.delete("contacts", row_id)
    mirror.asked()

    [swept] = await sweep_account(mirror.account, ["contacts"])

    assert (swept.tombstoned, mirror.asked()) == (60, 3 + 1)


async def test_a_row_that_a_page_hid_is_not_buried(mirror: Mirror) -> None:
    """A row that is deleted behind us moves others over the edge of a page, where no page shows them."""
    await mirror.fill("contacts")
    mirror.change_scenario(latency_real_seconds=0.1)
    sweeping = asyncio.create_task(sweep_account(mirror.account, ["contacts"]))
    mirror.asked()
    while not mirror.asked("/contacts"):
        await asyncio.sleep(0.005)
    while mirror.sandbox.world.statuses[200] < 4:
        await asyncio.sleep(0.005)
    for row_id in mirror.ids("contacts")[:5]:
        mirror.sandbox.demo.delete("contacts", row_id)

    await sweeping
    await sweep_account(mirror.account, ["contacts"])

    assert await mirror.living("contacts") == mirror.truth("contacts")


async def test_a_row_that_is_met_again_lives_again(mirror: Mirror) -> None:
    """The token's user lost sight of it, and regained it: nothing in the row tells of either."""
    await mirror.fill("leads")
    row_id = mirror.ids("leads")[0]
    before = await mirror.living("leads")
    mirror.sandbox.demo.hidden.add(("leads", row_id))
    await sweep_account(mirror.account, ["leads"])
    hidden = await mirror.living("leads")
    mirror.later()

    mirror.sandbox.demo.hidden.clear()
    await sweep_account(mirror.account, ["leads"])

    assert hidden.keys() == before.keys() - {str(row_id)}
    assert await mirror.living("leads") == before


async def test_more_than_a_fifth_and_more_than_100_missing_deletes_nothing(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    before = await mirror.living("contacts")
    gone = mirror.ids("contacts")[:121]
    mirror.sandbox.demo.hidden.update(("contacts", row_id) for row_id in gone)

    [swept] = await sweep_account(mirror.account, ["contacts"])

    assert await mirror.living("contacts") == before
    assert (swept.guarded, swept.suspects, swept.tombstoned) == (True, 121, 0)
    assert swept.error is not None
    assert "121 of 600 contacts" in swept.error
    assert "--accept" in swept.error
    assert (await mirror.cursor("contacts"))["sweep_error"] == swept.error


async def test_a_guarded_sweep_can_be_accepted(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    for row_id in mirror.ids("contacts")[:400]:
        mirror.sandbox.demo.delete("contacts", row_id)
    await sweep_account(mirror.account, ["contacts"])

    [swept] = await sweep_account(mirror.account, ["contacts"], accept=True)

    assert (swept.tombstoned, swept.guarded) == (400, False)
    assert await mirror.living("contacts") == mirror.truth("contacts")
    assert (await mirror.cursor("contacts"))["sweep_error"] is None


async def test_a_small_account_may_lose_all_its_rows(mirror: Mirror) -> None:
    await mirror.fill("companies")
    for row_id in mirror.ids("companies"):
        mirror.sandbox.demo.delete("companies", row_id)

    [swept] = await sweep_account(mirror.account, ["companies"])

    assert (swept.tombstoned, swept.error) == (30, None)
    assert await mirror.living("companies") == {}


@pytest.mark.parametrize("kind", ["500", "truncate", "garbage"])
async def test_a_page_that_failed_deletes_nothing(mirror: Mirror, kind: str) -> None:
    await mirror.fill("contacts")
    before = await mirror.living("contacts")
    mirror.sandbox.demo.delete("contacts", mirror.ids("contacts")[0])
    mirror.sandbox.world.faults.plan({"kind": kind, "path": "/api/v4/contacts", "skip": 1, "times": 3})

    [swept] = await sweep_account(mirror.account, ["contacts"])

    assert swept.guarded
    assert swept.error is not None
    assert "nothing was deleted" in swept.error
    assert await mirror.living("contacts") == before


async def test_a_fault_that_passes_is_no_matter(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    mirror.sandbox.demo.delete("contacts", mirror.ids("contacts")[0])
    mirror.sandbox.world.faults.plan({"kind": "504", "path": "/api/v4/contacts", "skip": 2, "times": 2})

    [swept] = await sweep_account(mirror.account, ["contacts"])

    assert (swept.tombstoned, swept.error) == (1, None)


async def test_what_is_no_fault_of_an_entity_ends_the_sweep(mirror: Mirror) -> None:
    mirror.change_scenario(retry_after_real_seconds=60.0)
    mirror.sandbox.world.faults.plan({"kind": "429", "path": "/api/v4/contacts"})

    with pytest.raises(TooManyRequests):
        await sweep_account(mirror.account, ["contacts", "leads"])

    assert mirror.asked("/leads") == 0


async def test_a_token_without_an_administrator_reads_again_and_deletes_nothing(mirror: Mirror) -> None:
    """What moves no time, and what no hook told of, is seen all the same."""
    await mirror.know(is_admin=False)
    await mirror.fill("leads")
    first, second = mirror.ids("leads")[:2]
    mirror.sandbox.demo.edit("leads", first, {"_tags": []})
    mirror.sandbox.demo.hidden.add(("leads", second))
    mirror.asked()

    [swept] = await sweep_account(mirror.account, ["leads"])

    assert (swept.guarded, swept.met, swept.suspects, swept.tombstoned, mirror.asked()) == (True, 299, 1, 0, 2)
    assert swept.error is not None
    assert "administrator" in swept.error
    rows = await mirror.rows("leads")
    assert rows[str(first)]["raw"]["_embedded"]["tags"] == []
    assert rows[str(second)]["deleted_at"] is None


async def test_filters_that_are_ignored_cost_a_request_a_suspect(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    mirror.change_scenario(filters=False)
    keeper, *merged = mirror.ids("contacts")[:3]
    mirror.sandbox.demo.merge(keeper, merged)
    mirror.asked()

    [swept] = await sweep_account(mirror.account, ["contacts"])

    assert (swept.tombstoned, mirror.asked()) == (2, 3 + 1 + 2)
    assert await mirror.living("contacts") == mirror.truth("contacts")


async def test_a_late_list_neither_buries_nor_revives(mirror: Mirror) -> None:
    """A new row that lists do not show yet, and a deleted one that they still show."""
    from oxcart.kommo.sync.marked import fetch_marked

    await mirror.fill("leads")
    mirror.change_scenario(late_seconds=300.0)
    new = mirror.sandbox.demo.add("leads", {"name": "New"})
    gone = mirror.ids("leads")[5]
    mirror.sandbox.demo.delete("leads", gone)
    await mirror.mark("leads", [new["id"]], "add", mirror.now())
    await mirror.mark("leads", [gone], "delete", mirror.now())
    await fetch_marked(mirror.account)
    mirror.later()

    await sweep_account(mirror.account, ["leads"])

    assert await mirror.living("leads") == mirror.truth("leads")
    assert await mirror.waiting() == {}


async def test_two_sweeps_at_once_do_the_work_once(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    mirror.change_scenario(latency_real_seconds=0.05)
    mirror.asked()

    one, other = await asyncio.gather(*(sweep_account(mirror.account, ["contacts"]) for _ in range(2)))

    assert sorted([one[0].met, other[0].met]) == [0, 600]
    assert [swept.error is None for swept in (*one, *other)].count(False) == 1
    assert mirror.asked() == 3


async def test_a_sweep_that_was_killed_is_made_up_for_by_the_next(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    keeper, *merged = mirror.ids("contacts")[:3]
    mirror.sandbox.demo.merge(keeper, merged)
    for seconds in (0.02, 0.05, 0.1, 0.2, 0.4):
        sweeping = asyncio.create_task(sweep_account(mirror.account, ["contacts"]))
        await asyncio.wait({sweeping}, timeout=seconds)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)

    await sweep_account(mirror.account, ["contacts"])

    assert await mirror.living("contacts") == mirror.truth("contacts")


async def test_progress_ends_with_everything_done(mirror: Mirror) -> None:
    told: list[Progress] = []

    async def on_progress(progress: Progress) -> None:
        told.append(progress)

    await sweep_account(mirror.account, ["contacts", "tasks"], on_progress=on_progress)

    last = told[-1].as_json()
    assert (last["entity"], last["entitiesDone"], last["entities"], last["rows"]) == ("tasks", 2, 2, 30)


async def test_what_cannot_be_swept_is_named(mirror: Mirror) -> None:
    with pytest.raises(InvalidInput, match=r"pipelines: only companies, contacts, leads"):
        await sweep_account(mirror.account, ["pipelines"])
