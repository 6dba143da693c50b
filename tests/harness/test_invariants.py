"""Do the invariants of the worker's tests notice what they are there for? Each is broken here on purpose."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from support.http_site import WELL
from support.invariants import look_after_stop, look_at_quiet, look_at_sockets, look_at_tasks, unfinished_tasks
from support.server import PrivateServer

from oxcart import Queue
from oxcart.settings import QueueShare

IDLE = replace(WELL, jobs_processing=0)


@pytest.fixture
def shares(queue_name: str) -> tuple[QueueShare, ...]:
    return (QueueShare(queue_name, None),)


async def test_a_job_that_nobody_claims_is_noticed(
    redis: Any, redis_url: str, queue_name: str, shares: tuple[QueueShare, ...]
) -> None:
    async with Queue(queue_name, redis_url) as queue:
        await queue.add("quick")

    with pytest.raises(AssertionError, match=f"1 jobs wait in {queue_name}"):
        await look_at_quiet(redis, lambda: IDLE, shares, ("quick",))
    await look_at_quiet(redis, lambda: IDLE, shares, ("another name",))
    await look_at_quiet(redis, lambda: replace(WELL, jobs_processing=WELL.concurrency), shares, ("quick",))


async def test_an_attempt_that_the_server_does_not_know_is_noticed(redis: Any, shares: tuple[QueueShare, ...]) -> None:
    with pytest.raises(AssertionError, match="1 jobs are running, and the server knows of 0"):
        await look_at_quiet(redis, lambda: replace(WELL, jobs_processing=1), shares, ())


async def test_a_lock_that_is_left_is_noticed(redis: Any, queue_name: str, shares: tuple[QueueShare, ...]) -> None:
    await redis.set(f"bull:{queue_name}:7:lock", "a-worker:12")

    with pytest.raises(AssertionError, match="still holds"):
        await look_after_stop(redis, "a-worker", "oxcart-a", shares)
    await look_after_stop(redis, "another-worker", "oxcart-b", shares)


async def test_a_job_that_stays_active_is_noticed(redis: Any, queue_name: str, shares: tuple[QueueShare, ...]) -> None:
    await redis.hset(f"bull:{queue_name}:7", "pb", "oxcart-a")
    await redis.lpush(f"bull:{queue_name}:active", "7")

    with pytest.raises(AssertionError, match="7 is active"):
        await look_after_stop(redis, "a-worker", "oxcart-a", shares)


async def test_a_marker_that_is_missing_is_noticed(
    redis: Any, redis_url: str, queue_name: str, shares: tuple[QueueShare, ...]
) -> None:
    async with Queue(queue_name, redis_url) as queue:
        await queue.add("quick")
    await look_after_stop(redis, "a-worker", "oxcart-a", shares)
    await redis.delete(f"bull:{queue_name}:marker")

    with pytest.raises(AssertionError, match="no marker tells"):
        await look_after_stop(redis, "a-worker", "oxcart-a", shares)


async def test_a_socket_that_is_left_open_is_noticed(redis: Any, server: PrivateServer, queue_name: str) -> None:
    async with Queue(queue_name, server.url) as queue:
        await queue.counts()
        with pytest.raises(AssertionError, match="Sockets that were not closed"):
            await look_at_sockets(redis)

    await look_at_sockets(redis)


async def test_a_task_that_goes_on_is_noticed() -> None:
    before = unfinished_tasks()
    task = asyncio.create_task(asyncio.sleep(60), name="forgotten")

    with pytest.raises(AssertionError, match="forgotten"):
        await look_at_tasks(before)
    task.cancel()
    await look_at_tasks(before)
