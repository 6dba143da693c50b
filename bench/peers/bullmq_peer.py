"""BullMQ's Python port. Its locks and stalled check are those of BullMQ for Node."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from bullmq import Queue, Worker
from order import ORDER, REDIS_URL, run, stamp, timed_async


async def process(job: Any, _token: str) -> None:
    if job.name == "nap":
        await asyncio.sleep(job.data["milliseconds"] / 1000)
    elif job.name == "stamp":
        stamp(job.data["sentNs"])


async def _add() -> float:
    queue = Queue("bench", {"connection": REDIS_URL})
    options = {"removeOnComplete": ORDER.keep or True}
    try:
        return await timed_async(
            lambda data: queue.add(ORDER.job, data, options),
            lambda many: queue.addBulk([{"name": ORDER.job, "data": data, "opts": options} for data in many]),
        )
    finally:
        await queue.close()


async def _work() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    worker = Worker("bench", process, {"connection": REDIS_URL, "concurrency": ORDER.concurrency})
    await stopping.wait()
    await worker.close(force=True)


if __name__ == "__main__":
    run(lambda: asyncio.run(_add()), lambda: asyncio.run(_work()))
