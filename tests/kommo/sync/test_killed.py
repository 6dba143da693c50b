"""Does a run that was killed with -9 go on where it stood, wherever that was, without reading it all again?"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from support.mirroring import Mirror
from support.sandbox import Sandbox
from support.starter import Forked, start
from support.waiting import wait_until

from kommo.sync.conftest import ORGANISATION, UNLIMITED, make_world
from oxcart.kommo.entities import ENTITIES
from oxcart_sandbox import Scenario, World, change_scenario
from oxcart_sandbox.seed import FIRST_IDS

KILLS = 3
LEASE_SECONDS = 1.0


@pytest.fixture
def world() -> World:
    """Pages enough to be killed among them."""
    world = make_world(contacts=3000, leads=6000)
    world.scenario = Scenario(requests_per_second=UNLIMITED, latency_real_seconds=0.01)
    return world


class Runs:
    """Processes that synchronise the same account, one after the other."""

    def __init__(self, mirror: Mirror, sandbox: Sandbox, database_url: str, redis_url: str, bucket: str) -> None:
        token = sandbox.world.token_of(sandbox.demo)
        places = (database_url, sandbox.url, redis_url, bucket)
        self._arguments = (*places, token, mirror.account.connection_id, ORGANISATION, str(LEASE_SECONDS))
        self.process: Forked | None = None

    async def start(self) -> Forked:
        self.process = await start("support.sync_process", self._arguments)
        assert await self.process.stdout.readline() == b"begun\n"
        return self.process

    async def finish(self) -> dict[str, Any]:
        process = await self.start()
        out, _ = await process.communicate()
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(out)
        return found

    async def kill(self) -> None:
        if self.process is not None:
            await self.process.end()


@pytest.mark.timeout(240)
async def test_killed_runs_are_gone_on_with(
    mirror: Mirror, sandbox: Sandbox, database_url: str, redis_url: str, queue_name: str
) -> None:
    runs = Runs(mirror, sandbox, database_url, redis_url, queue_name)
    seen = sandbox.world.seen
    rng = random.Random(7)
    try:
        for _ in range(KILLS):
            asked = len(seen)
            wanted = asked + rng.randint(1, 25)
            await runs.start()
            await until_asked(sandbox, wanted)
            await runs.kill()
            await until_lapsed(mirror)
        walked = len(seen)
        done = await runs.finish()
    finally:
        await runs.kill()

    assert {outcome["error"] for outcome in done["outcomes"]} == {None}
    assert await mirror.differences() == {}
    assert not any([(await mirror.cursor(name)).get("checkpoint") for name in ENTITIES])
    # Each run reads the single pages of what was done before once more, and one page of what it was killed in.
    again = KILLS * (len(ENTITIES) + 1)
    assert len(seen) <= fewest_requests(sandbox) + again, f"{walked} requests before the last run"


async def test_a_window_that_was_cut_off_is_read_again_and_nothing_before_it(mirror: Mirror, sandbox: Sandbox) -> None:
    """In this process, by an error between two pages: what comes after is counted exactly."""
    sandbox.world.faults.plan({"kind": "500", "path": "/api/v4/contacts", "times": 3, "skip": 7})
    await mirror.sync("contacts")
    stands = (await mirror.cursor("contacts"))["checkpoint"]
    sandbox.world.seen.clear()

    outcome = (await mirror.sync("contacts"))["contacts"]

    assert stands["at"] > 1_735_689_600
    assert f"filter[updated_at][from]={stands['at']}&" in sandbox.world.seen[0].query
    assert (outcome.mode, outcome.error) == ("full", None)
    assert outcome.requests <= -(-3000 // 250) + 4 - 7 + 1
    assert await mirror.differences(["contacts"]) == {}


async def test_pages_go_on_one_page_before(mirror: Mirror, sandbox: Sandbox) -> None:
    """Rows that were deleted meanwhile have moved the others towards the first page; its edits are read at the end."""
    sandbox.world.faults.plan({"kind": "500", "path": "/api/v4/tasks", "times": 3, "skip": 2})
    await mirror.sync("tasks")
    sandbox.demo.delete("tasks", FIRST_IDS["tasks"])
    edited = sandbox.demo.edit("tasks", FIRST_IDS["tasks"] + 1, {"text": "Edited"})["id"]
    sandbox.world.seen.clear()

    await mirror.sync("tasks")

    assert [query_of(seen.query)["page"] for seen in sandbox.world.seen] == ["2", "3", "1"]
    assert (await mirror.alive("tasks"))[str(edited)]["text"] == "Edited"
    assert sorted(await mirror.alive("tasks")) == [
        str(FIRST_IDS["tasks"] + number) for number in range(600)
    ]  # the first one was met: an event tells that it went


async def test_without_filters_a_poll_that_was_cut_off_begins_anew(mirror: Mirror, sandbox: Sandbox) -> None:
    """Else it would end without what was edited on the pages before, and only the next one would see that."""
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"filters": False})
    await mirror.sync("account", "contacts")
    sandbox.world.faults.plan({"kind": "500", "path": "/api/v4/contacts", "times": 3, "skip": 2})
    assert (await mirror.sync("contacts"))["contacts"].error
    edited = sandbox.demo.edit("contacts", FIRST_IDS["contacts"], {"name": "Edited"})["id"]

    assert (await mirror.sync("contacts"))["contacts"].error is None

    assert (await mirror.alive("contacts"))[str(edited)]["name"] == "Edited"


async def test_a_full_walk_that_was_cut_off_is_not_begun_anew(mirror: Mirror, sandbox: Sandbox) -> None:
    """The job that asked for it runs again with the same payload."""
    await mirror.sync("contacts")
    sandbox.world.faults.plan({"kind": "500", "path": "/api/v4/contacts", "times": 3, "skip": 7})
    await mirror.sync("contacts", full=True)
    sandbox.world.seen.clear()

    outcome = (await mirror.sync("contacts", full=True))["contacts"]

    assert not [seen for seen in sandbox.world.seen if "filter[updated_at][from]=0&" in seen.query]
    assert outcome.rows < 3000


async def until_asked(sandbox: Sandbox, requests: int) -> None:
    seen = sandbox.world.seen
    await wait_until(lambda: len(seen) >= requests, describe=f"{requests} requests were made", timeout=40)


async def until_lapsed(mirror: Mirror) -> None:
    from sqlalchemy import func, select

    from oxcart.kommo.store.database import now
    from oxcart.kommo.store.own_tables import crm_leases

    async def is_free() -> bool:
        async with mirror.account.database.reading("Looking") as connection:
            query = select(func.count()).where(crm_leases.c.held_until > await now(connection))
            return bool((await connection.execute(query)).scalar_one() == 0)

    await wait_until(is_free, describe="the dead process's lease has lapsed")


def fewest_requests(sandbox: Sandbox) -> int:
    """With what a bulk import of one second costs each ordered stream: its pages there and back."""
    counts = sandbox.demo.seed.counts
    ordered = ("companies", "contacts", "leads", "leads_notes", "contacts_notes", "companies_notes")
    return len(ENTITIES) + sum(-(-counts[name] // 250) + 4 for name in ordered) + -(-counts["tasks"] // 250)


def query_of(query: str) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(query))
