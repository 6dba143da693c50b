"""Are jobs claimed ahead only where that harms nobody?"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.watched import running_worker

from oxcart import Job, Oxcart, Queue
from oxcart.protocol.keys import QueueKeys
from oxcart.testing import wait_until
from oxcart.worker.board import OUTBOX_PER_SLOT, Board
from oxcart.worker.prefetch import LONGEST_WAIT_SECONDS, PER_SLOT, allowance
from oxcart.worker.served_queue import ServedQueue


def test_nothing_is_claimed_ahead_before_a_handler_was_measured() -> None:
    assert allowance(25, None, 0.02) == 0


def test_slow_handlers_prefetch_nothing_on_a_near_server() -> None:
    assert allowance(25, 0.05, 0.0003) == 0


def test_a_distant_server_is_hidden_behind_quick_handlers() -> None:
    assert allowance(25, 0.0001, 0.02) == 25 * PER_SLOT


@given(
    concurrency=st.integers(1, 500),
    run_seconds=st.floats(1e-6, 60),
    round_trip_seconds=st.floats(0, 1),
)
def test_what_is_held_would_start_in_time(concurrency: int, run_seconds: float, round_trip_seconds: float) -> None:
    held = allowance(concurrency, run_seconds, round_trip_seconds)

    assert 0 <= held <= PER_SLOT * concurrency
    assert held * run_seconds / concurrency <= LONGEST_WAIT_SECONDS * 1.001


async def test_jobs_held_behind_a_slow_one_go_to_an_idle_worker(redis_url: str, queue_name: str) -> None:
    app = Oxcart()
    begun, release = asyncio.Event(), asyncio.Event()
    quick_done: list[str] = []

    @app.job("quick")
    async def quick(job: Job) -> None:
        quick_done.append(job.id)

    @app.job("slow")
    async def slow(job: Job) -> None:
        begun.set()
        await release.wait()

    async with Queue(queue_name, redis_url) as queue:
        async with running_worker(app, url=redis_url, queue=queue_name, concurrency=1) as first:
            await queue.add_many([("quick", {}) for _ in range(300)])
            await wait_until(lambda: len(quick_done) == 300, describe="the handler's time is known")
            await queue.add_many([("quick", {})] * 40 + [("slow", {})] + [("quick", {})] * 200)
            await wait_until(begun.is_set, describe="the slow one has begun")
            async with running_worker(app, url=redis_url, queue=queue_name, concurrency=1):
                await wait_until(lambda: len(quick_done) == 540, describe="the others did not wait for the slow one")
            assert first.status().jobs_processing == 1
            release.set()
            await wait_until(lambda: _completed(queue, 541), describe="all are completed")
        jobs = await queue.jobs("completed")

    assert {job.attempts_made for job in jobs} == {1}
    assert {job.stalled_count for job in jobs} == {0}


async def _completed(queue: Queue, number: int) -> bool:
    return (await queue.counts())["completed"] == number


@pytest.mark.takes_seconds
@pytest.mark.parametrize("limit", ["rate", "concurrency", "priority"])
async def test_nothing_is_claimed_ahead_of_a_limit_or_a_priority(redis_url: str, queue_name: str, limit: str) -> None:
    app = Oxcart()
    most_at_once = 0

    @app.job("quick")
    async def quick(job: Job) -> None: ...

    async with Queue(queue_name, redis_url) as queue:
        if limit == "rate":
            await queue.set_rate_limit(1000, duration_seconds=0.05)
        elif limit == "concurrency":
            await queue.set_global_concurrency(1)
        priority = 1 if limit == "priority" else 0
        await queue.add_many([("quick", {}, {"priority": priority}) for _ in range(500)])
        async with running_worker(app, url=redis_url, queue=queue_name, concurrency=1):

            async def look() -> bool:
                nonlocal most_at_once
                counts = await queue.counts()
                most_at_once = max(most_at_once, counts["active"])
                return counts["completed"] == 500

            await wait_until(look, describe="all are completed")

    assert most_at_once <= 2  # one runs, and one may be on its way in while the last one's end is on its way out


@pytest.mark.parametrize("concurrency", [1, 10, 25, 100, 1000])
def test_two_exchanges_in_flight_do_not_fill_the_outbox(concurrency: int) -> None:
    """Else every other one claims nothing, and the server waits for the worker as often as the worker for it."""

    async def rooms() -> list[int]:
        queue = ServedQueue(QueueKeys("fast"), share=concurrency)
        queue.abundant, queue.run_seconds = True, 1e-5
        board = Board([queue], concurrency, lambda _event: None, prefetches=True)
        board.claims_allowed, board.round_trip_seconds = True, 0.005
        works = [board.take_work(), board.take_work()]
        return [work.room for work in works if work is not None]

    first, second = asyncio.run(rooms())
    assert first == second > 0
    assert first + second < OUTBOX_PER_SLOT * concurrency
