"""What does a crash cost? Workers killed in the middle of their jobs; others take over."""

from __future__ import annotations

from functools import partial

import pytest
from support.processes import Fleet
from support.store import Store

from oxcart import Queue
from oxcart.testing import wait_until


async def test_the_jobs_of_a_killed_worker_run_again_elsewhere(fleet: Fleet, queue: Queue, store: Store) -> None:
    ids = [added.id for added in await queue.add_many([("slow", 1.5) for _ in range(4)])]
    first = fleet.start()
    await wait_until(lambda: fleet.count("started") == 4, describe="all run")
    first.kill()
    fleet.start()
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=20)

    effects = fleet.effects()
    assert [effects[f"started {job_id}"] for job_id in ids] == [2] * 4
    assert [effects[f"done {job_id}"] for job_id in ids] == [1] * 4
    store.assert_ended_once(ids, stalled=1)


async def test_a_job_that_loses_its_worker_too_often_fails(fleet: Fleet, queue: Queue, store: Store) -> None:
    """A handler that takes the whole process down must not do so for ever."""
    added = await queue.add("slow", 60)
    for lives in range(1, 3):
        worker = fleet.start(OXCART_MAX_STALLED_COUNT="1")
        await wait_until(partial(fleet.has_started, lives), describe="it runs", timeout=20)
        worker.kill()
    fleet.start(OXCART_MAX_STALLED_COUNT="1")
    await wait_until(lambda: store.ended([added.id], "failed"), describe="it has failed", timeout=20)

    assert fleet.count("started") == 2
    assert store.places(added.id) == ["failed"]
    assert "stalled more than allowable limit" in (store.text(added.id, "failedReason") or "")


async def test_a_fleet_that_is_killed_again_and_again_loses_nothing(fleet: Fleet, queue: Queue, store: Store) -> None:
    ids = [added.id for added in await queue.add_many([("slow", 0.02) for _ in range(600)])]
    environ = {"JOB_CONCURRENCY": "10", "OXCART_MAX_STALLED_COUNT": "100"}
    for kills in range(1, 4):
        worker = fleet.start(**environ)
        await wait_until(partial(fleet.has_done, kills * 60), describe="jobs are done", timeout=20)
        worker.kill()
    fleet.start(**environ)
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=30)

    effects = fleet.effects()
    assert {job_id for job_id in ids if effects[f"done {job_id}"] == 0} == set()
    assert sum(effects[f"started {job_id}"] > 1 for job_id in ids) <= 3 * 20  # what three workers held when they died
    store.assert_ended_once(ids, stalled=None)


@pytest.mark.takes_seconds
async def test_an_end_that_hangs_ends_the_process(fleet: Fleet, queue: Queue) -> None:
    """A worker stood still on its way out, deaf to SIGTERM, and /health said 200 for a while."""
    worker = fleet.start(OXCART_SHUTDOWN_GRACE_SECONDS="0")
    await queue.add("hangs the end")
    await wait_until(lambda: worker.process.poll() is not None, describe="it has ended", timeout=20)

    assert worker.process.returncode == 1
    assert [line["code"] for line in worker.events("worker.warning")][-1] == "HANGING_END"
