"""What becomes of a run when Kommo refuses, fails, is slow, or has no filters; and when another process is at it?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.mirroring import Mirror
from support.sandbox import Sandbox
from support.waiting import wait_until

from kommo.sync.conftest import NOW, UNLIMITED, make_world
from oxcart.kommo.account import Account
from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.failures import Blocked, ServerTrouble, TooManyRequests, Unauthorized, Unpaid
from oxcart.kommo.store.holding import LeaseLost, hold_lease
from oxcart.kommo.store.leases import acquire_lease, release_lease
from oxcart_sandbox import Scenario, World
from oxcart_sandbox.seed import FIRST_IDS

CONTACT = FIRST_IDS["contacts"]


def plan(sandbox: Sandbox, kind: str, path: str, *, times: int = 1, **more: Any) -> None:
    sandbox.world.faults.plan({"kind": kind, "path": f"/api/v4{path}", "times": times, **more})


class TestWithoutFilters:
    @pytest.fixture
    def world(self) -> World:
        world = make_world(contacts=600)
        world.scenario = Scenario(requests_per_second=UNLIMITED, filters=False)
        return world

    async def test_lists_are_read_by_pages(self, mirror: Mirror, sandbox: Sandbox) -> None:
        await mirror.sync()
        sandbox.world.clock.advance(300)
        sandbox.demo.edit("contacts", CONTACT, {"name": "Edited"})
        sandbox.world.seen.clear()

        outcomes = await mirror.sync()

        assert await mirror.differences() == {}
        assert (outcomes["contacts"].mode, outcomes["contacts"].requests) == ("full", 3)
        filtered = {seen.path.removeprefix("/api/v4/") for seen in sandbox.world.seen if "filter[" in seen.query}
        assert filtered == {"tasks", "events", "leads/notes", "contacts/notes", "companies/notes"}
        assert (outcomes["tasks"].mode, outcomes["events"].mode, outcomes["leads_notes"].mode) == ("incremental",) * 3

    async def test_a_list_that_ignores_its_filter_shows_it(self, mirror: Mirror, sandbox: Sandbox) -> None:
        """The account's own word is not asked for here."""
        outcome = (await mirror.sync("contacts"))["contacts"]

        assert await mirror.differences(["contacts"]) == {}
        assert (await mirror.settings())["unfiltered"] == ["contacts"]
        assert outcome.requests <= 2 + 3

    async def test_filters_that_work_again_are_found_by_a_full_walk(self, mirror: Mirror, sandbox: Sandbox) -> None:
        await mirror.sync("contacts")
        sandbox.world.scenario = Scenario(requests_per_second=UNLIMITED)
        await mirror.sync("contacts", full=True)
        sandbox.world.clock.advance(300)

        outcome = (await mirror.sync("contacts"))["contacts"]

        assert (await mirror.settings())["unfiltered"] == []
        assert (outcome.mode, outcome.requests) == ("incremental", 1)

    async def test_filters_that_the_account_says_are_back_are_used(self, mirror: Mirror, sandbox: Sandbox) -> None:
        await mirror.sync()
        sandbox.world.scenario = Scenario(requests_per_second=UNLIMITED)

        outcomes = await mirror.sync()

        assert outcomes["contacts"].mode == "incremental"
        assert (await mirror.settings())["unfiltered"] == []


@pytest.mark.parametrize("kind", ["500", "502", "504", "hang", "truncate", "lost", "cut", "garbage"])
async def test_a_fault_in_passing_is_not_noticed(mirror: Mirror, sandbox: Sandbox, kind: str) -> None:
    plan(sandbox, kind, "/contacts")

    outcome = (await mirror.sync("contacts"))["contacts"]

    assert outcome.error is None
    assert await mirror.differences(["contacts"]) == {}


