"""How are throughput, latency and idle cost measured? On a real worker in this process, with jobs that do nothing.

Commands are what the server's INFO counts, those inside scripts included; on a shared server others' are among them.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from oxcart.app import Oxcart
from oxcart.cli.exits import FAILED, Refused
from oxcart.connection.server import Server
from oxcart.errors import ServerRefused
from oxcart.job import Job
from oxcart.language import tr
from oxcart.queue.producer import Queue
from oxcart.queue.schedules import OWN_QUEUE
from oxcart.settings import KEEP_NONE, QueueShare, WorkerSettings
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.events import Event, JobsFinished
from oxcart.worker.runtime import Worker

QUEUE = "bench"
STUCK_SECONDS = 30.0
CALM_SECONDS = 120.0  # for so long after its last job a worker asks more often (worker/waiting.py)
IDLE_SECONDS = 60.0
_ADD_CHUNK = 10_000
_MOST_SAMPLES = 2_000


@dataclass(slots=True)
class Site:
    """Where to measure: all keys begin with `prefix`."""

    server: Server
    settings: WorkerSettings
    prefix: str
    concurrency: int
    finished: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    began: dict[int, asyncio.Future[float]] = field(default_factory=dict)

    def queue(self) -> Queue:
        return Queue(QUEUE, prefix=self.prefix, server=self.server)

    def note(self, event: Event) -> None:
        if isinstance(event, JobsFinished):
            self.finished += len(event.jobs)
            self.changed.set()


def bench_app(site: Site) -> Oxcart:
    app = Oxcart()

    @app.job("nothing")
    async def nothing(_job: Job[Any]) -> None:
        return

    @app.job("stamp")
    async def stamp(job: Job[Any]) -> None:
        site.began[job.data].set_result(time.perf_counter())

    return app


@asynccontextmanager
async def running_worker(site: Site) -> AsyncIterator[Worker]:
    settings = replace(
        site.settings,
        queues=(QueueShare(QUEUE, None),),
        concurrency=site.concurrency,
        prefix=site.prefix,
        keep_completed=KEEP_NONE,
        keep_failed=KEEP_NONE,
        shutdown_grace_seconds=0.0,
    )
    bus = Bus()
    bus.subscribe(site.note)
    worker = Worker(site.server, bench_app(site).handlers, settings, bus.emit, version=version("oxcart"))
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop("the measuring is over")


async def throughput(site: Site, jobs: int) -> dict[str, Any]:
    """Jobs per second: added by one caller, then processed by one worker from a full queue."""
    async with site.queue() as queue:
        began = time.perf_counter()
        for start in range(0, jobs, _ADD_CHUNK):
            await queue.add_many([("nothing", {"n": n}) for n in range(start, min(jobs, start + _ADD_CHUNK))])
        adding = time.perf_counter() - began
    async with counted_commands(site.server) as count:
        began = time.perf_counter()
        async with running_worker(site):
            while site.finished < jobs:
                site.changed.clear()
                await _progress(site, site.changed.wait())
            processing = time.perf_counter() - began
        commands = await count()
    per_job = None if commands is None else commands / jobs
    return {"addedPerSecond": jobs / adding, "processedPerSecond": jobs / processing, "commandsPerJob": per_job}


async def latency(site: Site, seconds: float) -> dict[str, Any]:
    """From the call of add to the first line of the handler, one job at a time on an idle worker."""
    samples: list[float] = []
    async with site.queue() as queue, running_worker(site):
        until = time.monotonic() + seconds
        while not samples or (time.monotonic() < until and len(samples) < _MOST_SAMPLES):
            number = len(samples)
            stamped = site.began[number] = asyncio.get_running_loop().create_future()
            began = time.perf_counter()
            await queue.add("stamp", number)
            samples.append((await _progress(site, stamped) - began) * 1000)
            del site.began[number]
            await asyncio.sleep(random.uniform(0.001, 0.005))  # until the worker waits again
    samples.sort()
    return {"p50": _percentile(samples, 0.5), "p99": _percentile(samples, 0.99), "samples": len(samples)}


async def idle_cost(site: Site, *, calm_seconds: float = CALM_SECONDS, seconds: float = IDLE_SECONDS) -> float | None:
    """Commands per minute of a worker without jobs; None where the server does not count them."""
    async with running_worker(site):
        await asyncio.sleep(calm_seconds)
        async with counted_commands(site.server) as count:
            began = time.monotonic()
            await asyncio.sleep(seconds)
            commands, ended = await count(), time.monotonic()
    return None if commands is None else commands * 60 / (ended - began)


@asynccontextmanager
async def counted_commands(server: Server) -> AsyncIterator[Callable[[], Awaitable[int | None]]]:
    """Yields what tells how many commands the server has run since then, our own looks taken off.

    None where its INFO does not count them.
    """
    link = server.link("measuring")
    looks = 0

    async def total() -> int | None:
        nonlocal looks
        looks += 1
        try:
            reply = await link.request("INFO", "stats")
        except ServerRefused:
            return None
        found = re.search(rb"^total_commands_processed:(\d+)", reply, re.MULTILINE)
        return int(found[1]) - looks if found else None  # an INFO is not yet in its own count, but the first one is

    try:
        await link.open()
        before = await total()

        async def since() -> int | None:
            after = await total()
            return None if before is None or after is None else after - before

        yield since
    finally:
        link.close()


async def remove_everything(site: Site) -> None:
    """Every key of the measuring, and those that an idle worker makes for its own queue."""
    for name in (QUEUE, OWN_QUEUE):
        async with Queue(name, prefix=site.prefix, server=site.server) as queue:
            await queue.pause()
            await queue.obliterate(force=True)


async def _progress(site: Site, wanted: Any) -> Any:
    """Wait for what the worker does next. Raises Refused if it does nothing for half a minute."""
    try:
        return await asyncio.wait_for(wanted, STUCK_SECONDS)
    except TimeoutError as error:
        failure = site.server.failure
        why = (
            f"{failure.summary} {failure.advice}"
            if failure is not None
            else tr("Redis answers, but no job came through.")
        )
        raise Refused(
            tr(
                "The measuring was given up after {seconds:g} s without progress: {why}",
                seconds=STUCK_SECONDS,
                why=why,
            ),
            FAILED,
        ) from error


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
