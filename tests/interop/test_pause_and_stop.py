"""Is anything lost when a queue is paused, resumed and deployed to, by both versions of BullMQ and by us?

BullMQ 5 pauses by renaming `wait` to `paused` and resumes by renaming it back over whatever is in `wait`; BullMQ 6 and
we only set a flag. What each of them adds or hands back in between must survive the other's resume.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.server import PrivateServer

from oxcart import Queue
from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .fleet import PythonMember, oxcart_member
from .node_driver import NodeDriver


@pytest.fixture
async def worker(server: PrivateServer, queue_name: str) -> AsyncIterator[PythonMember]:
    """An Oxcart worker process with a short lock, not started."""
    member = oxcart_member(server, queue_name, shutdown_grace_seconds=0.1)
    yield member
    member.kill()


async def active(queue: Queue) -> int:
    return (await queue.counts())["active"]


async def completed(queue: Queue) -> int:
    return (await queue.counts())["completed"]


async def test_adds_of_both_sides_survive_a_pause_and_resume_of_bullmq_5(
    node5: NodeDriver, node6: NodeDriver, queue_name: str, redis_url: str
) -> None:
    five, six = node5.queue(queue_name), node6.queue(queue_name)
    async with Queue(queue_name, redis_url) as ours:
        before = [await five.add("job"), (await ours.add("job")).id]
        await five.call("pause")
        while_paused = [
            (await ours.add("job")).id,
            await five.add("job"),
            *[job.id for job in await ours.add_many([("job", {}), ("job", {})])],
            (await ours.add("job", lifo=True)).id,
        ]
        assert await ours.is_paused()
        counts = await ours.counts()
        assert counts["waiting"] + counts["paused"] == len(before) + len(while_paused)

        await five.call("resume")
        after = [await six.add("job")]
        async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
            for job_id in [*before, *while_paused, *after]:
                assert await ours.result(job_id, timeout_seconds=10) == {"ran": job_id}


@pytest.mark.parametrize("resumes", ["bullmq5", "bullmq6", "oxcart"])
async def test_a_stop_with_running_jobs_while_bullmq_5_has_paused_loses_nothing(
    node5: NodeDriver, node6: NodeDriver, worker: PythonMember, redis_url: str, queue_name: str, resumes: str
) -> None:
    """SIGTERM hands running jobs back to the head of the queue, into the list that a resume will look at."""
    five = node5.queue(queue_name)
    async with Queue(queue_name, redis_url) as ours:
        await worker.start()
        slow = [(await ours.add("job", {"do": "slow", "ms": 3_000, "value": n})).id for n in range(2)]
        await wait_until(lambda: active(ours), describe="a job is running")
        await five.call("pause")
        waiting = [(await ours.add("job")).id, await five.add("job")]

        await worker.stop()

        counts = await ours.counts()
        assert counts["active"] == 0
        assert counts["waiting"] + counts["paused"] == 4
        for job_id in slow:
            job = await ours.get(job_id)
            assert job is not None
            assert job.attempts_made == 0, "a deploy costs no attempt"
        await _resume(resumes, five, node6.queue(queue_name), ours)
        async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
            for job_id in [*slow, *waiting]:
                await ours.result(job_id, timeout_seconds=15)


@pytest.mark.parametrize("resumes", ["bullmq5", "bullmq6", "oxcart"])
async def test_a_stalled_job_returned_while_bullmq_5_has_paused_is_not_lost(
    node5: NodeDriver,
    node6: NodeDriver,
    worker: PythonMember,
    server: PrivateServer,
    redis_url: str,
    queue_name: str,
    resumes: str,
) -> None:
    """A second worker finds the job of a killed one while the queue is paused, and puts it where it is found again."""
    five = node5.queue(queue_name)
    survivor = oxcart_member(server, queue_name)
    async with Queue(queue_name, redis_url) as ours:
        await worker.start()
        stalled = await ours.add("job", {"do": "slow", "ms": 2_000, "value": "at last"})
        await wait_until(lambda: active(ours), describe="the job is running")
        await five.call("pause")
        added = await ours.add("job", {"value": "too"})
        worker.kill()
        await survivor.start()
        try:
            await wait_until(lambda: _nothing_active(ours), describe="the stalled job is back in the queue")
            await _resume(resumes, five, node6.queue(queue_name), ours)

            assert await added.result(timeout_seconds=10) == "too"
            assert await stalled.result(timeout_seconds=10) == "at last"
        finally:
            survivor.kill()


async def _nothing_active(queue: Queue) -> bool:
    return await active(queue) == 0


async def _resume(who: str, five: Any, six: Any, ours: Queue) -> None:
    if who == "oxcart":
        await ours.resume()
    else:
        await (five if who == "bullmq5" else six).call("resume")
