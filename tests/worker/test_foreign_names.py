"""Does a worker leave alone what it has no handler for? Jobs of other names wait before its own; nobody takes them."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from support.pacing import CommandCount, let_pass
from support.server import PrivateServer
from support.starts import Starts
from support.store import Store
from support.watched import running_worker

from oxcart import Queue
from oxcart.testing import wait_until

STARTS_WITHIN_SECONDS = 1.0  # promised are 50 ms in 99 of 100 (bench/foreign); a missed wake costs 2 s
ADDS = 50


@pytest.fixture
def store(fresh_server: PrivateServer, queue_name: str) -> Any:
    with fresh_server.client() as client:
        yield Store(client, queue_name)


async def foreign_jobs(queue: Queue, number: int) -> list[str]:
    """Of a name that nobody handles; some of them urgent, some due in the middle of the test."""
    items: list[Any] = [("foreign", {"n": n}) for n in range(number)]
    items += [("foreign", {"n": -1}, {"priority": 2}), ("foreign", {"n": -2}, {"delay_seconds": 0.5})]
    return [job.id for job in await queue.add_many(items)]


def as_stored(store: Store, ids: list[str]) -> dict[str, Any]:
    """Byte for byte, where they lie, and in which order; that a delayed one is due by now is no change."""
    jobs = set(ids)
    kept = {job_id: store.client.hgetall(store.base + job_id) for job_id in [*ids[:200], *ids[-200:]]}
    for fields in kept.values():
        fields.pop("delay", None)
    waiting = [job_id for job_id in store.ids("wait") if job_id in jobs and job_id != ids[-1]]
    return {"jobs": kept, "wait": waiting, "prioritized": store.ids("prioritized"), "active": store.ids("active")}


async def own_jobs_start_at_once(queue: Queue, starts: Starts) -> None:
    for _ in range(ADDS):
        added = await queue.add("quick")
        asked_at = time.monotonic()
        await wait_until(partial(starts.at.get, added.id), describe="our own job has started", timeout=5)
        assert starts.at[added.id] - asked_at < STARTS_WITHIN_SECONDS


@pytest.mark.takes_seconds
@pytest.mark.parametrize("number", [1, 1000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
async def test_own_jobs_start_behind_foreign_ones_which_nobody_touches(
    number: int, fresh_server: PrivateServer, queue_name: str, store: Store
) -> None:
    starts = Starts()
    async with Queue(queue_name, fresh_server.url) as queue:
        foreign = await foreign_jobs(queue, number)
        before = as_stored(store, foreign)
        async with running_worker(starts.app(), url=fresh_server.url, queue=queue_name):
            first = await queue.add("quick")  # after a start all that wait are looked at once
            await wait_until(partial(starts.at.get, first.id), describe="our first job has started", timeout=30)
            await own_jobs_start_at_once(queue, starts)
            await let_pass(1)
            await own_jobs_start_at_once(queue, starts)
        assert as_stored(store, foreign) == before
        assert (await queue.counts())["completed"] == 2 * ADDS + 1


@pytest.mark.takes_seconds
@pytest.mark.parametrize("kind", ["prioritized", "delayed"])
async def test_own_jobs_of_every_kind_start_behind_foreign_ones(
    kind: str, fresh_server: PrivateServer, queue_name: str
) -> None:
    starts = Starts()
    options: dict[str, Any] = {"priority": 9} if kind == "prioritized" else {"delay_seconds": 0.3}
    async with Queue(queue_name, fresh_server.url) as queue:
        foreign = [("foreign", n, {**options, "priority": 1}) for n in range(500)]
        await queue.add_many(foreign)
        async with running_worker(starts.app(), url=fresh_server.url, queue=queue_name):
            added = await queue.add("quick", **options)
            await wait_until(lambda: added.id in starts.at, describe="it has started", timeout=2)


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    ("quiet_seconds", "watched_seconds", "most_a_minute"),
    [
        pytest.param(2, 8, 800, id="at first"),
        pytest.param(120, 60, 40, id="from the third minute", marks=[pytest.mark.slow, pytest.mark.timeout(240)]),
    ],
)
async def test_an_idle_worker_costs_little_beside_jobs_that_nobody_takes(
    quiet_seconds: float,
    watched_seconds: float,
    most_a_minute: int,
    fresh_server: PrivateServer,
    queue_name: str,
    store: Store,
) -> None:
    """The marker of the foreign jobs must not be taken, put back, and taken again."""
    starts = Starts()
    async with Queue(queue_name, fresh_server.url) as queue:
        await foreign_jobs(queue, 1000)
        async with running_worker(starts.app(), url=fresh_server.url, queue=queue_name):
            added = await queue.add("quick")
            await wait_until(lambda: added.id in starts.at, describe="our own job has started", timeout=5)
            await let_pass(quiet_seconds)
            count = CommandCount(store.client)
            await let_pass(watched_seconds)
            asked = count()
            assert sum(asked.values()) * 60 / watched_seconds < most_a_minute, asked
        waiting = (await queue.counts())["waiting"]
    assert waiting == 1001  # the delayed one is due by now


@pytest.mark.takes_seconds
async def test_two_workers_of_different_names_each_run_their_own(fresh_server: PrivateServer, queue_name: str) -> None:
    """Whichever is quicker at the marker: what it leaves wakes the other."""
    ours, theirs = Starts(), Starts()
    async with (
        Queue(queue_name, fresh_server.url) as queue,
        running_worker(ours.app(), url=fresh_server.url, queue=queue_name),
        running_worker(theirs.app("other"), url=fresh_server.url, queue=queue_name),
    ):
        for n in range(ADDS):
            starts, name = (ours, "quick") if n % 3 else (theirs, "other")
            added = await queue.add(name)
            asked_at = time.monotonic()
            await wait_until(partial(starts.at.get, added.id), describe=f"a job {name} has started", timeout=5)
            assert starts.at[added.id] - asked_at < STARTS_WITHIN_SECONDS
        counts = await queue.counts()
        assert (counts["delayed"], counts["failed"]) == (0, 0)


async def test_names_are_claimed_as_soon_as_they_can_be(redis_url: str, queue_name: str) -> None:
    """What a handler lacked has come, or is gone: neither waits for the next job, nor for the end of a wait."""
    starts, lacks = Starts(), ["no database"]
    app = starts.app()
    quick = app.handlers.get("quick")
    assert quick is not None
    app.handlers.add(replace(quick, name="crm", why_not=lambda: lacks[0] if lacks else None))
    async with Queue(queue_name, redis_url) as queue, running_worker(app, url=redis_url, queue=queue_name):
        left, ours = await queue.add("crm"), await queue.add("quick")
        await wait_until(lambda: ours.id in starts.at, describe="ours has started", timeout=5)
        assert left.id not in starts.at

        lacks.clear()
        await wait_until(lambda: left.id in starts.at, describe="it can be done now", timeout=3)

        lacks.append("no database")
        left, ours = await queue.add("crm"), await queue.add("quick")
        await wait_until(lambda: ours.id in starts.at, describe="ours has started", timeout=5)
        await wait_until(partial(is_waiting, queue, left.id), describe="the other one is left")
        assert left.id not in starts.at

        lacks.clear()
        await wait_until(lambda: left.id in starts.at, describe="it can be done again", timeout=3)


async def is_waiting(queue: Queue, job_id: str) -> bool:
    return await queue.state(job_id) == "waiting"
