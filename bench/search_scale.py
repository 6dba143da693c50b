"""How long does a search through a million dead letters take, and how long is the server busy? Run: bench/search-scale.

A server of its own; a line for each kind of filter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lab.server import BenchServer
from redis.asyncio import Redis

from oxcart import Queue
from oxcart.queue.search import Filter, reason_groups, search

FILTERS = {
    "name": Filter(names=("crm:sync-17",)),
    "reason": Filter(reason="price of 99999"),
    "data": Filter(data=(("customer.id", "99999"),)),
    "text": Filter(text="user99999@"),
}


async def fill(redis: Redis, jobs: int) -> None:
    for start in range(0, jobs, 5000):
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(start, min(jobs, start + 5000)):
                data = json.dumps({"customer": {"id": number, "email": f"user{number}@example.com"}, "try": number % 7})
                fields = {"name": f"crm:sync-{number % 40}", "data": data, "timestamp": 1_764_000_000_000 + number}
                reason = f"KeyError: no price of {number}" if number % 3 else "TimeoutError: timed out after 30 s"
                pipe.hset(f"bull:search:{number}", mapping={**fields, "failedReason": reason, "atm": 1})
                pipe.zadd("bull:search:failed", {str(number): 1_764_000_000_000 + number})
            await pipe.execute()


async def measure(url: str, jobs: int) -> None:
    redis = Redis.from_url(url)
    await fill(redis, jobs)
    async with Queue("search", url) as queue:
        for kind, wanted in FILTERS.items():
            async with told(redis, kind, jobs):
                async for _ in search(queue.channel, "failed", wanted):
                    pass
        async with told(redis, "reasons", jobs):
            await reason_groups(queue.channel, Filter())
    await redis.aclose()


@asynccontextmanager
async def told(redis: Redis, kind: str, jobs: int) -> AsyncIterator[None]:
    """Elapsed time is also that of whatever else this machine does; the server's own is not."""
    await redis.config_resetstat()
    began, cpu = time.perf_counter(), await busy_seconds(redis)
    yield
    seconds, cpu = time.perf_counter() - began, await busy_seconds(redis) - cpu
    calls = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    print(
        f"{kind:8} {seconds:6.2f} s, server {cpu:5.2f} s in {calls} calls: "
        f"{cpu / calls * 1000:.2f} ms a call, {cpu / jobs * 1e6:.1f} us a job",
        flush=True,
    )


async def busy_seconds(redis: Redis) -> float:
    facts = await redis.info("cpu")
    return float(facts["used_cpu_user_main_thread"]) + float(facts["used_cpu_sys_main_thread"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    jobs = parser.parse_args().jobs
    with BenchServer() as server:
        asyncio.run(measure(server.url, jobs))


if __name__ == "__main__":
    main()
