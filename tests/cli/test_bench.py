"""Does `bench` measure on the configured Redis, and leave nothing there, also when it is cut off?"""

from __future__ import annotations

import signal

import pytest
from redis.asyncio import Redis
from support.command import Oxcart

from oxcart.cli import measure
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.settings import WorkerSettings
from oxcart.testing import wait_until


async def keys_of_bench(redis: Redis) -> list[str]:
    return [key async for key in redis.scan_iter("oxcart-bench-*")]


async def test_it_answers_with_numbers_and_leaves_nothing(oxcart: Oxcart, redis: Redis) -> None:
    done = await oxcart("bench", "--jobs", "300", "--concurrency", "10", "--seconds", "0.2", "--json")

    assert done.code == 0
    answer = done.json
    assert (answer["jobs"], answer["concurrency"]) == (300, 10)
    assert answer["addedPerSecond"] > 0
    assert answer["processedPerSecond"] > 0
    assert answer["commandsPerJob"] > 1
    assert 0 < answer["latencyMs"]["p50"] <= answer["latencyMs"]["p99"]
    assert answer["idleCommandsPerMinute"] is None
    assert "***@" in answer["redis"]
    assert done.err == ""
    assert await keys_of_bench(redis) == []


async def test_people_read_a_short_table(oxcart: Oxcart) -> None:
    done = await oxcart("bench", "--jobs", "50", "--seconds", "0.1")

    assert done.code == 0
    names = [line.split()[0] for line in done.out.splitlines()[2:]]
    assert names == ["added", "processed", "commands", "pick-up", "idle"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_nothing_is_left_when_it_is_interrupted(oxcart: Oxcart, redis: Redis, number: int) -> None:
    async with oxcart.running("bench", "--jobs", "1000000") as running:

        async def has_begun() -> bool:
            return len(await keys_of_bench(redis)) > 1000

        await wait_until(has_begun, describe="jobs were added", timeout=30)
        assert await running.stopped_by(number) == 128 + number

    assert running.err == ""
    assert await keys_of_bench(redis) == []


async def test_counting_commands_does_not_count_itself(redis_url: str, redis: Redis) -> None:
    server = Server(parse_redis_url(redis_url))
    await redis.ping()  # its connection is open from here on

    async with measure.counted_commands(server) as count:
        assert await count() == 0
        assert await count() == 0
        await redis.ping()
        assert await count() == 1

    await server.close()


async def test_the_idle_cost_is_measured_and_leaves_nothing(redis_url: str, redis: Redis, queue_name: str) -> None:
    """For a moment instead of minutes: what it finds is of no meaning, that it ends and cleans up is."""
    server = Server(parse_redis_url(redis_url))
    site = measure.Site(server, WorkerSettings(), f"oxcart-bench-{queue_name}", 5)
    async with site.queue() as queue:
        await queue.add("nothing")

    cost = await measure.idle_cost(site, calm_seconds=1.0, seconds=2.0)
    keys_between = await keys_of_bench(redis)
    await measure.remove_everything(site)
    await server.close()

    assert cost is not None
    assert keys_between
    assert await keys_of_bench(redis) == []
