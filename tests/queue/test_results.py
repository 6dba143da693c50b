"""Does a caller always learn how a job ended, and never wait for ever?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import bullmq
import pytest

from oxcart.errors import InvalidInput, JobFailed, OxcartError, ResultGone, ResultTimeout
from oxcart.queue.producer import Queue


async def run(job: bullmq.Job, _token: str) -> Any:
    if job.name == "fail":
        raise ValueError("no such contact")
    return {"name": job.name}


@pytest.fixture
async def worker(queue: Queue, redis_url: str) -> AsyncIterator[Any]:
    started = bullmq.Worker(queue.name, run, {"connection": redis_url})
    yield started
    await started.close(force=True)


async def test_a_result_is_waited_for(queue: Queue, redis_url: str) -> None:
    added = await queue.add("later")
    waiting = asyncio.create_task(added.result(timeout_seconds=30))
    await asyncio.sleep(0)

    worker = bullmq.Worker(queue.name, run, {"connection": redis_url})

    assert await waiting == {"name": "later"}
    await worker.close(force=True)


async def test_many_waiters_share_one_connection(queue: Queue, worker: Any) -> None:
    added = await queue.add_many([(f"n{number}", number) for number in range(30)])

    results = await asyncio.gather(*(job.result(timeout_seconds=30) for job in added))

    assert results == [{"name": f"n{number}"} for number in range(30)]


async def test_a_failure_is_raised_with_its_reason(queue: Queue, worker: Any) -> None:
    added = await queue.add("fail")

    with pytest.raises(JobFailed) as raised:
        await added.result(timeout_seconds=30)

    assert raised.value.failed_reason == "no such contact"
    assert await queue.failed_reasons() == {"no such contact": 1}


async def test_the_result_of_a_removed_job_is_read_from_its_event(queue: Queue, worker: Any) -> None:
    added = await queue.add("gone", keep_completed=False)
    await queue.add_many([(f"n{number}", number) for number in range(600)])  # more events than fit in one page
    last = await queue.add("last")
    await last.result(timeout_seconds=30)

    assert await queue.get(added.id) is None
    assert await added.result(timeout_seconds=10) == {"name": "gone"}


async def test_a_result_that_is_no_longer_kept_is_said_to_be_gone(queue: Queue, worker: Any, redis: Any) -> None:
    added = await queue.add("gone", keep_completed=False)
    await added.result(timeout_seconds=30)
    await redis.xtrim(f"bull:{queue.name}:events", maxlen=0, approximate=False)

    with pytest.raises(ResultGone, match="its result is not kept"):
        await added.result(timeout_seconds=10)


async def test_a_job_that_does_not_finish_in_time_is_a_timeout(queue: Queue) -> None:
    added = await queue.add("nobody-runs-it")

    with pytest.raises(ResultTimeout, match=r"did not finish within 0\.2 s"):
        await added.result(timeout_seconds=0.2)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
async def test_a_wait_needs_an_end(queue: Queue, seconds: float) -> None:
    with pytest.raises(InvalidInput, match="a number of seconds above 0"):
        await queue.result("x", timeout_seconds=seconds)


async def test_a_result_survives_a_restart_of_the_server(fresh_server: Any, queue_name: str) -> None:
    async with Queue(queue_name, fresh_server.url) as queue:
        added = await queue.add("later")
        waiting = asyncio.create_task(added.result(timeout_seconds=60))
        await queue.counts()

        fresh_server.restart()
        worker = bullmq.Worker(queue_name, run, {"connection": fresh_server.url})

        assert await waiting == {"name": "later"}
        await worker.close(force=True)


async def test_closing_the_queue_ends_a_wait(redis_url: str, queue_name: str) -> None:
    queue = await Queue(queue_name, redis_url).__aenter__()
    added = await queue.add("nobody-runs-it")
    waiting = asyncio.create_task(added.result(timeout_seconds=60))
    await queue.counts()

    await queue.close()

    with pytest.raises(OxcartError, match="the Queue was closed meanwhile"):
        await waiting
