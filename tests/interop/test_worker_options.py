"""Do a worker's metrics and its limiter mean the same beside a worker of BullMQ for Node?"""

from __future__ import annotations

from typing import Any

import redis.asyncio
from support.server import PrivateServer

from oxcart import Job, Oxcart, Queue
from oxcart.protocol.keys import QueueKeys
from oxcart.settings import RateLimit
from oxcart.testing import running_worker, wait_until

from .node_driver import NodeDriver


def counting_app() -> tuple[Oxcart, list[str]]:
    app, ran = Oxcart(), list[str]()

    @app.job("job")
    async def run(job: Job[Any]) -> None:
        ran.append(job.id)
        if job.data.get("do") == "unrecoverable":
            raise ValueError("as asked")

    return app, ran


async def ended(queue: Queue, completed: int, failed: int) -> bool:
    counts = await queue.counts()
    return (counts["completed"], counts["failed"]) == (completed, failed)


async def test_jobs_that_oxcart_ends_are_in_the_charts_that_node_reads(
    node: NodeDriver, queue_name: str, redis_url: str, server: PrivateServer
) -> None:
    """Begun by Node's worker, gone on with by ours three minutes later: one count, one list of minutes."""
    theirs, keys = node.queue(queue_name), QueueKeys(queue_name)
    app, _ = counting_app()
    async with (
        Queue(queue_name, redis_url) as queue,
        redis.asyncio.Redis(host=server.host, port=server.port, password=server.password) as client,
    ):
        jobs: list[tuple[str, object]] = [("job", {}), ("job", {}), ("job", {"do": "unrecoverable"})]
        await queue.add_many(jobs)
        await theirs.start_worker(metrics={"maxDataPoints": 60})
        await wait_until(lambda: ended(queue, 2, 1), describe="Node has ended them")
        await theirs.stop_worker()
        for state in ("completed", "failed"):
            await client.hincrby(keys.metrics(state), "prevTS", -180_000)

        async with running_worker(app, url=redis_url, queue=queue_name, metrics_minutes=60):
            await queue.add_many(jobs * 2)
            await wait_until(lambda: ended(queue, 6, 3), describe="ours has ended its own")

        for state, number in (("completed", 6), ("failed", 3)):
            seen, read = await theirs.call("getMetrics", state), await queue.metrics(state)
            assert (seen["meta"]["count"], seen["data"]) == (number, [0, 0, number // 3])
            assert (read.count, list(read.per_minute)) == (number, [0, 0, number // 3])


async def test_a_limiter_is_shared_with_nodes_workers_that_have_it(
    node: NodeDriver, queue_name: str, redis_url: str
) -> None:
    theirs = node.queue(queue_name)
    app, ran = counting_app()
    async with Queue(queue_name, redis_url) as queue:
        await queue.add_many([("job", {})] * 5)
        async with running_worker(app, url=redis_url, queue=queue_name, rate_limit=RateLimit(2, 600_000)):
            await wait_until(lambda: ended(queue, 2, 0), describe="two ran, as the limit allows")
        assert await theirs.call("getRateLimitTtl", 2) > 500_000

        await queue.remove_rate_limit()
        await theirs.start_worker(limiter={"max": 2, "duration": 600_000})
        await wait_until(lambda: ended(queue, 4, 0), describe="Node's worker ran two more")
        async with running_worker(app, url=redis_url, queue=queue_name, rate_limit=RateLimit(2, 600_000)) as ours:
            await wait_until(lambda: ours.status().healthy, describe="ours has asked for jobs")
        assert await ended(queue, 4, 0)
        await theirs.stop_worker()
    assert len(ran) == 2
