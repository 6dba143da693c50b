"""streaQ: at least once; a stream's entry that stays idle for a minute is given to another worker."""

from __future__ import annotations

import asyncio
import time

from order import ORDER, REDIS_URL, become, run, stamp, timed_async
from streaq import Worker

worker = Worker(redis_url=REDIS_URL, queue_name="bench", concurrency=ORDER.concurrency)


@worker.task(name="noop", ttl=0)
async def noop(padding: str = "") -> int:
    return len(padding)


@worker.task(name="nap", ttl=0)
async def nap(milliseconds: float) -> None:
    await asyncio.sleep(milliseconds / 1000)


@worker.task(name="block", ttl=0)
def block(milliseconds: float) -> None:
    time.sleep(milliseconds / 1000)


@worker.task(name="stamp", ttl=0)
async def stamped(sentNs: int) -> None:  # noqa: N803 - a field of the jobs' data
    stamp(sentNs)


async def _add() -> float:
    task = {"noop": noop, "nap": nap, "block": block, "stamp": stamped}[ORDER.job]
    async with worker:
        return await timed_async(
            lambda data: task.enqueue(**data),
            lambda many: worker.enqueue_many([task.enqueue(**data) for data in many]),
        )


if __name__ == "__main__":
    run(lambda: asyncio.run(_add()), lambda: become("streaq", "run", "streaq_peer:worker"))
