"""Does a program hear what its worker does, and can no listener harm a job?"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest
from support.watched import watched_worker

from oxcart import InvalidInput, Job, JobFailed, Oxcart, Queue
from oxcart.telemetry.events import WarningRaised
from oxcart.testing import wait_until


class Heard:
    """An app with one job, `x`, that does as its data say, and all that its listeners are told."""

    def __init__(self) -> None:
        self.app = Oxcart()
        self.told: list[tuple[Any, ...]] = []

        @self.app.job("x", attempts=2)
        async def run(job: Job[Any]) -> Any:
            if job.data == "fail":
                raise ValueError("as asked")
            return {"was": job.data}

        @self.app.on("active")
        async def active(job: Job[Any]) -> None:
            self.told.append(("active", job.id, job.attempts_made))

        @self.app.on("completed")
        async def completed(job: Job[Any], result: Any) -> None:
            self.told.append(("completed", job.id, job.data, result, job.attempts_made))

        @self.app.on("failed")
        def failed(job: Job[Any], error: BaseException) -> None:
            assert threading.current_thread() is not threading.main_thread()
            self.told.append(("failed", job.id, type(error), str(error), job.attempts_made))

        @self.app.on("drained")
        async def drained(queue_name: str) -> None:
            self.told.append(("drained", queue_name))

        for event in ("paused", "resumed", "closing", "closed"):
            self._note(event)

    def _note(self, event: str) -> None:
        @self.app.on(event)
        def note() -> None:
            self.told.append((event,))

    def of(self, *events: str) -> list[tuple[Any, ...]]:
        return [told for told in self.told if told[0] in events]


async def test_a_jobs_begin_and_end_are_told_to_the_program_that_ran_it(redis_url: str, queue_name: str) -> None:
    heard = Heard()
    grace: dict[str, Any] = {"shutdown_grace_seconds": 5.0}
    async with Queue(queue_name, redis_url) as queue, watched_worker(heard.app, redis_url, queue_name, **grace):
        good = await queue.add("x", "good")
        await good.result(timeout_seconds=10)
        bad = await queue.add("x", "fail")
        with pytest.raises(JobFailed):
            await bad.result(timeout_seconds=10)
        await wait_until(lambda: len(heard.of("failed")) == 2, describe="both attempts are told")
        heard.app.worker.pause()
        heard.app.worker.resume()
        await wait_until(lambda: heard.of("resumed"), describe="that, too")

    assert ("active", good.id) in [told[:2] for told in heard.of("active")]
    assert ("completed", good.id, "good", {"was": "good"}, 1) in heard.told
    assert heard.of("failed") == [
        ("failed", bad.id, ValueError, "as asked", 1),
        ("failed", bad.id, ValueError, "as asked", 2),
    ]
    own = heard.of("paused", "resumed", "closing", "closed")  # each by a listener, and a thread, of its own
    assert sorted(own) == [("closed",), ("closing",), ("paused",), ("resumed",)]
    assert ("drained", queue_name) in heard.told


async def test_a_queue_is_told_as_drained_once_when_the_last_job_was_taken(redis_url: str, queue_name: str) -> None:
    heard = Heard()
    async with Queue(queue_name, redis_url) as queue, watched_worker(heard.app, redis_url, queue_name, concurrency=2):
        await queue.add_many([("x", number) for number in range(50)])
        await wait_until(lambda: len(heard.of("completed")) == 50, describe="all are told")
        await wait_until(lambda: heard.of("drained"), describe="that there are no more")
        await (await queue.add("x", 50)).result(timeout_seconds=10)
        await wait_until(lambda: len(heard.of("drained")) == 2, describe="and again")
        assert {told[1] for told in heard.of("drained")} == {queue_name}


async def test_a_job_that_no_handler_ran_is_told_with_its_reason(redis_url: str, queue_name: str) -> None:
    heard = Heard()
    async with (
        Queue(queue_name, redis_url) as queue,
        watched_worker(heard.app, redis_url, queue_name, unknown_jobs="fail"),
    ):
        added = await queue.add("nobody", {"n": 1})
        await wait_until(lambda: heard.of("failed"), describe="it is told")
    reason = 'No handler for the job name "nobody". Known here:'
    ((_, job_id, kind, text, _),) = heard.of("failed")
    assert (job_id, kind) == (added.id, JobFailed)
    assert text.startswith(f"Job {added.id} failed: {reason}")


def raise_an_error() -> None:
    raise RuntimeError("of a listener")


def exit_the_process() -> None:
    sys.exit(3)


def cancel_its_task() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.cancel()


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "plain"])
@pytest.mark.parametrize("harm", [raise_an_error, exit_the_process])
async def test_a_listener_that_fails_changes_no_outcome_and_is_told_once(
    harm: Any, is_async: bool, redis_url: str, queue_name: str
) -> None:
    app, heard = Oxcart(), list[Any]()

    @app.job("x")
    async def run(job: Job[Any]) -> Any:
        return job.data

    def plain(job: Job[Any], result: Any) -> None:
        heard.append(result)
        harm()

    async def listener(job: Job[Any], result: Any) -> None:
        plain(job, result)

    app.on("completed")(listener if is_async else plain)
    async with Queue(queue_name, redis_url) as queue, watched_worker(app, redis_url, queue_name) as watched:
        for number in range(3):
            added = await queue.add("x", number)
            assert await added.result(timeout_seconds=10) == number
        await wait_until(lambda: heard == [0, 1, 2], describe="it was called each time")
        await wait_until(lambda: watched.told(WarningRaised), describe="the log has it")
        assert watched.status.healthy

    told = [event for event in watched.told(WarningRaised) if event.code == "LISTENER"]
    assert len(told) == 1
    assert 'of "completed" has failed' in told[0].message


async def test_an_async_listener_that_cancels_its_task_hears_the_next(redis_url: str, queue_name: str) -> None:
    app, heard = Oxcart(), list[Any]()

    @app.job("x")
    async def run(job: Job[Any]) -> Any:
        return job.data

    @app.on("completed")
    async def listener(job: Job[Any], result: Any) -> None:
        heard.append(result)
        cancel_its_task()
        await asyncio.sleep(0)

    async with Queue(queue_name, redis_url) as queue, watched_worker(app, redis_url, queue_name):
        await queue.add_many([("x", 1), ("x", 2)])
        await wait_until(lambda: sorted(heard) == [1, 2], describe="both were heard")


@pytest.mark.takes_seconds
async def test_a_listener_that_never_ends_keeps_no_worker_from_stopping(redis_url: str, queue_name: str) -> None:
    app, began = Oxcart(), asyncio.Event()

    @app.job("x")
    async def run(job: Job[Any]) -> None: ...

    @app.on("completed")
    async def listener(job: Job[Any], result: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    async with Queue(queue_name, redis_url) as queue:
        async with watched_worker(app, redis_url, queue_name):
            await queue.add("x")
            await wait_until(began.is_set, describe="it has begun")
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < 4


async def test_a_stalled_job_is_told(redis_url: str, queue_name: str) -> None:
    app, told = Oxcart(), list[tuple[str, str]]()

    @app.job("x")
    async def run(job: Job[Any]) -> None: ...

    @app.on("stalled")
    def stalled(job_id: str, of_queue: str) -> None:
        told.append((job_id, of_queue))

    async with Queue(queue_name, redis_url) as queue:
        added = await queue.add("x")
        keys = queue.keys
        await queue.channel.commands(
            "A worker claims it, and dies",
            [("LMOVE", keys.wait, keys.active, "RIGHT", "LEFT"), ("HSET", keys.job(added.id), "ats", 1)],
        )
        async with watched_worker(app, redis_url, queue_name):
            await wait_until(lambda: told == [(added.id, queue_name)], describe="it is told")
            await added.result(timeout_seconds=10)


def test_an_event_that_nobody_tells_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"There are active, completed, failed"):
        Oxcart().on("complete")
