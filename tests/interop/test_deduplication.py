"""Do deduplicated jobs of Node end as Node expects? The key must be given up, or kept, when Oxcart finishes them."""

from __future__ import annotations

import pytest

from oxcart import Queue
from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .node_driver import NodeDriver, NodeQueue


async def test_simple_mode_frees_the_id_when_the_job_ends(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    queue = node.queue(queue_name)
    once = {"deduplication": {"id": "contact-7"}}
    first = await queue.add("job", {"value": 1}, **once)
    assert await queue.add("job", {"value": 2}, **once) == first

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
        assert await queue.result(first) == 1
        again = await queue.add("job", {"value": 3}, **once)
        assert again != first
        assert await queue.result(again) == 3


async def test_throttle_mode_keeps_the_id_after_the_job_has_ended(
    node: NodeDriver, queue_name: str, redis_url: str
) -> None:
    queue = node.queue(queue_name)
    throttled = {"deduplication": {"id": "contact-7", "ttl": 60_000}}
    first = await queue.add("job", {"value": 1}, **throttled)

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
        await queue.result(first)

    assert await queue.add("job", {"value": 2}, **throttled) == first
    assert await queue.call("getDeduplicationJobId", "contact-7") == first


@pytest.mark.parametrize("ending", ["value", "unrecoverable"])
async def test_debounce_mode_runs_the_last_one_only(
    node: NodeDriver, queue_name: str, redis_url: str, ending: str
) -> None:
    queue = node.queue(queue_name)
    debounced = {"deduplication": {"id": "c", "ttl": 200, "extend": True, "replace": True}, "delay": 150}
    data = {"do": "unrecoverable"} if ending == "unrecoverable" else {"do": "ok"}

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
        ids = [await queue.add("job", {**data, "value": n}, **debounced) for n in range(3)]
        state = "failed" if ending == "unrecoverable" else "completed"
        await wait_until(lambda: _has(queue, ids[-1], state), describe=f"the last job has {state}")

    counts = await queue.counts()
    assert (counts["completed"] + counts["failed"], counts["delayed"]) == (1, 0)


async def _has(queue: NodeQueue, job_id: str, state: str) -> bool:
    return await queue.state(job_id) == state


async def test_keep_last_if_active_runs_the_newest_once_the_running_one_has_ended(
    node: NodeDriver, queue_name: str, redis_url: str
) -> None:
    queue = node.queue(queue_name)
    kept = {"deduplication": {"id": "contact-7", "keepLastIfActive": True}}

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name, concurrency=5):
        first = await queue.add("job", {"do": "slow", "ms": 300, "value": 1}, **kept)
        await wait_until(lambda: _has(queue, first, "active"), describe="the first job is running")
        for value in (2, 3, 4):
            await queue.add("job", {"value": value}, **kept)
        assert await queue.result(first) == 1
        await wait_until(lambda: _completed(queue, 2), describe="the kept job has run")

    values = sorted([job["returnvalue"] for job in await queue.call("getCompleted")])
    assert values == [1, 4]
    assert await queue.call("getDeduplicationJobId", "contact-7") is None


async def _completed(queue: NodeQueue, number: int) -> bool:
    return (await queue.counts())["completed"] == number


@pytest.mark.parametrize("by", ["node", "oxcart"])
async def test_a_deduplicated_job_can_move_the_one_before_it(
    by: str, node6: NodeDriver, queue_name: str, redis_url: str
) -> None:
    """`reschedule`: the delayed job keeps its id and data, and gets the delay of the new one."""
    async with Queue(queue_name, redis_url) as queue:
        once = {"id": "once", "reschedule": True}
        if by == "node":
            theirs = node6.queue(queue_name)
            first = await theirs.add("x", {"n": 1}, delay=60_000, deduplication=once)
            again = await theirs.add("x", {"n": 2}, delay=3_600_000, deduplication=once)
        else:
            first = (await queue.add("x", {"n": 1}, delay_seconds=60, deduplication=once)).id
            again = (await queue.add("x", {"n": 2}, delay_seconds=3600, deduplication=once)).id
        (job,) = await queue.jobs("delayed")

    assert (first, job.id, job.data, job.delay_ms) == (again, again, {"n": 1}, 3_600_000)
