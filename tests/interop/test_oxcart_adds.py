"""Does a Node worker run what Oxcart adds, and do both sides tell the same story about a job?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from oxcart import JobFailed, Queue
from oxcart.testing import wait_until

from .node_driver import NodeDriver, NodeQueue


@pytest.fixture
async def ours(queue_name: str, redis_url: str) -> AsyncIterator[Queue]:
    async with Queue(queue_name, redis_url) as queue:
        yield queue


@pytest.fixture
async def theirs(node: NodeDriver, queue_name: str) -> AsyncIterator[NodeQueue]:
    """The queue as Node sees it, with a Node worker that runs one job at a time."""
    queue = node.queue(queue_name)
    await queue.start_worker("beside")
    yield queue
    await queue.stop_worker("beside")
    assert await node.background_errors() == []


async def test_results_failures_and_logs(ours: Queue, theirs: NodeQueue) -> None:
    good = await ours.add("job", {"value": {"text": "Зоя 🐂"}})
    bad = await ours.add("job", {"do": "unrecoverable", "message": "no such lead"}, attempts=4)
    talking = await ours.add("job", {"do": "progress", "steps": [30], "lines": ["one", "two"]})

    assert await good.result(timeout_seconds=10) == {"text": "Зоя 🐂"}
    with pytest.raises(JobFailed, match="no such lead"):
        await bad.result(timeout_seconds=10)
    await talking.result(timeout_seconds=10)
    assert await ours.logs(talking.id) == await theirs.logs(talking.id) == ["one", "two"]


async def test_delays_priorities_lifo_and_retries(node: NodeDriver, ours: Queue) -> None:
    theirs = node.queue(ours.name)
    late = await ours.add("job", priority=9)
    urgent = await ours.add("job", priority=1)
    first, second = await ours.add_many([("job", {"value": 1}), ("job", {"value": 2})])
    next_one = await ours.add("job", lifo=True)

    await theirs.start_worker("beside")
    await late.result(timeout_seconds=10)
    started = [event["jobId"] for event in await theirs.events() if event["event"] == "active"]
    assert started == [next_one.id, first.id, second.id, urgent.id, late.id]

    delayed = await ours.add("job", {"value": 3}, delay_seconds=0.15)
    retried = await ours.add("job", {"do": "fail", "times": 2, "value": 4}, attempts=3, backoff="exponential:20ms")
    assert await delayed.result(timeout_seconds=10) == 3
    assert await retried.result(timeout_seconds=10) == 4
    job = await theirs.get(delayed.id)
    assert job["processedOn"] >= job["timestamp"] + 150
    await theirs.stop_worker("beside")


async def test_deduplicated_jobs_are_one_for_both(ours: Queue, node: NodeDriver) -> None:
    theirs = node.queue(ours.name)
    first = await ours.add("job", {"value": 1}, deduplication="lead-1")

    assert await theirs.add("job", {"value": 2}, deduplication={"id": "lead-1"}) == first.id
    assert (await ours.add("job", {"value": 3}, deduplication="lead-1")).id == first.id

    await theirs.start_worker("beside")
    assert await first.result(timeout_seconds=10) == 1
    assert await theirs.call("getDeduplicationJobId", "lead-1") is None
    await theirs.stop_worker("beside")


async def test_many_jobs_at_once(ours: Queue, theirs: NodeQueue) -> None:
    jobs = await ours.add_many([("job", {"value": n}) for n in range(300)])

    results = [await job.result(timeout_seconds=15) for job in jobs]

    assert results == list(range(300))


async def test_both_sides_tell_the_same_of_a_job(ours: Queue, node: NodeDriver) -> None:
    theirs = node.queue(ours.name)
    mine = await ours.add("job", {"n": [1, 2.5, None, True]}, priority=3, attempts=4, backoff="fixed:1s", job_id="mine")
    from_node = await theirs.add("job", {"n": "x"}, delay=60_000, attempts=2, jobId="from-node")

    node_sees = await theirs.get(mine.id)
    assert (node_sees["name"], node_sees["data"]) == ("job", {"n": [1, 2.5, None, True]})
    assert (node_sees["opts"]["attempts"], node_sees["opts"]["priority"]) == (4, 3)
    assert node_sees["opts"]["backoff"] == {"type": "fixed", "delay": 1000}
    we_see = await ours.get(from_node)
    assert we_see is not None
    assert (we_see.name, we_see.data, we_see.delay_ms) == ("job", {"n": "x"}, 60_000)
    assert we_see.options.attempts == 2
    for job_id, state in ((mine.id, "prioritized"), (from_node, "delayed")):
        assert await ours.state(job_id) == await theirs.state(job_id) == state
    our_counts, their_counts = await ours.counts(), await theirs.counts()
    assert {state: n for state, n in our_counts.items() if n} == {state: n for state, n in their_counts.items() if n}


async def test_each_side_changes_what_the_other_added(ours: Queue, node: NodeDriver) -> None:
    theirs = node.queue(ours.name)
    by_us = await ours.add("job", {"do": "fail", "times": 1, "value": "better"}, delay_seconds=600)
    by_node = await theirs.add("job", {"do": "fail", "times": 1, "value": "better"}, delay=600_000)
    await theirs.start_worker("beside")

    await theirs.job(by_us.id, "promote")
    await ours.promote(by_node)
    for job_id in (by_us.id, by_node):
        with pytest.raises(JobFailed, match="failure 1"):
            await ours.result(job_id, timeout_seconds=10)
    await theirs.job(by_us.id, "retry")
    await ours.retry(by_node)
    for job_id in (by_us.id, by_node):
        await wait_until(partial(_completed, theirs, job_id), describe="the retried job has completed")

    await theirs.stop_worker("beside")
    assert sorted(await ours.clean("completed")) == sorted([by_us.id, by_node])
    await theirs.call("pause")
    assert await ours.is_paused()
    await ours.obliterate()
    assert sum((await theirs.counts()).values()) == 0


async def _completed(queue: NodeQueue, job_id: str) -> bool:
    return await queue.state(job_id) == "completed"


async def test_limits_are_the_same_setting(ours: Queue, node: NodeDriver) -> None:
    theirs = node.queue(ours.name)
    await ours.set_global_concurrency(3)
    await ours.set_rate_limit(7, duration_seconds=2)

    assert await theirs.call("getGlobalConcurrency") == 3
    assert await theirs.call("getGlobalRateLimit") == {"max": 7, "duration": 2000}

    await theirs.call("setGlobalConcurrency", 5)
    await theirs.call("removeGlobalRateLimit")
    limits = await ours.limits()
    assert limits["concurrency"] == 5
    assert limits["max"] is None
