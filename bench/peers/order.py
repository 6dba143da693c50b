"""What is a peer asked to do? One order as JSON in BENCH_ORDER; the tiny protocol that every adapter speaks.

    adapter add     add `count` jobs, print {"jobs", "seconds"} as the last line
    adapter work    become a worker for `concurrency` jobs at once, until SIGTERM

The jobs: `noop` does nothing; `nap` sleeps `milliseconds` without holding its event loop; `block` sleeps in a plain
function; `burn` uses the processor so long; `stamp` writes how many microseconds ago the call that added it began.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
CHUNK = 500  # jobs in one bulk call, as large as the peers' documentation has them


@dataclass(frozen=True)
class Order:
    """`how` is "bulk" (as fast as the peer's own call for many jobs goes), "one" (one call after the other), "callers"
    (so many at once, each one call after the other) or "trickle" (`per_second`, each with the time at which it was
    added). `own_ids`, for BullMQ for Node alone: each job has an id of its own and the metadata of a trace. For Oxcart
    alone: `supervised` processes of one supervisor, `queues` to serve, of which the first has the jobs, whether it may
    `prefetch`, and the `only` job name that it runs ("": all that it knows).
    """

    job: str = "noop"
    count: int = 0
    how: str = "bulk"
    callers: int = 100
    concurrency: int = 1
    milliseconds: float = 0
    payload_bytes: int = 0
    keep: int = 0
    per_second: float = 0
    own_ids: bool = False
    supervised: int = 1
    queues: int = 1
    prefetch: bool = True
    only: str = ""

    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if self.job in {"nap", "block", "burn"}:
            data["milliseconds"] = self.milliseconds
        if self.job == "stamp":
            data["sentNs"] = time.monotonic_ns()
        if self.payload_bytes:
            data["padding"] = "x" * self.payload_bytes
        return data

    def chunks(self) -> Iterator[int]:
        for start in range(0, self.count, CHUNK):
            yield min(CHUNK, self.count - start)


ORDER = Order(**json.loads(os.environ.get("BENCH_ORDER", "{}")))


def run(add: Callable[[], float], work: Callable[[], object]) -> None:
    """The main program of an adapter: `add` returns the seconds it took, `work` ends with the process."""
    if sys.argv[1] == "add":
        print(json.dumps({"jobs": ORDER.count, "seconds": add()}))
    else:
        work()


def become(*command: str) -> None:
    """Turn into the peer's own command, found beside this Python, with this folder on the path of its imports."""
    folder = Path(__file__).resolve().parent
    os.environ["PYTHONPATH"] = str(folder)
    os.chdir(folder)
    program = Path(sys.executable).with_name(command[0])
    os.execv(program, [str(program), *command[1:]])


async def timed_async(
    one: Callable[[dict[str, Any]], Awaitable[object]],
    many: Callable[[list[dict[str, Any]]], Awaitable[object]] | None = None,
) -> float:
    """Add as ordered. A peer without a call for many jobs is called a hundred times at once instead."""
    began = time.perf_counter()
    if ORDER.how == "trickle":
        for number in range(ORDER.count):
            await asyncio.sleep(max(0.0, began + number / ORDER.per_second - time.perf_counter()))
            await one(ORDER.data())
    elif ORDER.how == "one":
        for _ in range(ORDER.count):
            await one(ORDER.data())
    elif many is not None and ORDER.how == "bulk":
        for size in ORDER.chunks():
            await many([ORDER.data() for _ in range(size)])
    else:
        await _many_at_once(one)
    return time.perf_counter() - began


async def _many_at_once(one: Callable[[dict[str, Any]], Awaitable[object]]) -> None:
    numbers = iter(range(ORDER.count))

    async def caller() -> None:
        for _ in numbers:
            await one(ORDER.data())

    await asyncio.gather(*(caller() for _ in range(ORDER.callers)))


def timed(
    one: Callable[[dict[str, Any]], object], many: Callable[[list[dict[str, Any]]], object] | None = None
) -> float:
    """Add as ordered, with a blocking client."""
    began = time.perf_counter()
    if ORDER.how == "trickle":
        for number in range(ORDER.count):
            time.sleep(max(0.0, began + number / ORDER.per_second - time.perf_counter()))
            one(ORDER.data())
    elif ORDER.how == "bulk" and many is not None:
        for size in ORDER.chunks():
            many([ORDER.data() for _ in range(size)])
    else:
        for _ in range(ORDER.count):
            one(ORDER.data())
    return time.perf_counter() - began


def stamp(sent_ns: int) -> None:
    """Note the time from the call that added a job to the first line of its handler. O_APPEND: many may write."""
    microseconds = (time.monotonic_ns() - sent_ns) / 1000
    file = os.open(os.environ["BENCH_STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%d\n" % microseconds)
    os.close(file)
