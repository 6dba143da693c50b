"""Does Oxcart run what Node adds, as a Node worker would? The judge is Node: its states, results and events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .node_driver import NodeDriver, NodeError, NodeQueue

MEANWHILE_MS = 60_000  # a delay that ends only if the test promotes the job


@pytest.fixture
async def queue(node: NodeDriver, queue_name: str, redis_url: str) -> AsyncIterator[NodeQueue]:
    """The queue as Node sees it, with an Oxcart worker beside it that runs one job at a time."""
    async with running_worker(behaving_app(), url=redis_url, queue=queue_name, concurrency=1):
        yield node.queue(queue_name)


def order_of_starts(events: list[dict[str, object]]) -> list[object]:
    return [event["jobId"] for event in events if event["event"] == "active"]


async def test_a_plain_job_and_its_events(queue: NodeQueue) -> None:
    job_id = await queue.add("job", {"value": {"name": "Åsa", "emoji": "🐂"}})

    assert await queue.result(job_id) == {"name": "Åsa", "emoji": "🐂"}
    assert await queue.state(job_id) == "completed"
    job = await queue.get(job_id)
    assert job["returnvalue"] == {"name": "Åsa", "emoji": "🐂"}
    assert (job["attemptsMade"], job["attemptsStarted"]) == (1, 1)
    assert job["timestamp"] <= job["processedOn"] <= job["finishedOn"]
    kinds = [event["event"] for event in await queue.events() if event.get("jobId") == job_id]
    assert kinds == ["added", "waiting", "active", "completed"]


async def test_the_order_is_that_of_node(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    """Waiting jobs first in, first out; lifo ones before them; prioritized ones after, lowest number first."""
    queue = node.queue(queue_name)
    plain = await queue.add_bulk([{"name": "job", "data": {"value": n}} for n in range(3)])
    late = await queue.add("job", priority=5)
    urgent = await queue.add("job", priority=1)
    next_one = await queue.add("job", lifo=True)

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name, concurrency=1):
        await queue.result(late)

    assert order_of_starts(await queue.events()) == [next_one, *plain, urgent, late]


async def test_delayed_jobs_run_when_they_are_due_or_promoted(queue: NodeQueue) -> None:
    soon = await queue.add("job", {"value": 1}, delay=150)
    much_later = await queue.add("job", {"value": 2}, delay=MEANWHILE_MS)

    assert await queue.result(soon) == 1
    job = await queue.get(soon)
    assert job["processedOn"] >= job["timestamp"] + 150
    assert await queue.state(much_later) == "delayed"
    await queue.job(much_later, "promote")
    assert await queue.result(much_later) == 2


@pytest.mark.parametrize(
    ("backoff", "at_least"),
    [
        ({"type": "fixed", "delay": 60}, (60, 60)),
        ({"type": "exponential", "delay": 40}, (40, 80)),
        ({"type": "fixed", "delay": 100, "jitter": 0.5}, (50, 50)),
        ({"type": "exponential", "delay": 50, "jitter": 0.8}, (10, 20)),
        (70, (70, 70)),
    ],
    ids=["fixed", "exponential", "fixed with jitter", "exponential with jitter", "a number"],
)
async def test_a_failing_job_waits_as_its_backoff_says(
    queue: NodeQueue, backoff: object, at_least: tuple[int, int]
) -> None:
    job_id = await queue.add("job", {"do": "fail", "times": 2, "value": "at last"}, attempts=3, backoff=backoff)

    assert await queue.result(job_id) == "at last"
    job = await queue.get(job_id)
    assert (job["attemptsMade"], job["attemptsStarted"]) == (3, 3)
    assert [line.splitlines()[-1].split(": ")[-1] for line in job["stacktrace"]] == ["failure 1", "failure 2"]
    delays = [
        int(event["delay"]) - job["timestamp"]
        for event in await queue.events()
        if event["event"] == "delayed" and event["jobId"] == job_id
    ]
    first, second = delays
    assert first >= at_least[0]
    assert second - first >= at_least[1]


async def test_a_job_that_keeps_failing_is_a_dead_letter_that_node_can_retry(queue: NodeQueue) -> None:
    job_id = await queue.add("job", {"do": "fail", "times": 2, "message": "no luck"}, attempts=2)

    with pytest.raises(NodeError, match="no luck"):
        await queue.result(job_id)
    job = await queue.get(job_id)
    assert job["failedReason"] == "no luck"
    assert job["attemptsMade"] == 2
    exhausted = [event for event in await queue.events() if event["event"] == "retries-exhausted"]
    assert [(event["jobId"], event["attemptsMade"]) for event in exhausted] == [(job_id, "2")]

    await queue.job(job_id, "retry")
    await wait_until(lambda: _is(queue, job_id, "completed"), describe="the retried job has completed")


async def _is(queue: NodeQueue, job_id: str, state: str) -> bool:
    return await queue.state(job_id) == state


async def test_an_unrecoverable_error_uses_no_further_attempt(queue: NodeQueue) -> None:
    job_id = await queue.add("job", {"do": "unrecoverable", "message": "wrong number"}, attempts=5)

    with pytest.raises(NodeError, match="wrong number"):
        await queue.result(job_id)
    assert (await queue.get(job_id))["attemptsMade"] == 1


async def test_progress_and_logs_reach_node(queue: NodeQueue) -> None:
    job_id = await queue.add("job", {"do": "progress", "steps": [50, {"page": 2}], "lines": ["first", "second"]})

    await queue.result(job_id)
    assert [event["data"] for event in await queue.events() if event["event"] == "progress"] == [50, {"page": 2}]
    assert (await queue.get(job_id))["progress"] == {"page": 2}
    assert await queue.logs(job_id) == ["first", "second"]


async def test_a_snoozed_and_a_rate_limited_job_use_no_attempt(queue: NodeQueue) -> None:
    snoozed = await queue.add("job", {"do": "delayed", "ms": 50, "value": 1})
    assert await queue.result(snoozed) == 1
    limited = await queue.add("job", {"do": "rate-limit", "ms": 50, "value": 2})
    assert await queue.result(limited) == 2

    for job_id in (snoozed, limited):
        job = await queue.get(job_id)
        assert (job["attemptsMade"], job["attemptsStarted"]) == (1, 2)


async def test_what_node_wants_kept_is_kept(queue: NodeQueue) -> None:
    removed = await queue.add("job", {"value": 1}, removeOnComplete=True)
    first = await queue.add("job", {"value": 2}, removeOnComplete=2)
    for value in (3, 4):
        last = await queue.add("job", {"value": value}, removeOnComplete={"count": 2})
    failed = await queue.add("job", {"do": "unrecoverable"}, removeOnFail=True)
    last = await queue.add("job", {"value": 5}, removeOnComplete={"age": 3600, "count": 2})
    await queue.result(last)

    counts = await queue.counts()
    assert (counts["completed"], counts["failed"]) == (2, 0)
    for gone in (removed, first, failed):
        assert await queue.get(gone) is None


async def test_a_global_rate_limit_set_by_node_is_kept(queue: NodeQueue) -> None:
    await queue.call("setGlobalRateLimit", 2, 300)
    ids = await queue.add_bulk([{"name": "job", "data": {}} for _ in range(5)])

    for job_id in ids:
        await queue.result(job_id)
    started = sorted([(await queue.get(job_id))["processedOn"] for job_id in ids])
    assert started[2] - started[0] >= 250
    assert started[4] - started[2] >= 250