async def test_trouble_that_stays_ends_its_stream_alone(mirror: Mirror, sandbox: Sandbox) -> None:
    plan(sandbox, "500", "/contacts", times=3)

    outcomes = await mirror.sync("companies", "contacts", "leads")

    assert (outcomes["companies"].error, outcomes["leads"].error) == (None, None)
    assert outcomes["contacts"].error is not None
    assert "trouble of its own" in outcomes["contacts"].error
    cursor = await mirror.cursor("contacts")
    assert (cursor["last_error"], cursor["cursor_at"]) == (outcomes["contacts"].error, None)

    await mirror.sync("contacts")
    assert (await mirror.cursor("contacts"))["last_error"] is None
    assert await mirror.differences(["companies", "contacts", "leads"]) == {}


@pytest.mark.parametrize(
    ("kind", "error"), [("402", Unpaid), ("401", Unauthorized), ("blocked", Blocked), ("429", TooManyRequests)]
)
async def test_what_concerns_the_account_ends_the_run(
    mirror: Mirror, sandbox: Sandbox, kind: str, error: type[Exception]
) -> None:
    sandbox.world.scenario = Scenario(requests_per_second=UNLIMITED, retry_after_real_seconds=300)
    plan(sandbox, kind, "/contacts", times=9)

    with pytest.raises(error):
        await mirror.sync("companies", "contacts", "leads")

    assert await mirror.differences(["companies"]) == {}
    assert not await mirror.alive("leads")
    assert (await mirror.cursor("contacts"))["last_error"] is not None


async def test_a_short_429_is_waited_out(mirror: Mirror, sandbox: Sandbox) -> None:
    sandbox.world.scenario = Scenario(requests_per_second=UNLIMITED, retry_after_real_seconds=1)
    plan(sandbox, "429", "/contacts")

    outcome = (await mirror.sync("contacts"))["contacts"]

    assert outcome.error is None
    refused, asked = sandbox.world.seen
    assert asked.at - refused.at >= 1


async def test_a_stream_that_another_process_reads_is_skipped(mirror: Mirror, sandbox: Sandbox) -> None:
    scope = f"sync:{mirror.account.connection_id}:contacts"
    async with mirror.account.database.writing("Arranging") as connection:
        assert await acquire_lease(connection, scope, "another", 60)

    outcomes = await mirror.sync("contacts", "companies")

    assert (outcomes["contacts"].mode, outcomes["contacts"].requests) == ("skipped", 0)
    assert outcomes["companies"].mode == "full"
    assert {seen.path for seen in sandbox.world.seen} == {"/api/v4/companies"}


async def test_two_runs_at_once_read_each_stream_once(mirror: Mirror, sandbox: Sandbox) -> None:
    sandbox.world.scenario = Scenario(requests_per_second=UNLIMITED, latency_real_seconds=0.02)

    first, second = await asyncio.gather(mirror.sync(), mirror.sync())

    assert await mirror.differences() == {}
    by_walker = [[run[name].mode for run in (first, second)] for name in ENTITIES]
    assert all("skipped" in modes or modes == ["full", "full"] or "incremental" in modes for modes in by_walker)
    assert any("skipped" in modes for modes in by_walker)


async def test_who_lost_the_lease_writes_nothing_more(mirror: Mirror, sandbox: Sandbox) -> None:
    """Its answer came too late: another process may have gone on since."""
    scope = f"sync:{mirror.account.connection_id}:contacts"
    database = mirror.account.database
    original = mirror.account.client.get

    async def slow(path: str, query: Any = ()) -> Any:
        answer = await original(path, query)
        async with database.writing("Acting as another process, after the lease had lapsed") as connection:
            from sqlalchemy import update

            from oxcart.kommo.store.own_tables import crm_leases

            await connection.execute(update(crm_leases).where(crm_leases.c.scope == scope).values(holder="another"))
        return answer

    mirror.account.client.get = slow  # type: ignore[method-assign]
    outcome = (await mirror.sync("contacts"))["contacts"]

    assert outcome.error is not None
    assert "lapsed" in outcome.error
    assert await mirror.alive("contacts") == {}
    assert await mirror.cursor("contacts") == {}
    async with database.writing("Asserting") as connection:
        await release_lease(connection, scope, "another")


async def test_a_lease_outlives_a_slow_answer(account: Account) -> None:
    """Renewed between the pages, too."""
    database = account.database
    async with hold_lease(database, "sync:slow", seconds=0.6) as lease:
        assert lease is not None
        renewals = await until_renewed(account, "sync:slow", times=3)

        async with database.writing("Keeping") as connection:
            await lease.show(connection)

    assert renewals == 3
    async with hold_lease(database, "sync:slow", seconds=5) as again:
        assert again is not None


