"""What if a handler uses its job, or its event loop, as it should not? Its own call is refused; nobody else notices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.hostile import Stubborn
from support.watched import watched_worker

from oxcart import InvalidInput, Job, JobFailed, Oxcart, Queue
from oxcart.testing import wait_until
from oxcart.worker.context import LARGEST_REPORT_BYTES


async def refusal_of(call: Callable[[Job[Any]], Any], url: str, queue_name: str) -> str:
    """What an async handler is told that makes this call; its neighbour runs."""
    app = Oxcart()

    @app.job("bad")
    async def bad(job: Job) -> None:
        await call(job)

    @app.job("good")
    async def good(job: Job) -> str:
        await job.progress(50)
        return "fine"

    async with watched_worker(app, url, queue_name) as watched, Queue(queue_name, url) as queue:
        added = await queue.add("bad")
        with pytest.raises(JobFailed) as failed:
            await added.result(timeout_seconds=10)
        assert await (await queue.add("good")).result(timeout_seconds=10) == "fine"
        await wait_until(lambda: watched.status.jobs_processing == 0, describe="all slots are free")
    return failed.value.failed_reason


async def test_a_report_that_is_too_large_is_refused_with_both_sizes(redis_url: str, queue_name: str) -> None:
    reason = await refusal_of(lambda job: job.log("x" * (LARGEST_REPORT_BYTES + 1)), redis_url, queue_name)

    assert (
        reason
        == f"The log line has {LARGEST_REPORT_BYTES + 1} bytes, the limit is {LARGEST_REPORT_BYTES}. Report less."
    )


async def test_a_report_from_another_loop_is_refused(redis_url: str, queue_name: str) -> None:
    """It would use the worker's socket from another thread."""

    def report(job: Job[Any]) -> Any:
        async def elsewhere() -> None:
            await job.progress(1)

        return asyncio.to_thread(asyncio.run, elsewhere())

    assert "another event loop" in await refusal_of(report, redis_url, queue_name)


async def test_a_log_line_that_utf8_cannot_hold_is_kept_as_far_as_it_can(redis_url: str, queue_name: str) -> None:
    """It was never answered, and its handler never ended."""
    app = Oxcart()

    @app.job("bad")
    async def bad(job: Job) -> None:
        await job.log("half \ud800")
        await job.progress("half \ud800")

    async with watched_worker(app, redis_url, queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add("bad")
        assert await added.result(timeout_seconds=10) is None
        assert await queue.logs(added.id) == ["half ?"]


async def test_the_job_of_a_plain_function_cannot_make_the_loop_wait_for_itself(
    redis_url: str, queue_name: str
) -> None:
    app = Oxcart()
    loop = asyncio.get_running_loop()

    @app.job("bad")
    def bad(job: Job) -> None:
        async def on_the_loop() -> None:
            job.progress(1)

        asyncio.run_coroutine_threadsafe(on_the_loop(), loop).result(5)

    async with watched_worker(app, redis_url, queue_name), Queue(queue_name, redis_url) as queue:
        with pytest.raises(JobFailed, match="use it in its thread"):
            await (await queue.add("bad")).result(timeout_seconds=10)


async def test_a_handler_may_take_its_job_apart(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("bad")
    async def bad(job: Job) -> str:
        for name in type(job).__slots__:
            delattr(job, name)
        return "still fine"

    async with watched_worker(app, redis_url, queue_name), Queue(queue_name, redis_url) as queue:
        assert await (await queue.add("bad")).result(timeout_seconds=10) == "still fine"


async def test_a_job_for_which_no_thread_can_be_started_goes_back(
    redis_url: str, queue_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour may have started too many: no attempt is used."""
    app = Oxcart()
    start, refused = threading.Thread.start, list[str]()

    def refuse_once(self: threading.Thread) -> None:
        if self.name.startswith("oxcart-handler") and not refused:
            refused.append(self.name)
            raise RuntimeError("can't start new thread")
        start(self)

    @app.job("plain")
    def plain(job: Job) -> int:
        return job.attempts_made

    async with watched_worker(app, redis_url, queue_name), Queue(queue_name, redis_url) as queue:
        monkeypatch.setattr(threading.Thread, "start", refuse_once)
        assert await (await queue.add("plain")).result(timeout_seconds=10) == 0
    assert len(refused) == 1


@pytest.mark.takes_seconds
async def test_a_handler_that_waits_for_what_cannot_be_cancelled_is_decided_without_it(
    redis_url: str, queue_name: str
) -> None:
    app = Oxcart()
    waited: list[Stubborn] = []

    @app.job("bad", timeout_seconds=0.1)
    async def bad(job: Job) -> None:
        waited.append(Stubborn())
        await waited[0]

    async with watched_worker(app, redis_url, queue_name, concurrency=5) as watched:
        async with Queue(queue_name, redis_url) as queue:
            with pytest.raises(JobFailed, match=r"timed out after 0\.1 s"):
                await (await queue.add("bad")).result(timeout_seconds=10)
        waited[0].set_result(None)
        await wait_until(lambda: watched.status.jobs_processing == 0, describe="its slot is free")


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_generator_is_refused_where_it_is_declared(is_async: bool) -> None:
    async def yields_async(job: Job) -> Any:
        yield 5

    def yields(job: Job) -> Any:
        yield 5

    with pytest.raises(InvalidInput, match="has a yield in it"):
        Oxcart().job("bad")(yields_async if is_async else yields)


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 10**30},
        {"timeout_seconds": float("nan")},
        {"timeout_seconds": "5"},
        {"timeout_seconds": float("inf")},
        {"keep_completed": 10**30},
        {"backoff": "fixed:" + "9" * 400 + "s"},
    ],
)
async def test_options_that_attempts_would_stumble_on_are_refused_where_they_are_declared(
    options: dict[str, Any],
) -> None:
    async def handler(job: Job) -> None: ...

    with pytest.raises(InvalidInput):
        Oxcart().job("bad", **options)(handler)
