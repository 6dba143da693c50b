"""What do process tests run? A worker as `oxcart run` starts it, with handlers that misbehave in every way we know.

    python -m support.worker_process      the environment says the rest, as in production

Effects go to the list `effects:<queue>`, past the worker's own connections: "started <job id>", "done <job id>".
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from redis import Redis

from oxcart import Job, Oxcart
from oxcart.serving import plan, run
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.logs import configure_logging
from oxcart.worker.runtime import Worker

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


@app.job("dies")
async def dies(job: Job[str]) -> None:
    """Takes its whole process with it."""
    note("started", job)
    match job.data.split():
        case ["exit", code]:
            os._exit(int(code))
        case [name] if name.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[name])


@app.job("hangs the end")
async def hangs_the_end(job: Job) -> None:
    """Ends the worker as a bug of ours would, and lets nothing go on from there."""
    note("started", job)
    (worker,) = (found for found in gc.get_objects() if type(found) is Worker)
    main: Any = worker._main
    worker._stop = lambda _: asyncio.Event().wait()  # type: ignore[assignment,method-assign,return-value]
    main.cancel()


@app.job("babbles")
async def babbles(job: Job[int]) -> None:
    """Writes what is no message, and one of so many bytes, to every socket pair: to the supervisor, too."""
    note("started", job)
    told = b'{"type":"stranger"}\n\xff\n' + b"x" * job.data + b"\n"
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as found:
            if found.family == socket.AF_UNIX:
                await _push(found, told)


async def _push(found: socket.socket, told: bytes) -> None:
    """As much as is read at the other end; a pipe of the event loop's own is read by nobody but us."""
    rest, until = memoryview(told), time.monotonic() + 5
    while rest and time.monotonic() < until:
        try:
            rest = rest[found.send(rest, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            await asyncio.sleep(0.001)


@app.job("fails")
async def fails(job: Job[float]) -> None:
    note("started", job)
    await asyncio.sleep(job.data)
    raise RuntimeError("as it was told")


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
