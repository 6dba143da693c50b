"""taskiq with its stream broker and acknowledgement after the run; its list broker loses what a dead worker had."""

from __future__ import annotations

import asyncio
import time

from order import ORDER, REDIS_URL, become, run, stamp, timed_async
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(REDIS_URL, queue_name="bench", consumer_id="0")


@broker.task(task_name="noop")
async def noop(padding: str = "") -> int:
    return len(padding)


@broker.task(task_name="nap")
async def nap(milliseconds: float) -> None:
    await asyncio.sleep(milliseconds / 1000)


@broker.task(task_name="block")
def block(milliseconds: float) -> None:
    time.sleep(milliseconds / 1000)


@broker.task(task_name="stamp")
async def stamped(sentNs: int) -> None:  # noqa: N803 - a field of the jobs' data
    stamp(sentNs)


async def _add() -> float:
    await broker.startup()
    task = {"noop": noop, "nap": nap, "block": block, "stamp": stamped}[ORDER.job]
    seconds = await timed_async(lambda data: task.kiq(**data))
    await broker.shutdown()
    return seconds


def work() -> None:
    slots = str(ORDER.concurrency)
    become(
        *("taskiq", "worker", "taskiq_peer:broker", "--workers", "1", "--ack-type", "when_executed"),
        *("--max-async-tasks", slots, "--max-threadpool-threads", slots, "--log-level", "WARNING"),
    )


if __name__ == "__main__":
    run(lambda: asyncio.run(_add()), work)
