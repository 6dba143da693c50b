"""Does a deploy cost nothing? SIGTERM, with handlers that end, that are slow, and that do not listen."""

from __future__ import annotations

import signal
from functools import partial

import pytest
from support.processes import Fleet
from support.store import Store

from oxcart import Queue
from oxcart.testing import wait_until

SLACK_SECONDS = 2.0  # docs/guarantees.md, 5: a process is gone by then, after its grace


@pytest.mark.parametrize("name", ["slow", "deaf", "deaf thread", "to thread"])
async def test_with_no_grace_every_job_goes_back_in_order_and_nothing_is_used(
    name: str, fleet: Fleet, queue: Queue, store: Store
) -> None:
    ids = [added.id for added in await queue.add_many([(name, 60) for _ in range(8)])]
    worker = fleet.start(JOB_CONCURRENCY="4")
    await wait_until(lambda: fleet.count("started") == 4, describe="four jobs run")

    code = worker.terminate(within_seconds=SLACK_SECONDS)

    assert code == 0, worker.output
    assert store.ids("wait") == ids
    assert [(store.number(job_id, "atm"), store.number(job_id, "stc")) for job_id in ids] == [(0, 0)] * 8
    assert store.ids("active") == []
    assert not store.client.keys(f"{store.base}*:lock")


async def test_jobs_that_end_within_the_grace_are_completed(fleet: Fleet, queue: Queue, store: Store) -> None:
    ids = [added.id for added in await queue.add_many([("slow", 1.0) for _ in range(6)])]
    worker = fleet.start(JOB_CONCURRENCY="4", OXCART_SHUTDOWN_GRACE_SECONDS="5")
    await wait_until(lambda: fleet.count("started") == 4, describe="four jobs run")

    code = worker.terminate(within_seconds=5 + SLACK_SECONDS)

    assert code == 0, worker.output
    store.assert_ended_once(ids[:4])
    assert store.ids("wait") == ids[4:]
    assert fleet.count("started") == 4


async def test_the_grace_is_waited_for_and_no_longer(fleet: Fleet, queue: Queue, store: Store) -> None:
    ids = [added.id for added in await queue.add_many([("slow", 0.5), ("slow", 60), ("deaf", 0)])]
    worker = fleet.start(OXCART_SHUTDOWN_GRACE_SECONDS="1.5")
    await wait_until(lambda: fleet.count("started") == 3, describe="all three run")

    code = worker.terminate(within_seconds=1.5 + SLACK_SECONDS)

    assert code == 0, worker.output
    store.assert_ended_once(ids[:1])
    assert store.ids("wait") == ids[1:]
    assert [store.number(job_id, "atm") for job_id in ids[1:]] == [0, 0]


async def test_a_second_signal_ends_the_grace(fleet: Fleet, queue: Queue, store: Store) -> None:
    ids = [added.id for added in await queue.add_many([("slow", 60), ("deaf", 0)])]
    worker = fleet.start(OXCART_SHUTDOWN_GRACE_SECONDS="600")
    await wait_until(lambda: fleet.count("started") == 2, describe="both run")

    worker.signal(signal.SIGTERM)
    await wait_until(lambda: "worker.stopping" in worker.output, describe="it has heard")
    code = worker.terminate(within_seconds=SLACK_SECONDS)

    assert code == 0, worker.output
    assert store.ids("wait") == ids


async def test_after_the_signal_nothing_is_claimed(fleet: Fleet, queue: Queue, store: Store) -> None:
    """Jobs that are added while the old worker drains are left to the new one."""
    await queue.add("slow", 1.0)
    worker = fleet.start(OXCART_SHUTDOWN_GRACE_SECONDS="10")
    await wait_until(lambda: fleet.count("started") == 1, describe="the job runs")

    worker.signal(signal.SIGTERM)
    await wait_until(lambda: "worker.stopping" in worker.output, describe="it has heard")
    late = [added.id for added in await queue.add_many([("quick", n) for n in range(20)])]
    code = worker.process.wait(10 + SLACK_SECONDS)

    assert code == 0, worker.output
    assert store.ids("wait") == late
    assert fleet.count("done") == 1


async def test_rolling_restarts_lose_and_repeat_nothing(fleet: Fleet, queue: Queue, store: Store) -> None:
    """Each deploy overlaps with the next; the grace is enough for every job."""
    ids = [added.id for added in await queue.add_many([("slow", 0.01) for _ in range(2000)])]
    environ = {"JOB_CONCURRENCY": "20", "OXCART_SHUTDOWN_GRACE_SECONDS": "5", "OXCART_KEEP_COMPLETED": "all"}
    old = fleet.start(**environ)
    for deploy in range(1, 4):
        await wait_until(partial(fleet.has_done, deploy * 300), describe="jobs are done", timeout=30)
        new = fleet.start(**environ)
        await wait_until(partial(fleet.is_running, new), describe="the new worker runs")
        assert old.terminate(within_seconds=5 + SLACK_SECONDS) == 0
        old = new
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=40)

    assert set(fleet.effects().values()) == {1}
    store.assert_ended_once(ids)
