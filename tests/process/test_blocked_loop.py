"""What does a handler cost that holds up the event loop for longer than a lock lasts? A second worker looks on."""

from __future__ import annotations

from support.processes import Fleet
from support.store import Store

from oxcart import Queue
from oxcart.testing import wait_until

BLOCKED_SECONDS = 3.5  # three and a half locks: the stalled check of the other worker passes twice


async def test_a_job_that_blocks_the_loop_is_not_run_twice(fleet: Fleet, queue: Queue, store: Store) -> None:
    first = await queue.add("blocking", BLOCKED_SECONDS)
    fleet.start()
    await wait_until(lambda: fleet.count("started") == 1, describe="it runs")
    other = fleet.start()
    await wait_until(lambda: fleet.is_running(other), describe="the second worker looks after stalled jobs")
    await wait_until(lambda: store.ended([first.id]), describe="it has ended")

    assert set(fleet.effects().values()) == {1}
    store.assert_ended_once([first.id])


async def test_the_jobs_claimed_with_one_that_blocks_the_loop_are_not_run_twice(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    """They came in one answer; the first blocks before the next has begun."""
    ids = [
        added.id for added in await queue.add_many([("blocking", BLOCKED_SECONDS), *[("quick", n) for n in range(9)]])
    ]
    fleet.start()
    await wait_until(lambda: fleet.count("started") == 1, describe="the first runs")
    fleet.start()
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=20)

    assert set(fleet.effects().values()) == {1}
    store.assert_ended_once(ids)


async def test_a_claim_answered_while_the_loop_was_blocked_is_checked_before_its_jobs_run(
    fleet: Fleet, queue: Queue, store: Store
) -> None:
    """The answer waits in the socket while the locks it speaks of end, and another worker takes the jobs."""
    many = [("quick", n) for n in range(100)]
    ids = [added.id for added in await queue.add_many([*many, ("blocking", BLOCKED_SECONDS), *many])]
    worker = fleet.start(JOB_CONCURRENCY="4")
    await wait_until(lambda: fleet.effects()[f"started {ids[100]}"] == 1, describe="the loop is blocked")
    fleet.start(JOB_CONCURRENCY="4")
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=20)

    assert set(fleet.effects().values()) == {1}, worker.output
    store.assert_ended_once(ids, stalled=None)
