"""Does a comparison name what differs, and nothing else?"""

from __future__ import annotations

import asyncio

import pytest
from support.mirror import Mirror

from oxcart.errors import InvalidInput
from oxcart.kommo.failures import NoRights
from oxcart.kommo.sync.compare import COMPARED, Difference, compare_account
from oxcart.kommo.sync.sweep import SWEPT, sweep_account


async def test_a_full_mirror_has_no_differences(mirror: Mirror) -> None:
    there = [name for name in COMPARED if name != "customers"]
    await mirror.know(is_unsorted_on=True)
    await mirror.fill(*there)

    found = await compare_account(mirror.account)

    assert [one.entity for one in found] == there
    assert [one for one in found if not one.is_none] == []
    counts = {one.entity: (one.remote_count, one.local_count) for one in found}
    assert counts["contacts"] == (600, 600)
    assert counts["pipelines"] == (2, 2)
    assert counts["contacts_custom_fields"][0] == counts["contacts_custom_fields"][1] > 0


@pytest.mark.parametrize("name", [name for name in SWEPT if name != "customers"])
async def test_missing_extra_and_different_rows_are_told_apart(mirror: Mirror, name: str) -> None:
    await mirror.fill(name)
    edited, deleted = mirror.ids(name)[:2]
    mirror.sandbox.demo.edit(name, edited, {"responsible_user_id": 8_000_004})
    mirror.sandbox.demo.delete(name, deleted)
    added = mirror.sandbox.demo.add(name, {})
    count = len(mirror.ids(name))
    mirror.later()

    [found] = await compare_account(mirror.account, [name])

    assert found == Difference(name, (str(added["id"]),), (str(deleted),), (str(edited),), count, count)


async def test_what_a_sweep_repairs_is_no_difference_any_more(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    keeper, *merged = mirror.ids("contacts")[:4]
    mirror.sandbox.demo.merge(keeper, merged)
    mirror.later()
    [before] = await compare_account(mirror.account, ["contacts"])

    await sweep_account(mirror.account, ["contacts"])
    [after] = await compare_account(mirror.account, ["contacts"])

    assert (before.extra, before.different) == (tuple(map(str, merged)), (str(keeper),))
    assert after == Difference("contacts", (), (), (), 597, 597)


async def test_an_empty_mirror_misses_everything(mirror: Mirror) -> None:
    [found] = await compare_account(mirror.account, ["leads"])

    assert (len(found.missing), found.remote_count, found.local_count) == (300, 300, 0)


@pytest.mark.parametrize("ahead", [86_400, -86_400])
async def test_a_row_whose_time_was_set_is_compared_like_any_other(mirror: Mirror, ahead: int) -> None:
    await mirror.fill("contacts", "tasks")
    now = mirror.sandbox.world.clock.seconds()
    changed = [str(mirror.ids(name)[0]) for name in ("contacts", "tasks")]
    for name in ("contacts", "tasks"):
        mirror.sandbox.demo.edit(name, mirror.ids(name)[0], {"group_id": 7, "updated_at": now + ahead})
    mirror.later()

    found = await compare_account(mirror.account, ["contacts", "tasks"])

    assert [one.different for one in found] == [(changed[0],), (changed[1],)]


async def test_stages_fields_and_users_are_compared_too(mirror: Mirror) -> None:
    await mirror.fill("pipelines", "leads_custom_fields", "contacts_custom_fields", "users")
    demo = mirror.sandbox.demo
    pipeline, field = demo.pipelines[0], demo.custom_fields["leads"].pop()
    pipeline["_statuses"][1]["name"] = "Renamed"
    demo.users[0]["name"] = "Renamed"
    names = ["pipelines", "leads_custom_fields", "contacts_custom_fields", "users"]

    found = {one.entity: one for one in await compare_account(mirror.account, names)}

    assert found["pipelines"].different == (str(pipeline["id"]),)
    assert found["leads_custom_fields"].extra == (str(field["id"]),)
    assert found["contacts_custom_fields"].is_none
    assert found["users"].different == (str(demo.users[0]["id"]),)


async def test_rows_that_change_while_it_runs_are_no_difference(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    mirror.change_scenario(latency_real_seconds=0.1)
    mirror.asked()
    comparing = asyncio.create_task(compare_account(mirror.account, ["contacts"]))
    while mirror.sandbox.world.statuses[200] < 4:
        await asyncio.sleep(0.005)
    mirror.later()
    demo = mirror.sandbox.demo
    demo.edit("contacts", mirror.ids("contacts")[500], {"name": "Meanwhile"})
    demo.add("contacts", {"name": "Meanwhile"})

    [found] = await comparing

    assert found.is_none


async def test_a_row_that_a_page_hid_is_no_difference(mirror: Mirror) -> None:
    """With 250 rows a page, a deletion on the first hides the first row of the second."""
    await mirror.fill("contacts")
    mirror.change_scenario(latency_real_seconds=0.1)
    comparing = asyncio.create_task(compare_account(mirror.account, ["contacts"]))
    while mirror.sandbox.world.statuses[200] < 4:
        await asyncio.sleep(0.005)
    gone = mirror.ids("contacts")[0]
    mirror.sandbox.demo.delete("contacts", gone)

    [found] = await comparing

    assert set(found.extra) <= {str(gone)}
    assert (found.missing, found.different) == ((), ())


async def test_users_are_left_out_where_the_token_may_not_read_them(mirror: Mirror) -> None:
    less = mirror.without_rights()

    found = await compare_account(less)

    assert not {"users", "roles"} & {one.entity for one in found}
    with pytest.raises(NoRights):
        await compare_account(less, ["users"])


async def test_nothing_is_written_by_a_comparison(mirror: Mirror) -> None:
    await mirror.fill("leads")
    before = await mirror.rows("leads")
    mirror.sandbox.demo.edit("leads", mirror.ids("leads")[0], {"name": "Other"})
    mirror.later()

    await compare_account(mirror.account, ["leads"])

    assert await mirror.rows("leads") == before


async def test_what_cannot_be_compared_is_named(mirror: Mirror) -> None:
    with pytest.raises(InvalidInput, match="Comparing events: only pipelines"):
        await compare_account(mirror.account, ["events"])
