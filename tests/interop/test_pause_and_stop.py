"""Is anything lost when a queue is paused, resumed and deployed to, by both versions of BullMQ and by us?

BullMQ 5 pauses by renaming `wait` to `paused` and resumes by renaming it back over whatever is in `wait`; BullMQ 6 only
sets a flag; we keep all that waits in `paused`. What each of them adds or hands back in between must survive the
other's resume.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from support.server import PrivateServer

from oxcart import Job, Queue, RateLimited
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


class Ways:
    """How does a job of ours come to wait while the queue is paused? Nothing waits when it is paused."""

    def __init__(self, ours: Queue, server: PrivateServer, pause: Callable[[], Awaitable[Any]]) -> None:
        self.ours, self.server, self.pause = ours, server, pause
        self.go, self.started = asyncio.Event(), set[str]()
        self.app = behaving_app()
        self.app.job("held", attempts=2)(self._held)

    async def _held(self, job: Job[str]) -> None:
        if job.id not in self.started:
            self.started.add(job.id)
            await self.go.wait()
            if job.data == "retried":
                raise RuntimeError("once more")
            if job.data == "rate limited":
                raise RateLimited(0.01)

    def worker(self) -> AbstractAsyncContextManager[Any]:
        return running_worker(
            self.app,
            url=self.server.url,
            queue=self.ours.name,
            shutdown_grace_seconds=0.1,
            lock_duration_ms=1500,
            stalled_interval_ms=500,
        )

    async def come(self, way: str) -> list[str]:
        """Pauses the queue, in which nothing waits, and returns the ids of the jobs that wait from then on."""
        match way:
            case "added":
                await self.pause()
                return [(await self.ours.add("job")).id]
            case "added by add_many":
                await self.pause()
                return [job.id for job in await self.ours.add_many([("job", {}), ("job", {}, {"lifo": True})])]
            case "added as special":
                await self.pause()
                return [(await self.ours.add("job", deduplication="once")).id]
            case "delayed":
                job = await self.ours.add("job", delay_seconds=0.3)
                await self.pause()
                async with self.worker():
                    await self._waits(job.id)
                return [job.id]
            case "stalled":
                return [await self._stalled()]
            case "parent":
                flow = await self.ours.add_flow({"name": "job", "children": [{"name": "held"}]})
                return [await self._let_go(flow.children[0].id, flow.id)]
        held = await self.ours.add("held", way)
        return [await self._let_go(held.id, held.id, stops=way == "given back")]

    async def _let_go(self, runs: str, waits: str, *, stops: bool = False) -> str:
        async with self.worker():
            await wait_until(lambda: runs in self.started, describe="it runs")
            await self.pause()
            if not stops:
                self.go.set()
                await self._waits(waits)
        self.go.set()
        await self._waits(waits)
        return waits

    async def _stalled(self) -> str:
        vanishes = oxcart_member(self.server, self.ours.name)
        await vanishes.start()
        job = await self.ours.add("job", {"do": "slow", "ms": 1_000})
        await wait_until(lambda: active(self.ours), describe="it runs")
        await self.pause()
        vanishes.kill()
        async with self.worker():
            await self._waits(job.id)
        return job.id

    async def _waits(self, job_id: str) -> None:
        async def is_aside() -> bool:
            return job_id in [job.id for job in await self.ours.jobs("paused")]

        await wait_until(is_aside, describe="it waits where no resume overwrites it")


WAYS = (
    "added",
    "added by add_many",
    "added as special",
    "delayed",
    "retried",
    "given back",
    "parent",
    "rate limited",
    "stalled",
)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("resumes", ["bullmq5", "bullmq6", "oxcart"])
@pytest.mark.parametrize("way", WAYS)
async def test_what_comes_to_wait_in_an_empty_queue_that_bullmq_5_has_paused_is_not_lost(
    node5: NodeDriver, node6: NodeDriver, server: PrivateServer, queue_name: str, way: str, resumes: str
) -> None:
    """Nothing was renamed at the pause: there is no list `paused` to tell by."""
    five = node5.queue(queue_name)
    async with Queue(queue_name, server.url) as ours:
        ways = Ways(ours, server, lambda: five.call("pause"))
        ids = [*await ways.come(way), await five.add("job"), (await ours.add("job")).id]
        assert (await ours.counts())["paused"] == len(ids)

        await _resume(resumes, five, node6.queue(queue_name), ours)
        async with ways.worker():
            for job_id in ids:
                await ours.result(job_id, timeout_seconds=10)


@pytest.mark.parametrize("resumes", ["bullmq5", "bullmq6", "oxcart"])
async def test_what_waited_at_our_pause_is_not_lost_if_bullmq_5_adds(
    node5: NodeDriver, node6: NodeDriver, redis_url: str, queue_name: str, resumes: str
) -> None:
    five = node5.queue(queue_name)
    async with Queue(queue_name, redis_url) as ours:
        ids = [(await ours.add("job")).id, await five.add("job")]
        await ours.pause()
        ids += [await five.add("job"), (await ours.add("job")).id]

        await _resume(resumes, five, node6.queue(queue_name), ours)
        assert [job.id for job in await ours.jobs("waiting")] == ids, "in order"
        async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
            for job_id in ids:
                await ours.result(job_id, timeout_seconds=10)


@pytest.mark.parametrize("resumes", ["bullmq5", "bullmq6", "oxcart"])
async def test_what_bullmq_6_has_left_in_wait_is_put_aside_by_whatever_we_do_next(
    node5: NodeDriver, node6: NodeDriver, redis_url: str, queue_name: str, resumes: str
) -> None:
    """It pauses without a rename, and adds to `wait` of a paused queue."""
    five, six = node5.queue(queue_name), node6.queue(queue_name)
    async with Queue(queue_name, redis_url) as ours:
        ids = [await six.add("job")]
        await six.call("pause")
        ids += [await six.add("job"), await five.add("job")]
        ids += [(await ours.add("job")).id]

        await _resume(resumes, five, six, ours)
        async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
            for job_id in ids:
                await ours.result(job_id, timeout_seconds=10)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("has_delayed", [False, True])
async def test_what_is_left_in_paused_of_a_running_queue_is_brought_back(
    redis_url: str, redis: Any, queue_name: str, has_delayed: bool
) -> None:
    """Left by a resume of BullMQ 6 that was cut off: it takes 7,000 at a time."""
    async with Queue(queue_name, redis_url) as ours:
        left = await ours.add("job")
        await redis.rename(f"bull:{queue_name}:wait", f"bull:{queue_name}:paused")
        if has_delayed:
            await ours.add("job", delay_seconds=600)
        async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
            await left.result(timeout_seconds=10)


async def _nothing_active(queue: Queue) -> bool:
    return await active(queue) == 0


async def _resume(who: str, five: Any, six: Any, ours: Queue) -> None:
    if who == "oxcart":
        await ours.resume()
    else:
        await (five if who == "bullmq5" else six).call("resume")
