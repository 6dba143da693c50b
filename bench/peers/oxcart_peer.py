"""Oxcart, as its users run it: `oxcart run MODULE:APP` with HTTP side and log."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from order import ORDER, become, run, stamp, timed_async

from oxcart import Job, Oxcart, Queue

app = Oxcart()


@app.job("noop")
async def noop(_job: Job[Any]) -> None:
    return


@app.job("nap")
async def nap(job: Job[Any]) -> None:
    await asyncio.sleep(job.data["milliseconds"] / 1000)


@app.job("block")
def block(job: Job[Any]) -> None:
    time.sleep(job.data["milliseconds"] / 1000)


@app.job("burn")
async def burn(job: Job[Any]) -> None:
    enough = time.thread_time() + job.data["milliseconds"] / 1000
    while time.thread_time() < enough:
        continue


@app.job("stamp")
async def stamped(job: Job[Any]) -> None:
    stamp(job.data["sentNs"])


async def _add() -> float:
    keep = {"keep_completed": ORDER.keep or False}
    async with Queue("bench") as queue:
        return await timed_async(
            lambda data: queue.add(ORDER.job, data, **keep),
            lambda many: queue.add_many([(ORDER.job, data, keep) for data in many]),
        )


def work() -> None:
    os.environ["OXCART_PREFIX"] = "bull"
    os.environ["OXCART_PREFETCH"] = str(ORDER.prefetch).lower()
    become(
        "oxcart",
        "run",
        "oxcart_peer:app",
        "--queue",
        ",".join(["bench", *(f"bench-{number}" for number in range(2, ORDER.queues + 1))]),
        "--concurrency",
        str(ORDER.concurrency),
        "--processes",
        str(ORDER.supervised),
        "--port",
        "0",
        *(("--only", ORDER.only) if ORDER.only else ()),
    )


if __name__ == "__main__":
    run(lambda: asyncio.run(_add()), work)
