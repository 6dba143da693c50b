"""Do a handler's reports arrive, in their order and before its end, without the handler waiting for each?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from support.proxy import FaultProxy

from oxcart import Job, JobNotFound, Oxcart, Queue
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.handlers import Handlers
from oxcart.protocol.scripts import upstream
from oxcart.settings import QueueShare, WorkerSettings
from oxcart.telemetry.events import Event, WarningRaised
from oxcart.testing import running_worker, wait_until
from oxcart.worker.runtime import Worker

ROUND_TRIP_SECONDS = 0.02
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]
LINES = [f"line {number}" for number in range(100)]


@pytest.fixture
def proxy(server: Any) -> Iterator[FaultProxy]:
    with FaultProxy(server.port, server.host) as started:
        yield started


@pytest.fixture
def far_url(server: Any, proxy: FaultProxy) -> str:
    """The server 20 ms away."""
    proxy.delay_ms = ROUND_TRIP_SECONDS * 500
    return str(server.url).replace(f":{server.port}", f":{proxy.port}")


def run_on(loop: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work)


@asynccontextmanager
async def told_worker(handlers: Handlers, url: str, queue_name: str, events: list[Event]) -> AsyncIterator[None]:
    """A worker whose events are kept."""
    server = Server(parse_redis_url(url, {}))
    settings = WorkerSettings(queues=(QueueShare(queue_name, None),))
    worker = Worker(server, handlers, settings, events.append, version="test")
    await worker.start()
    try:
        yield
    finally:
        await worker.stop()
        await server.close()


def reporting(took: list[float]) -> Oxcart:
    app = Oxcart()

    @app.job("in turn")
    async def in_turn(job: Job) -> None:
        began = time.monotonic()
        for number, line in enumerate(LINES):
            await (job.log(line) if number % 2 else job.progress(number))
        took.append(time.monotonic() - began)

    @app.job("gathered")
    async def gathered(job: Job) -> None:
        began = time.monotonic()
        await asyncio.gather(*(job.log(line) if at % 2 else job.progress(at) for at, line in enumerate(LINES)))
        took.append(time.monotonic() - began)

    @app.job("in a thread")
    def in_a_thread(job: Job) -> None:
        began = time.monotonic()
        for number, line in enumerate(LINES):
            if number % 2:
                job.log(line)
            else:
                job.progress(number)
        took.append(time.monotonic() - began)

    return app


@pytest.mark.parametrize("name", ["in turn", "gathered", "in a thread"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_hundred_reports_far_away_take_a_few_round_trips(
    loop: Any, name: str, redis_url: str, far_url: str, queue_name: str
) -> None:
    """One after the other they took two seconds, and now a tenth of that where nothing else is to be done. All are
    there when the job has ended, in their order.
    """
    took: list[float] = []

    async def work() -> None:
        async with (
            running_worker(reporting(took), url=far_url, queue=queue_name),
            Queue(queue_name, redis_url) as queue,
        ):
            added = await queue.add(name)
            await added.result(timeout_seconds=10)
            stored = await queue.get(added.id)

            assert await queue.logs(added.id) == LINES[1::2]
            assert stored is not None
            assert stored.progress == 98

    run_on(loop, work())
    assert took[0] < 1.0


async def test_no_progress_comes_after_the_end(redis_url: str, far_url: str, queue_name: str, redis: Any) -> None:
    async with (
        running_worker(reporting([]), url=far_url, queue=queue_name),
        Queue(queue_name, redis_url) as queue,
    ):
        added = [await queue.add("gathered") for _ in range(5)]
        for job in added:
            await job.result(timeout_seconds=10)

    entries = await redis.xrange(f"bull:{queue_name}:events")
    events = [(fields["event"], fields["jobId"]) for _, fields in entries if "jobId" in fields]
    for job in added:
        own = [event for event, job_id in events if job_id == job.id and event in {"progress", "completed"}]
        assert own == ["progress"] * 50 + ["completed"]


async def test_a_lone_report_says_at_once_that_its_job_is_gone(redis_url: str, queue_name: str, redis: Any) -> None:
    app = Oxcart()
    raised: list[BaseException] = []

    @app.job("removed")
    async def removed(job: Job) -> None:
        await redis.delete(f"bull:{queue_name}:{job.id}")
        try:
            await job.progress(1)
        except JobNotFound as error:
            raised.append(error)

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        await queue.add("removed")
        await wait_until(lambda: raised, describe="the report was refused")


async def test_what_the_server_said_to_a_report_is_raised_by_the_next(
    redis_url: str, queue_name: str, redis: Any
) -> None:
    app = Oxcart()
    said: list[str] = []

    @app.job("removed")
    async def removed(job: Job) -> None:
        await job.progress(0)
        await redis.delete(f"bull:{queue_name}:{job.id}")
        reports = 0
        try:
            while True:
                await job.progress(reports)
                reports += 1
                await asyncio.sleep(0)
        except JobNotFound as error:
            said.append(f"{reports > 0} {error}")

    async with running_worker(app, url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        added = await queue.add("removed")
        await wait_until(lambda: said, describe="a report was refused")

    assert said[0].startswith(f"True Job {added.id} of queue {queue_name}, reporting progress")


async def test_an_error_found_at_the_end_is_a_warning_and_changes_no_outcome(
    redis_url: str, queue_name: str, redis: Any
) -> None:
    """`logs` is of another type: the last line of the log is refused when the handler has returned."""
    app = Oxcart()
    events: list[Event] = []

    @app.job("greets")
    async def greets(job: Job) -> str:
        await job.progress(1)
        await redis.set(f"bull:{queue_name}:{job.id}:logs", "no list")
        await job.log("refused")
        return "hello"

    async with told_worker(app.handlers, redis_url, queue_name, events), Queue(queue_name, redis_url) as queue:
        added = await queue.add("greets")
        assert await added.result(timeout_seconds=5) == "hello"
        await redis.delete(f"bull:{queue_name}:{added.id}:logs")

    warnings = [event for event in events if isinstance(event, WarningRaised)]
    assert [warning.code for warning in warnings] == ["REPORTS_LOST"]
    assert added.id in warnings[0].message


async def test_a_connection_that_falls_silent_holds_a_verdict_back_for_a_bounded_time(
    proxy: FaultProxy, redis_url: str, far_url: str, queue_name: str
) -> None:
    app = Oxcart()
    events: list[Event] = []

    @app.job("greets")
    async def greets(job: Job) -> str:
        await job.progress(1)
        proxy.lose_replies(upstream("updateProgress").sha.encode(), then="hold")
        await job.progress(2)
        return "hello"

    async with told_worker(app.handlers, far_url, queue_name, events), Queue(queue_name, redis_url) as queue:
        added = await queue.add("greets")
        assert await added.result(timeout_seconds=8) == "hello"

    assert [event.code for event in events if isinstance(event, WarningRaised)] == ["REPORTS_LOST"]


async def test_a_handler_that_reports_all_the_time_delays_no_neighbour(
    redis_url: str, far_url: str, queue_name: str
) -> None:
    """Its window is bounded: a neighbour's lone report takes about a round trip, and its children's values too."""
    app = Oxcart()
    waited: list[float] = []
    spam = asyncio.Event()
    reports = 0

    @app.job("spams")
    async def spams(job: Job) -> None:
        nonlocal reports
        while len(waited) < 20:
            await job.log("x" * 100)
            reports += 1
            if reports == 500:
                spam.set()

    @app.job("neighbour")
    async def neighbour(job: Job) -> None:
        await spam.wait()
        for number in range(10):
            for call in (job.progress(number), job.children_values()):
                began = time.monotonic()
                await call
                waited.append(time.monotonic() - began)
            await asyncio.sleep(0.06)

    async with (
        running_worker(app, url=far_url, queue=queue_name, concurrency=2),
        Queue(queue_name, redis_url) as queue,
    ):
        added = [await queue.add("spams", keep_logs=10), await queue.add("neighbour")]
        for job in added:
            await job.result(timeout_seconds=20)

    assert reports > 1000
    assert sorted(waited)[len(waited) // 2] < ROUND_TRIP_SECONDS * 4
    assert max(waited) < ROUND_TRIP_SECONDS * 4 + 0.3


async def test_the_last_reports_of_a_stopping_worker_are_written_before_its_verdicts(
    redis_url: str, far_url: str, queue_name: str
) -> None:
    took: list[float] = []
    async with Queue(queue_name, redis_url) as queue:
        async with running_worker(reporting(took), url=far_url, queue=queue_name):
            added = await queue.add("in turn")
            await wait_until(lambda: took, describe="the handler has returned")

        assert await added.state() == "completed"
        assert len(await queue.logs(added.id)) == 50