async def test_a_lease_that_lapsed_and_that_nobody_took_is_still_ours(account: Account) -> None:
    """A process that was held up, on a busy machine, has lost nothing by it."""
    database = account.database
    async with hold_lease(database, "sync:lapsed", seconds=60) as lease:
        assert lease is not None
        async with database.writing("Acting as time") as connection:
            from datetime import UTC, datetime

            from sqlalchemy import update

            from oxcart.kommo.store.own_tables import crm_leases

            await connection.execute(update(crm_leases).values(held_until=datetime(2026, 1, 1, tzinfo=UTC)))

        async with database.writing("Keeping") as connection:
            await lease.show(connection)

        async with database.writing("Acting as another") as connection:
            assert not await acquire_lease(connection, "sync:lapsed", "another", 60)


async def test_a_lease_that_another_had_is_told_before_a_write(account: Account) -> None:
    database = account.database
    async with hold_lease(database, "sync:lost", seconds=60) as lease:
        assert lease is not None
        async with database.writing("Acting as fate") as connection:
            from sqlalchemy import delete

            from oxcart.kommo.store.own_tables import crm_leases

            await connection.execute(delete(crm_leases))

        async with database.writing("Keeping") as connection:
            with pytest.raises(LeaseLost):
                await lease.show(connection)


async def until_renewed(account: Account, scope: str, *, times: int) -> int:
    from sqlalchemy import select

    from oxcart.kommo.store.own_tables import crm_leases

    seen: set[Any] = set()

    async def look() -> bool:
        async with account.database.reading("Looking") as connection:
            query = select(crm_leases.c.held_until).where(crm_leases.c.scope == scope)
            seen.add((await connection.execute(query)).scalar_one())
        return len(seen) > times

    await wait_until(look, describe=f"{scope} was renewed {times} times")
    return len(seen) - 1


async def test_events_are_read_in_windows_that_fit(mirror: Mirror, sandbox: Sandbox) -> None:
    """5 000 events are 50 pages: too many to be read again for one that was cut off."""
    sandbox.world.clock.advance(-100_000)
    for number in range(2500):
        sandbox.world.clock.advance(40)
        sandbox.demo.edit("contacts", CONTACT + number % 200, {"name": f"Name {number}"})
        sandbox.demo.edit("contacts", CONTACT + (number + 7) % 200, {"name": f"Other {number}"})
    sandbox.world.clock.advance(NOW - sandbox.world.clock.now())

    outcome = (await mirror.sync("account", "events"))["events"]

    assert set(await mirror.alive("events")) == {event["id"] for event in sandbox.demo.events}
    assert outcome.error is None
    assert outcome.requests < 150


async def test_trouble_with_what_events_told_is_said_beside_the_rest(mirror: Mirror, sandbox: Sandbox) -> None:
    """The marks stay, and all else is here."""

    async def confirm(account: Account) -> None:
        plan(sandbox, "500", "/contacts", times=3)
        await account.client.get("/contacts")

    outcomes = await mirror.sync("contacts", "events", confirm=confirm)

    assert outcomes["events"].error is not None
    assert outcomes["events"].error.startswith("Reading what events told of: Kommo GET")
    assert outcomes["contacts"].error is None


async def test_trouble_in_a_list_buries_nobody(mirror: Mirror, sandbox: Sandbox) -> None:
    """Rows are missing from a list only if all of it was read."""
    sandbox.demo.tags.update({1000 + number: f"tag {number}" for number in range(400)})
    await mirror.sync("leads_tags")
    sandbox.world.clock.advance(300)
    plan(sandbox, "500", "/leads/tags", times=3, skip=1)

    outcome = (await mirror.sync("leads_tags"))["leads_tags"]

    assert isinstance(outcome.error, str)
    assert (outcome.deleted, len(await mirror.alive("leads_tags"))) == (0, 404)
    assert ServerTrouble.__name__ not in outcome.error
