"""Do jobs start in the order in which they wait? Whatever way their claims take; and does a limit keep it?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from support.pacing import let_pass
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.starts import Starts
from support.store import Store
from support.watched import running_worker

from oxcart import Job, Oxcart, Queue, RateLimited
from oxcart.testing import wait_until

ROUNDS = 8


@pytest.fixture
def proxy(server: PrivateServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied_url(server: PrivateServer, proxy: FaultProxy) -> str:
    return server.url.replace(f":{server.port}/", f":{proxy.port}/")


@pytest.fixture
def store(server: PrivateServer, queue_name: str) -> Iterator[Store]:
    with server.client() as client:
        yield Store(client, queue_name)


async def added(queue: Queue, name: str, number: int) -> list[str]:
    return [job.id for job in await queue.add_many([(name, n) for n in range(number)])]


@pytest.mark.parametrize("jobs", [10, 30, 100])
@pytest.mark.parametrize("distance_ms", [0, 20])
async def test_with_one_slot_jobs_start_in_their_order(
    jobs: int, distance_ms: int, redis_url: str, proxy: FaultProxy, proxied_url: str, queue_name: str
) -> None:
    """Rounds follow each other at once, and after a moment of quiet: the worker asks in another way each time."""
    starts = Starts()
    proxy.delay_ms = distance_ms / 2
    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(starts.app(), url=proxied_url, queue=queue_name, concurrency=1),
    ):
        for round_number in range(ROUNDS):
            starts.order.clear()
            ids = await added(queue, "quick", jobs)
            await wait_until(lambda: len(starts.order) >= jobs, describe="all have started")
            assert starts.order == ids, f"round {round_number}"
            await let_pass(0.1 * (round_number % 3))


@pytest.mark.parametrize("slots", [2, 5, 25])
async def test_with_several_slots_jobs_start_in_their_order(slots: int, redis_url: str, queue_name: str) -> None:
    """How long each takes is another matter."""
    app, order = Oxcart(), list[str]()

    @app.job("uneven")
    async def uneven(job: Job[int]) -> None:
        order.append(job.id)
        if job.data % 4 == 3:
            await asyncio.sleep(0.002 * (job.data % 5))

    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(app, url=redis_url, queue=queue_name, concurrency=slots),
    ):
        for round_number in range(ROUNDS):
            order.clear()
            ids = await added(queue, "uneven", 100)
            await wait_until(lambda: len(order) >= 100, describe="all have started")
            assert order == ids, f"round {round_number}"


async def test_two_slots_take_jobs_that_come_one_by_one_in_order(redis_url: str, queue_name: str) -> None:
    """BullMQ's own check: jobs of falling length, added in turn, with two slots."""
    starts = Starts()
    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(starts.app(), url=redis_url, queue=queue_name, concurrency=2),
    ):
        ids = [(await queue.add("slow", (14 - n) * 0.005)).id for n in range(14)]
        await wait_until(lambda: len(starts.order) == 14, describe="all have started")
    assert starts.order == ids


@pytest.mark.takes_seconds
@pytest.mark.parametrize("slots", [1, 5, 25])
async def test_what_was_claimed_ahead_goes_back_when_a_handler_says_rate_limited(
    slots: int, redis_url: str, queue_name: str, store: Store
) -> None:
    """With one slot none starts inside the pause; with more, those may that had one when it began."""
    app, starts = Oxcart(), Starts()
    raised_at, pause_seconds = list[float](), 1.0

    @app.job("quick")
    async def quick(job: Job[int]) -> None:
        starts.note(job)
        if job.data == 200 and not raised_at:
            raised_at.append(time.monotonic())
            raise RateLimited(pause_seconds)

    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(app, url=redis_url, queue=queue_name, concurrency=slots),
    ):
        ids = await added(queue, "quick", 400)
        await wait_until(lambda: raised_at, describe="the handler has asked for a pause")
        await let_pass(pause_seconds / 2)
        inside = [job_id for job_id, at in starts.at.items() if at > raised_at[0]]
        waiting, done = store.ids("wait"), set(store.ids("completed"))
        assert len(inside) <= slots - 1
        assert store.ids("active") == []
        assert waiting == [job_id for job_id in ids if job_id not in done]
        await wait_until(lambda: store.ended(ids), describe="all have ended after it", timeout=5)
