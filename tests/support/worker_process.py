"""What do process tests run? A worker as `oxcart run` starts it, with handlers that misbehave in every way we know.

    python -m support.worker_process      the environment says the rest, as in production

Effects go to the list `effects:<queue>`, past the worker's own connections: "started <job id>", "done <job id>".
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from redis import Redis

from oxcart import Job, Oxcart
from oxcart.serving import plan, run
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.logs import configure_logging

app = Oxcart()
_effects: Any = Redis.from_url(os.environ["EFFECTS_URL"], protocol=2)


def note(what: str, job: Job[Any]) -> None:
    _effects.rpush(f"effects:{job.queue_name}", f"{what} {job.id}")


@app.job("quick")
async def quick(job: Job) -> str:
    note("started", job)
    note("done", job)
    return job.id


@app.job("slow")
async def slow(job: Job[float]) -> str:
    note("started", job)
    await asyncio.sleep(job.data)
    note("done", job)
    return job.id


@app.job("blocking")
async def blocking(job: Job[float]) -> str:
    note("started", job)
    time.sleep(job.data)  # the fault itself: the event loop stands still
    note("done", job)
    return job.id


@app.job("deaf")
async def deaf(job: Job) -> None:
    note("started", job)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            note("deaf", job)


@app.job("deaf thread")
def deaf_thread(job: Job) -> None:
    note("started", job)
    time.sleep(600)


@app.job("to thread")
async def to_thread(job: Job) -> None:
    """Is cancelled as it should be, but the thread it waits for is not."""
    note("started", job)
    await asyncio.to_thread(time.sleep, 600)


def main() -> int:
    planned = plan(os.environ)
    bus = Bus()
    log = configure_logging(level=planned.settings.log.level, format="json")
    bus.subscribe(log)
    return run(app, planned, bus, before_exit=log.close, loopback_only=True)


if __name__ == "__main__":
    sys.exit(main())
