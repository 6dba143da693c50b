"""Does an idle worker learn of every job in time, whatever it was doing when the job came?"""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from support.watched import running_worker

from oxcart import Job, Oxcart, Queue


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
