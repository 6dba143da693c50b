"""Does an idle worker learn of every job in time, whatever it was doing when the job came?"""

from __future__ import annotations

import asyncio
import base64

import pytest
from redis.asyncio import Redis

from oxcart import Job, Oxcart, Queue
from oxcart.testing import running_worker, wait_until


def echoing_app() -> Oxcart:
    app = Oxcart()

    @app.job("echo")
    async def echo(job: Job[int]) -> int:
        return job.data

    @app.job("slow echo")
    async def slow_echo(job: Job[float]) -> float:
        await asyncio.sleep(job.data)
        return job.data

    return app


async def test_a_job_that_comes_right_after_another_does_not_wait_for_the_other_queue(
    redis_url: str, queue_name: str
) -> None:
    """The worker blocks on all its queues at once; one that was busy when it began to block has to be among them."""
    async with running_worker(echoing_app(), url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        for n in range(10):
            added = await queue.add("echo", n)
            assert await added.result(timeout_seconds=3) == n


async def test_a_job_that_comes_after_a_busy_time_does_not_wait_for_the_other_queue(
    redis_url: str, queue_name: str
) -> None:
    async with running_worker(echoing_app(), url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        for n in range(3):
            busy = await queue.add_many([("slow echo", 0.01 * (i % 5)) for i in range(300)])
            await busy[-1].result(timeout_seconds=20)
            added = await queue.add("echo", n)
            assert await added.result(timeout_seconds=3) == n


async def test_a_job_whose_marker_was_lost_with_another_worker_is_found(
    redis: Redis, redis_url: str, queue_name: str
) -> None:
    """A worker that is killed between popping the marker and claiming leaves a job that nobody is told of."""
    async with running_worker(echoing_app(), url=redis_url, queue=queue_name), Queue(queue_name, redis_url) as queue:
        await (await queue.add("echo", 1)).result(timeout_seconds=5)

        unannounced = ["name", "echo", "data", "2", "opts", "{}", "timestamp", "1"]
        await redis.hset(f"bull:{queue_name}:a1", items=unannounced)
        await redis.lpush(f"bull:{queue_name}:wait", "a1")

        assert await queue.result("a1", timeout_seconds=9) == 2


@pytest.mark.parametrize("prefetch", [True, False])
async def test_an_exchange_waits_behind_the_blocked_command(
    redis: Redis, redis_url: str, queue_name: str, prefetch: bool
) -> None:
    """The server holds it unread until a job comes; OXCART_PREFETCH=false claims nothing ahead."""
    app = echoing_app()
    async with (
        running_worker(app, url=redis_url, queue=queue_name, prefetch=prefetch),
        Queue(queue_name, redis_url) as queue,
    ):
        await (await queue.add("echo", 1)).result(timeout_seconds=5)

        async def unread_bytes() -> list[int]:
            clients = await redis.client_list()
            name = base64.b64encode(queue_name.encode()).decode()
            return [int(one["qbuf"]) for one in clients if one["cmd"] == "bzpopmin" and f":{name}:w:" in one["name"]]

        (waiting,) = await wait_until(unread_bytes, describe="the worker blocks")
        assert (waiting > 0) == prefetch

        added = await queue.add("echo", 2)
        assert await added.result(timeout_seconds=5) == 2
        facts = await redis.hmget(f"bull:{queue_name}:{added.id}", "timestamp", "processedOn", "finishedOn")
        timestamp, processed_on, finished_on = (int(fact or 0) for fact in facts)
        assert timestamp - 5 <= processed_on <= finished_on + 5  # two processes' and the server's clock, rounded
