"""Can a job's own code harm more than its attempt? Whatever it raises, returns or awaits, its neighbours run.

tests/process/test_hostile_handlers.py has what would stop the event loop, and mixes all of it at random.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from support.hostile import AWAITABLES, ERRORS, VALUES, BadText, spite
from support.watched import Watched, watched_worker

from oxcart import Discard, Job, JobFailed, Oxcart, Queue
from oxcart.queue.added_job import AddedJob
from oxcart.testing import wait_until

CONCURRENCY = 5
INNOCENTS = 30


async def reasons_beside_innocents(
    app: Oxcart, url: str, queue_name: str, wanted: Sequence[Any], **options: Any
) -> list[str]:
    """Run a job "bad" for each of `wanted`, its data, beside 30 good ones on a few slots, which must be free then.

    The reason of each, "" for one that completed.
    """

    @app.job("good")
    async def good(job: Job[int]) -> int:
        await asyncio.sleep(0.001)
        return job.data

    async with (
        watched_worker(app, url, queue_name, concurrency=CONCURRENCY) as watched,
        Queue(queue_name, url) as queue,
    ):
        innocents = [await queue.add("good", n) for n in range(INNOCENTS // 2)]
        jobs = [await queue.add("bad", data, **options) for data in wanted]
        innocents += [await queue.add("good", n) for n in range(INNOCENTS // 2, INNOCENTS)]
        for number, job in enumerate(innocents):
            assert await job.result(timeout_seconds=20) == number
        reasons = [await reason_of(job) for job in jobs]
        await wait_until(lambda: is_free(watched), describe="all slots are free")
        assert (await queue.counts())["active"] == 0
    return reasons


async def reason_beside_innocents(app: Oxcart, url: str, queue_name: str, *, data: Any = None, **options: Any) -> str:
    (reason,) = await reasons_beside_innocents(app, url, queue_name, [data], **options)
    return reason


def is_free(watched: Watched) -> bool:
    status = watched.status
    return status.healthy and status.jobs_processing == 0 and status.state == "running"


async def at_once(deed: Callable[[Any], Any], what: Any) -> Any:
    return deed(what)


async def after_an_await(deed: Callable[[Any], Any], what: Any) -> Any:
    await asyncio.sleep(0.001)
    return deed(what)


def in_a_thread(deed: Callable[[Any], Any], what: Any) -> Any:
    return deed(what)


each_moment = pytest.mark.parametrize("moment", [at_once, after_an_await, in_a_thread])


def declare(app: Oxcart, moment: Callable[..., Any], deed: Callable[[Any], Any], **options: Any) -> None:
    if moment is in_a_thread:

        @app.job("bad", **options)
        def bad(job: Job[Any]) -> Any:
            return deed(job.data)

    else:

        @app.job("bad", **options)
        async def bad_async(job: Job[Any]) -> Any:
            return await moment(deed, job.data)


# ------------------------------------------------------------------------------------------------ errors
SAYS = {
    "a plain one": "^plain$",
    "one without a message": "^RuntimeError$",
    "SystemExit": r"called for the process to end \(SystemExit: 3\)",
    "CancelledError": "the handler was cancelled from inside",
    "one whose message raises": r"^BadMessage \(its message cannot be had: __str__ raised Spite \(in spite, hostile",
    "one whose metaclass raises": "^x$",
    "one with a strange text": "^a text of a strange kind$",
    "one of ten million characters": "more characters",
    "one with half a surrogate": r"^half \? and",
}


@pytest.mark.takes_seconds
@each_moment
async def test_whatever_is_raised_ends_its_attempt_alone(
    moment: Callable[..., Any], redis_url: str, queue_name: str
) -> None:
    def raise_it(what: str) -> None:
        error = ERRORS[what]()
        raise error

    app = Oxcart()
    declare(app, moment, raise_it)

    reasons = dict(zip(ERRORS, await reasons_beside_innocents(app, redis_url, queue_name, list(ERRORS)), strict=True))

    assert {what for what, reason in reasons.items() if not 0 < len(reason) < 11_000} == set()
    for what, pattern in SAYS.items():
        assert re.search(pattern, reasons[what]), (what, reasons[what])


async def test_an_error_whose_message_raises_is_tried_again_and_its_trace_is_kept(
    redis_url: str, queue_name: str
) -> None:
    app = Oxcart()

    @app.job("bad", attempts=2)
    async def bad(job: Job) -> None:
        error = ERRORS["one whose message raises"]()
        raise error

    reason = await reason_beside_innocents(app, redis_url, queue_name)

    assert "BadMessage" in reason
    async with Queue(queue_name, redis_url) as queue:
        (job,) = [job for job in await queue.jobs("failed") if job.name == "bad"]
        traces = job.fields["stacktrace"]
    assert traces.count("Traceback") == 2
    assert "test_user_code.py" in traces


# ------------------------------------------------------------------------------------------------ values
@pytest.mark.takes_seconds
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one raises when it is thrown away
@each_moment
async def test_whatever_is_returned_ends_its_attempt_alone(
    moment: Callable[..., Any], redis_url: str, queue_name: str
) -> None:
    app = Oxcart()
    declare(app, moment, lambda what: VALUES[what](), attempts=5)

    reasons = dict(zip(VALUES, await reasons_beside_innocents(app, redis_url, queue_name, list(VALUES)), strict=True))

    completed = {what for what, reason in reasons.items() if not reason}
    assert completed == {"half a surrogate"}
    assert {
        r for r in reasons.values() if r and not r.startswith("The handler's return value cannot be stored: ")
    } == set()
    assert "KeyError: 'number'" in reasons["a model whose serializer raises"]
    assert "coroutine that nobody has awaited" in reasons["a coroutine"]


@each_moment
async def test_a_model_that_cannot_be_dumped(moment: Callable[..., Any], redis_url: str, queue_name: str) -> None:
    """At once it ended the worker, after an await it kept slot and lock for ever."""
    app = Oxcart()
    declare(app, moment, lambda _: VALUES["a model that cannot be dumped"]())

    reason = await reason_beside_innocents(app, redis_url, queue_name)

    assert "cannot be stored: Spite: from a hook (in spite, hostile.py:" in reason


@pytest.mark.takes_seconds
async def test_whatever_is_awaited_ends_its_attempt_alone(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("bad")
    async def bad(job: Job[str]) -> None:
        what, moment = job.data.split(" / ")
        if moment == "later":
            await asyncio.sleep(0.001)
        await AWAITABLES[what]()

    wanted = [f"{what} / {moment}" for what in AWAITABLES for moment in ("first", "later")]
    reasons = await reasons_beside_innocents(app, redis_url, queue_name, wanted)

    assert "" not in reasons


# ------------------------------------------------------------------------------------------------ validators
class Invoice(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def look_up(cls, number: int) -> int:
        known: dict[int, int] = {}
        return known[number]


class Refused(BaseModel):
    def __init__(self, **_: Any) -> None:
        raise Discard("not for us")


class Order(BaseModel):
    kind: str

    @field_validator("kind")
    @classmethod
    def check(cls, kind: str) -> str:
        error = ERRORS[kind]()
        raise error


@pytest.mark.takes_seconds
@pytest.mark.parametrize("is_async", [True, False])
async def test_whatever_a_validator_raises_ends_its_attempt_alone(
    is_async: bool, redis_url: str, queue_name: str
) -> None:
    app = Oxcart()

    def use(job: Job[Order]) -> None: ...
    async def use_async(job: Job[Order]) -> None: ...

    app.job("bad")(use_async if is_async else use)

    async with watched_worker(app, redis_url, queue_name, concurrency=CONCURRENCY) as watched:
        async with Queue(queue_name, redis_url) as queue:
            jobs = {what: await queue.add("bad", {"kind": what}) for what in ERRORS}
            reasons = {what: await reason_of(job) for what, job in jobs.items()}
        await wait_until(lambda: is_free(watched), describe="all slots are free")

    assert {what for what, reason in reasons.items() if not reason} == set()
    assert re.match(r"The job's data cannot be used: KeyError: 'sum' \(in check, .*\.py:\d+\)$", reasons["KeyError"])
    assert reasons["a plain one"] == "The job's data cannot be used: kind: Value error, plain"


async def reason_of(job: AddedJob) -> str:
    """Why it failed, "" if it completed."""
    try:
        await job.result(timeout_seconds=20)
    except JobFailed as failed:
        return failed.failed_reason
    return ""


async def test_a_validator_that_raises_key_error_does_not_end_the_worker(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("bad", attempts=3)
    async def bad(job: Job[Invoice]) -> None: ...

    reason = await reason_beside_innocents(app, redis_url, queue_name, data={"number": 7})

    assert re.match(r"The job's data cannot be used: KeyError: 7 \(in look_up, test_user_code.py:\d+\)$", reason)


async def test_a_validator_decides_as_its_handler_would(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("bad", attempts=100, backoff="fixed:1h")
    async def bad(job: Job[Refused]) -> None: ...

    assert "not for us" in await reason_beside_innocents(app, redis_url, queue_name, data={})


# ------------------------------------------------------------------------------------------------ backoffs
ANSWERS: dict[str, Any] = {
    "none": None,
    "a text": "5000",
    "NaN": float("nan"),
    "a strange text": BadText("5"),
    "an object": object(),
    "raises": spite,
}


@pytest.mark.takes_seconds
@each_moment
async def test_a_backoff_that_cannot_be_used_says_so(
    moment: Callable[..., Any], redis_url: str, queue_name: str
) -> None:
    app = Oxcart()

    def fail(what: str) -> None:
        raise ValueError("failed")

    declare(app, moment, fail, attempts=2, backoff="mine")

    @app.backoff("mine")
    def mine(attempts_made: int, name: str, error: BaseException, job: Job[Any]) -> Any:
        answer = ANSWERS[job.data]
        return answer() if answer is spite else answer

    async with watched_worker(app, redis_url, queue_name), Queue(queue_name, redis_url) as queue:
        jobs = [await queue.add("bad", what) for what in ANSWERS]
        for job in jobs:
            await wait_until(partial(has_failed_once, queue, job.id), describe="it has failed once")
            stored = await queue.get(job.id)
            assert stored is not None
            assert re.match(
                r'failed \(the backoff strategy "mine" cannot be used: .*, so it is tried again after 1 s\)$',
                stored.failed_reason or "",
            )
        for job in jobs:
            with pytest.raises(JobFailed, match=r"failed: failed$"):
                await job.result(timeout_seconds=20)


async def has_failed_once(queue: Queue, job_id: str) -> bool:
    stored = await queue.get(job_id)
    return stored is not None and bool(stored.failed_reason)


@pytest.mark.parametrize("answer", [10**30, float("inf"), 1e300])
async def test_a_backoff_beyond_all_times_delays_the_job(answer: Any, redis_url: str, queue_name: str) -> None:
    app = Oxcart()
    app.backoff("mine")(lambda *_: answer)

    @app.job("bad", attempts=2, backoff="mine")
    async def bad(job: Job) -> None:
        raise ValueError("failed")

    async with watched_worker(app, redis_url, queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add("bad")
        await wait_until(lambda: is_in(queue, added.id, "delayed"), describe="it waits for its next attempt")


async def is_in(queue: Queue, job_id: str, state: str) -> bool:
    return await queue.state(job_id) == state
