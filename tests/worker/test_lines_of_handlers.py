"""Does each line that a handler writes say which job it is about, and a failure what failed and where?"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from contextlib import redirect_stdout
from typing import Any

import pytest
from support.waiting import wait_until
from support.watched import running_worker, watched_worker

from oxcart import Job, JobFailed, Oxcart, Queue
from oxcart.telemetry.events import LoopBlocked
from oxcart.telemetry.logs import Printed, configure_logging
from oxcart.worker.error_text import message_of, trace_of
from oxcart.worker.loop_watch import watching_loop

_log = logging.getLogger("a.handler")


async def test_lines_of_a_handler_carry_its_job(redis_url: str, queue_name: str) -> None:
    app, out = Oxcart(), io.StringIO()

    @app.job("async")
    async def run_async(_: Job) -> None:
        _log.info("before", extra={"customer": 42})
        await asyncio.sleep(0)
        _log.warning("behind a wait")
        print("printed")

    @app.job("sync")
    def run_sync(_: Job) -> None:
        _log.info("in a thread")

    log = configure_logging(stream=out, format="json")
    with redirect_stdout(Printed(log)):
        async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
            ids = [(await queue.add(name)).id for name in ("async", "sync")]
            for job_id in ids:
                await queue.result(job_id, timeout_seconds=10)
            _log.info("outside of any job")
    log.close()

    lines = {line["message"]: line for line in map(json.loads, out.getvalue().splitlines())}
    for message, place in (("before", 0), ("behind a wait", 0), ("printed", 0), ("in a thread", 1)):
        told = lines[message]
        name = ("async", "sync")[place]
        assert (told["jobId"], told["jobName"], told["queue"], told["attempt"]) == (ids[place], name, queue_name, 1)
    assert lines["before"]["customer"] == 42
    assert "jobId" not in lines["outside of any job"]


async def test_a_failure_says_its_class_and_a_trace_only_what_is_the_handler_s(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("fails")
    async def fails(job: Job[dict[str, Any]]) -> None:
        job.data["price"]

    async with watched_worker(app, redis_url, queue_name) as worker, Queue(queue_name, redis_url) as queue:
        added = await queue.add("fails", {})
        with pytest.raises(JobFailed, match="KeyError: 'price'"):
            await added.result(timeout_seconds=10)
        stored = await queue.get(added.id)
        assert stored is not None
        (trace,) = stored.stacktrace

    assert "test_lines_of_handlers.py" in trace
    assert "oxcart/worker" not in trace
    from oxcart.telemetry.events import JobsFinished

    told = [job for event in worker.told(JobsFinished) for job in event.jobs if job.job_id == added.id]
    assert told[-1].stack == trace


def test_a_group_says_what_is_in_it() -> None:
    group = ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("a"), KeyError("b"), ValueError("a")])

    assert message_of(group).endswith("(3 sub-exceptions): ValueError: a; KeyError: KeyError: 'b'") or (
        "ValueError: a; KeyError: 'b'" in message_of(group)
    )
    assert "ValueError: a" in trace_of(group)


async def test_a_blocked_loop_is_told_with_its_place(redis_url: str, queue_name: str) -> None:
    """After thirty seconds nobody remembers which deploy it was."""
    app, told = Oxcart(), list[Any]()

    @app.job("blocks")
    async def blocks(_: Job) -> None:
        until = time.monotonic() + 20
        while not told and time.monotonic() < until:
            time.sleep(0.05)

    with watching_loop(told.append):
        async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
            added = await queue.add("blocks")
            await wait_until(lambda: bool(told), describe="it was told")
            await added.result(timeout_seconds=10)

    (event,) = told
    assert isinstance(event, LoopBlocked)
    assert event.seconds >= 1
    assert "time.sleep(0.05)" in event.stack
    assert "attempt.py" not in event.stack
