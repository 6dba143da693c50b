"""Does a worker run what is added? The happy path, in this process, on a real server."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support.watched import running_worker

from oxcart import Discard, Job, JobFailed, Oxcart, Queue, Snooze, StateConflict
from oxcart.testing import wait_until


async def test_jobs_of_every_kind_are_run(redis_url: str, queue_name: str) -> None:
    app = Oxcart()
    seen: list[str] = []

    @app.job("async")
    async def run_async(job: Job[dict[str, int]]) -> int:
        await asyncio.sleep(0)
        seen.append(job.id)
        return job.data["n"] + 1

    @app.job("sync")
    def run_sync(job: Job[dict[str, int]]) -> str:
        job.progress(50)
        job.log("half way")
        return threading.current_thread().name

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        plain = await queue.add("async", {"n": 1})
        delayed = await queue.add("async", {"n": 2}, delay_seconds=0.2)
        urgent = await queue.add("async", {"n": 3}, priority=1)
        threaded = await queue.add("sync", {"n": 4})

        results = [await job.result(timeout_seconds=10) for job in (plain, delayed, urgent, threaded)]

        assert results[:3] == [2, 3, 4]
        assert results[3].startswith("oxcart-handler-")
        assert await queue.logs(threaded.id) == ["half way"]
        counts = await queue.counts()
        assert counts["active"] == 0
        assert counts["completed"] == 4


async def test_a_failing_job_is_tried_again_and_then_a_dead_letter(redis_url: str, queue_name: str) -> None:
    app = Oxcart()
    tries: list[int] = []

    @app.job("fails", attempts=3, backoff="fixed:10ms")
    async def fails(job: Job) -> None:
        tries.append(job.attempts_made)
        raise RuntimeError("boom")

    @app.job("hopeless", attempts=3)
    async def hopeless(job: Job) -> None:
        raise Discard("never")

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        first = await queue.add("fails", {})
        with pytest.raises(JobFailed, match="boom"):
            await first.result(timeout_seconds=10)
        second = await queue.add("hopeless", {})
        with pytest.raises(JobFailed, match="never"):
            await second.result(timeout_seconds=10)

        assert tries == [0, 1, 2]
        assert (await queue.counts())["failed"] == 2


async def test_a_snoozed_job_uses_no_attempt(redis_url: str, queue_name: str) -> None:
    app = Oxcart()
    tries: list[int] = []

    @app.job("later")
    async def later(job: Job) -> int:
        tries.append(job.attempts_made)
        if len(tries) == 1:
            raise Snooze(0.05)
        return len(tries)

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        assert await (await queue.add("later", {})).result(timeout_seconds=10) == 2

    assert tries == [0, 0]


async def test_a_handler_that_takes_too_long_is_stopped(redis_url: str, queue_name: str) -> None:
    app = Oxcart()
    stopped = asyncio.Event()

    @app.job("slow", timeout_seconds=0.1)
    async def slow(job: Job) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            assert job.cancelled
            stopped.set()

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        with pytest.raises(JobFailed, match=r"timed out after 0\.1 s"):
            await (await queue.add("slow", {})).result(timeout_seconds=10)

    assert stopped.is_set()


async def test_a_stopped_worker_gives_running_jobs_back(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("endless")
    async def endless(job: Job) -> None:
        await asyncio.Event().wait()

    async with Queue(queue_name, redis_url) as queue:
        ids = [(await queue.add("endless", {})).id for _ in range(3)]
        async with running_worker(app, url=redis_url, queue=queue_name, shutdown_grace_seconds=0):
            await wait_until(lambda: _is_active(queue, 3), describe="all three run")

        waiting = await queue.jobs("waiting")
        assert [job.id for job in waiting] == ids
        assert [job.attempts_made for job in waiting] == [0, 0, 0]


async def _is_active(queue: Queue, number: int) -> bool:
    return (await queue.counts())["active"] == number


async def test_a_running_job_can_be_cancelled_from_anywhere(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("endless", attempts=3)
    async def endless(job: Job) -> None:
        await asyncio.Event().wait()

    async with (
        running_worker(app, url=redis_url, queue=queue_name, lock_duration_ms=1000),
        Queue(queue_name, redis_url) as queue,
    ):
        added = await queue.add("endless", {})
        await wait_until(lambda: _is_active(queue, 1), describe="it runs")

        await queue.cancel(added.id)

        with pytest.raises(JobFailed, match="cancelled on request"):
            await added.result(timeout_seconds=10)
        with pytest.raises(StateConflict, match="it is failed, not being run"):
            await queue.cancel(added.id)
