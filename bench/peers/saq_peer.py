"""SAQ: a job that its worker dropped is swept after its heartbeat or timeout and tried again while it has retries."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from order import ORDER, REDIS_URL, become, run, stamp, timed_async
from saq import Queue

queue = Queue.from_url(REDIS_URL, name="bench")


async def noop(_ctx: Any, **_data: Any) -> None:
    return


async def nap(_ctx: Any, *, milliseconds: float) -> None:
    await asyncio.sleep(milliseconds / 1000)


def block(_ctx: Any, *, milliseconds: float) -> None:
    time.sleep(milliseconds / 1000)


async def stamped(_ctx: Any, *, sentNs: int) -> None:  # noqa: N803 - a field of the jobs' data
    stamp(sentNs)


settings = {
    "queue": queue,
    "functions": [noop, nap, block, ("stamp", stamped)],
    "concurrency": ORDER.concurrency,
}


async def _add() -> float:
    await queue.connect()
    seconds = await timed_async(lambda data: queue.enqueue(ORDER.job, retries=3, timeout=60, ttl=-1, **data))
    await queue.disconnect()
    return seconds


if __name__ == "__main__":
    run(lambda: asyncio.run(_add()), lambda: become("saq", "saq_peer.settings"))
