"""Can a running worker be steered: paused and resumed, given more or fewer slots, and held to a limit of its own?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.watched import Watched, watched_worker

from oxcart import InvalidInput, Job, Oxcart, OxcartError, Queue
from oxcart.settings import RateLimit
from oxcart.telemetry.events import RedisLost, WorkerSteered
from oxcart.testing import wait_until


class Door:
    """An app whose jobs begin, and end when they are let through; in `begun` are their numbers, in order."""

    def __init__(self) -> None:
        self.app = Oxcart()
        self.open = asyncio.Event()
        self.begun: list[int] = []
        self.running = 0
        self.most_running = 0

        @self.app.job("x")
        async def run(job: Job[Any]) -> None:
            self.begun.append(job.data)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            await self.open.wait()
            self.running -= 1


@asynccontextmanager
async def serving(door: Door, url: str, queue_name: str, **settings: Any) -> AsyncIterator[tuple[Queue, Watched]]:
    async with Queue(queue_name, url) as queue, watched_worker(door.app, url, queue_name, **settings) as watched:
        yield queue, watched
        door.open.set()
        await wait_until(lambda: watched.status.jobs_processing == 0, describe="all have ended")


async def completed(queue: Queue) -> int:
    return (await queue.counts())["completed"]


async def test_a_paused_worker_claims_nothing_and_its_jobs_go_on(redis_url: str, queue_name: str) -> None:
    door = Door()
    async with serving(door, redis_url, queue_name, concurrency=2) as (queue, watched):
        running = await queue.add("x", 0)
        await wait_until(lambda: door.begun == [0], describe="the first one runs")
        door.app.worker.pause()
        await queue.add_many([("x", number) for number in (1, 2, 3)])
        door.open.set()
        await running.result(timeout_seconds=10)
        await door.app.worker.until_idle()

        await wait_until(lambda: counts_are(queue, waiting=3, active=0, completed=1), describe="the others wait")
        seen = await queue.workers()
        assert watched.status.state == "paused"
        assert watched.status.healthy
        assert watched.status.is_whole
        assert door.app.worker.is_paused
        assert [worker.is_paused for worker in seen] == [True]
        assert seen[0].name == watched.worker.name

        door.app.worker.resume()
        await wait_until(lambda: completed_is(queue, 4), describe="the others ran")
        assert door.begun == [0, 1, 2, 3]
        assert watched.status.state == "running"
        assert [worker.is_paused for worker in await queue.workers()] == [False]
    assert [event.what for event in watched.told(WorkerSteered)] == ["paused", "resumed"]


async def completed_is(queue: Queue, number: int) -> bool:
    return await completed(queue) == number


async def test_a_paused_worker_is_still_paused_after_an_outage(redis_url: str, queue_name: str) -> None:
    """And well again, though it never asks for jobs; others still see what it is."""
    door = Door()
    async with serving(door, redis_url, queue_name) as (queue, watched):
        await wait_until(lambda: watched.status.healthy, describe="it waits for jobs")
        door.app.worker.pause()
        await queue.channel.command("Cutting all off", "CLIENT", "KILL", "TYPE", "normal")
        await wait_until(lambda: watched.told(RedisLost), describe="it has seen that")
        await wait_until(lambda: watched.status.healthy, describe="it is well again")
        await queue.add("x", 1)
        await wait_until(lambda: names_are(queue, [(watched.worker.name, True)]), describe="it is listed as paused")
        assert watched.status.state == "paused"
        assert door.begun == []

        door.app.worker.resume()
        await wait_until(lambda: door.begun == [1], describe="the job runs")


async def names_are(queue: Queue, wanted: list[tuple[str, bool]]) -> bool:
    return [(worker.name, worker.is_paused) for worker in await queue.workers()] == wanted


async def test_an_idle_worker_that_is_paused_takes_no_marker_with_it(redis_url: str, queue_name: str) -> None:
    """It blocks on the marker: another worker must get the job at once."""
    idle, other = Door(), Door()
    other.open.set()
    async with serving(idle, redis_url, queue_name) as (queue, watched):
        await wait_until(lambda: watched.status.healthy, describe="it waits for jobs")
        idle.app.worker.pause()
        async with serving(other, redis_url, queue_name):
            added = await queue.add("x", 1)
            await added.result(timeout_seconds=2)
    assert (idle.begun, other.begun) == ([], [1])


async def test_what_was_claimed_ahead_goes_back_in_its_order(redis_url: str, queue_name: str) -> None:
    """Quick jobs are claimed ahead; the one during which the worker is paused is the last to run before it resumes."""
    app, ran = Oxcart(), list[int]()

    @app.job("x")
    async def run(job: Job[Any]) -> None:
        ran.append(job.data)
        if job.data == 150:
            app.worker.pause()

    async with (
        Queue(queue_name, redis_url) as queue,
        watched_worker(app, redis_url, queue_name, concurrency=1),
    ):
        await queue.add_many([("x", number) for number in range(300)])
        await wait_until(lambda: ran[-1:] == [150], describe="the handler has paused its worker")
        await wait_until(lambda: counts_are(queue, active=0, waiting=149), describe="the others are back")
        assert ran == [*range(151)]
        app.worker.resume()
        await wait_until(lambda: completed_is(queue, 300), describe="all ran")
        jobs = await queue.jobs("completed", 0, 299)
    assert ran == [*range(300)]
    assert {job.attempts_made for job in jobs} == {1}


async def counts_are(queue: Queue, **wanted: int) -> bool:
    return wanted.items() <= (await queue.counts()).items()


async def test_more_slots_are_filled_at_once_and_fewer_let_jobs_end(redis_url: str, queue_name: str) -> None:
    door = Door()
    async with serving(door, redis_url, queue_name, concurrency=1) as (queue, watched):
        await queue.add_many([("x", number) for number in range(8)])
        await wait_until(lambda: len(door.begun) == 1, describe="one runs")
        door.app.worker.set_concurrency(4)
        await wait_until(lambda: len(door.begun) == 4, describe="four run")
        assert watched.status.concurrency == door.app.worker.concurrency == 4

        door.app.worker.set_concurrency(2)
        assert door.app.worker.jobs_processing == 4
        door.most_running = 0
        door.open.set()
        await wait_until(lambda: completed_is(queue, 8), describe="all have ended")
        await door.app.worker.until_idle()
        door.open.clear()
        await queue.add_many([("x", number) for number in range(8, 12)])
        await wait_until(lambda: len(door.begun) == 10, describe="two more run")
        await wait_until(lambda: counts_are(queue, active=2, waiting=2), describe="and no third one")
    assert door.most_running <= 4


@pytest.mark.parametrize("slots", [0, -1, 10_001, 2.5, "4"])
async def test_a_number_of_slots_that_makes_no_sense_is_refused(slots: Any) -> None:
    with pytest.raises(InvalidInput, match="whole number from 1"):
        Oxcart().worker.set_concurrency(slots)


@pytest.mark.parametrize("ask", [lambda app: app.worker.pause(), lambda app: app.worker.concurrency], ids=["do", "ask"])
async def test_without_a_worker_in_this_process_it_is_said(ask: Callable[[Oxcart], object]) -> None:
    with pytest.raises(OxcartError, match="no worker runs this app in this process"):
        ask(Oxcart())


async def test_a_sync_handler_steers_its_worker_from_its_thread_also_in_an_app_that_is_part_of_another(
    redis_url: str, queue_name: str
) -> None:
    part, whole = Oxcart(), Oxcart()

    @part.job("x")
    def run(job: Job[Any]) -> None:
        part.worker.set_concurrency(job.data)

    whole.include(part)
    async with Queue(queue_name, redis_url) as queue, watched_worker(whole, redis_url, queue_name) as watched:
        await (await queue.add("x", 7)).result(timeout_seconds=10)
        await wait_until(lambda: watched.status.concurrency == 7, describe="it has seven slots")
    with pytest.raises(OxcartError):
        part.worker.resume()


async def test_a_workers_own_limit_holds_for_all_that_have_it(redis_url: str, queue_name: str) -> None:
    """As Node's `limiter`: two workers together start three jobs in each 200 ms."""
    app, begun = Oxcart(), list[float]()

    @app.job("x")
    async def run(job: Job[Any]) -> None:
        begun.append(asyncio.get_running_loop().time())

    limited: dict[str, Any] = {"rate_limit": RateLimit(3, 200), "concurrency": 10}
    async with (
        Queue(queue_name, redis_url) as queue,
        watched_worker(app, redis_url, queue_name, **limited),
        watched_worker(app, redis_url, queue_name, **limited),
    ):
        await queue.add_many([("x", number) for number in range(8)])
        await wait_until(lambda: completed_is(queue, 8), describe="all ran")
    for first, fourth in zip(begun, begun[3:], strict=False):
        assert fourth - first > 0.15  # less the way of the answer that brought the first


async def test_the_ends_of_jobs_are_counted_for_charts_where_that_is_wanted(redis_url: str, queue_name: str) -> None:
    app = Oxcart()

    @app.job("x")
    async def run(job: Job[Any]) -> None:
        if job.data:
            raise ValueError("as asked")

    async with Queue(queue_name, redis_url) as queue:
        for minutes in (0, 60):
            async with watched_worker(app, redis_url, queue_name, metrics_minutes=minutes):
                await queue.add_many([("x", 0), ("x", 0), ("x", 1)])
                await wait_until(lambda: counts_are(queue, waiting=0, active=0), describe="all have ended")
        assert ((await queue.metrics("completed")).count, (await queue.metrics("failed")).count) == (2, 1)
