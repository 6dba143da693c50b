"""When does a killed worker's job start again? Within two stalled intervals, however busy or idle the others are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psutil
import pytest
from support.pacing import let_pass
from support.processes import Fleet, WorkerProcess
from support.store import Store

from oxcart import Queue
from oxcart.testing import wait_until

STALLED_INTERVAL_SECONDS = 1.0
AGAIN_WITHIN_SECONDS = 2 * STALLED_INTERVAL_SECONDS + 1.0
EVERY_SECONDS = 0.3


@contextlib.asynccontextmanager
async def jobs_that_keep_coming(queue: Queue) -> AsyncIterator[None]:
    async def add() -> None:
        while True:
            await queue.add("quick")
            await asyncio.sleep(EVERY_SECONDS)

    adding = asyncio.create_task(add())
    yield
    adding.cancel()
    await asyncio.wait({adding})


def owner_of(store: Store, job_id: str, workers: list[WorkerProcess]) -> WorkerProcess:
    """Who runs the job: its `pb` is in the name of a socket, and the socket belongs to a process."""
    name = store.text(job_id, "pb") or ""
    ports = {one["addr"] for one in store.client.client_list() if one["name"].endswith(f":w:{name}")}
    for worker in workers:
        mine = psutil.Process(worker.process.pid).net_connections("tcp")
        if ports & {f"{one.laddr.ip}:{one.laddr.port}" for one in mine if one.laddr}:
            return worker
    raise AssertionError(f"{job_id} is run by {name!r}, none of our processes")


@pytest.mark.parametrize("pace", ["a quick job every 0.3 s", "no other job"])
async def test_a_killed_workers_job_starts_again_within_two_stalled_intervals(
    pace: str, fleet: Fleet, queue: Queue, store: Store
) -> None:
    """The check is a matter of time: not of what the survivor has in hand, nor of whether it saw the job claimed."""
    workers = [fleet.start(JOB_CONCURRENCY="2", OXCART_MAX_STALLED_COUNT="9") for _ in range(2)]
    await wait_until(lambda: all(map(fleet.is_running, workers)), describe="both run", timeout=20)
    async with jobs_that_keep_coming(queue):
        await wait_until(lambda: fleet.has_done(6), describe="both have been at it for a while")
        added = await queue.add("slow", 60)
        await wait_until(lambda: fleet.effects()[f"started {added.id}"], describe="the long job runs")
        await wait_until(lambda: fleet.has_done(12), describe="and quick ones beside it")
        if pace == "a quick job every 0.3 s":
            await kill_and_expect(fleet, store, added.id, workers)
            return
    await kill_and_expect(fleet, store, added.id, workers)


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_a_worker_that_has_been_idle_for_minutes_notices_as_soon(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    """The survivor has never seen a job: whoever popped the marker was the other one."""
    workers = [fleet.start(OXCART_MAX_STALLED_COUNT="9") for _ in range(2)]
    await wait_until(lambda: all(map(fleet.is_running, workers)), describe="both run", timeout=20)
    await let_pass(75)
    added = await queue.add("slow", 60)
    await wait_until(lambda: fleet.effects()[f"started {added.id}"], describe="the long job runs")
    await kill_and_expect(fleet, store, added.id, workers)


async def kill_and_expect(fleet: Fleet, store: Store, job_id: str, workers: list[WorkerProcess]) -> None:
    owner_of(store, job_id, workers).kill()
    await wait_until(
        lambda: fleet.effects()[f"started {job_id}"] == 2, describe="it has started again", timeout=AGAIN_WITHIN_SECONDS
    )
    assert store.number(job_id, "stc") == 1
