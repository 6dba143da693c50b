"""Do a worker's name and its bound on starts do what Node's options of a Worker do?"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from oxcart import Job, JobFailed, Oxcart, Queue, Snooze
from oxcart.testing import running_worker, wait_until


async def test_a_workers_name_is_in_its_jobs(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("x")
    async def run(job: Job[Any]) -> None: ...

    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(app, url=redis_url, queue=queue_name, worker_name="crm-7"),
    ):
        added = await queue.add("x")
        await added.result(timeout_seconds=10)
        stored = await queue.get(added.id)

    assert stored is not None
    assert re.fullmatch("crm-7-[0-9a-f]{8}", stored.processed_by or "")


@pytest.mark.parametrize("ending", ["snooze", "error"])
async def test_a_job_is_started_no_more_often_than_allowed(ending: str, redis_url: str, queue_name: str) -> None:
    """As Node's maxStartedAttempts: attempts that are left do not help, nor does coming back without using one."""
    app, starts = Oxcart(), list[int]()

    @app.job("x")
    async def run(job: Job[Any]) -> None:
        starts.append(job.attempts_started)
        raise Snooze(0.01) if ending == "snooze" else ValueError("as asked")

    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(app, url=redis_url, queue=queue_name, max_started_attempts=2),
    ):
        added = await queue.add("x", attempts=9)
        with pytest.raises(JobFailed) as raised:
            await added.result(timeout_seconds=10)

    assert starts == [1, 2]
    reason = "job started more than allowable limit" if ending == "snooze" else "as asked"
    assert raised.value.failed_reason == reason


@pytest.mark.parametrize("retry", [True, False])
async def test_a_job_is_cancelled_with_a_reason_and_fails_or_is_tried_again(
    retry: bool, redis_url: str, queue_name: str
) -> None:
    app, began = Oxcart(), asyncio.Event()

    @app.job("x")
    async def run(job: Job[Any]) -> str:
        if job.attempts_made:
            return "tried again"
        began.set()
        await asyncio.sleep(60)
        return ""

    settings: dict[str, Any] = {"lock_duration_ms": 1000}
    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(app, url=redis_url, queue=queue_name, **settings),
    ):
        added = await queue.add("x", attempts=2)
        await wait_until(began.is_set, describe="it runs")
        await queue.cancel(added.id, reason="the account is closed", retry=retry)
        if retry:
            assert await added.result(timeout_seconds=10) == "tried again"
        else:
            with pytest.raises(JobFailed) as raised:
                await added.result(timeout_seconds=10)
            assert raised.value.failed_reason == "cancelled on request: the account is closed"
