"""How do tests of the worker run one? In the test's own loop, behind a proxy or not; its events are kept.

Which user queues it serves besides the one that is named, support/matrix.py decides; what must be true when it stops,
support/invariants.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

from oxcart import Oxcart, Queue
from oxcart.clock import ServerClock
from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget, parse_redis_url
from oxcart.serving import with_built_ins
from oxcart.settings import WorkerSettings
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.events import Event, WorkerStopped
from oxcart.worker.runtime import Worker
from oxcart.worker.status import WorkerStatus
from support.invariants import look_after_stop, look_at_quiet, looking
from support.matrix import shares_beside
from support.waiting import wait_until

Kind = TypeVar("Kind", bound=Event)

# As short as the settings allow, so that every recovery that waits for a lock is seen within seconds.
QUICK: dict[str, Any] = {"lock_duration_ms": 1000, "stalled_interval_ms": 1000, "shutdown_grace_seconds": 0.0}


class Watched:
    """A running worker, its server as it sees it, and what it has told."""

    def __init__(self, worker: Worker, server: Server, events: list[Event]) -> None:
        self.worker = worker
        self.server = server
        self.events = events

    @property
    def status(self) -> WorkerStatus:
        return self.worker.status()

    @property
    def failure_code(self) -> str | None:
        failure = self.status.redis.failure
        return failure.code if failure is not None else None

    def told(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def watched_worker(
    app: Oxcart, where: str | RedisTarget, queue: str, *, clock: ServerClock | None = None, **settings: Any
) -> AsyncIterator[Watched]:
    """`settings` are fields of WorkerSettings; what is not given is QUICK, or its default."""
    async with _worker(app, where, queue, {**QUICK, **settings}, clock) as watched:
        yield watched


@asynccontextmanager
async def running_worker(app: Oxcart, *, url: str, queue: str, **settings: Any) -> AsyncIterator[Worker]:
    """As oxcart.testing has it, with all defaults."""
    async with _worker(app, url, queue, settings) as watched:
        yield watched.worker


@asynccontextmanager
async def _worker(
    app: Oxcart, where: str | RedisTarget, queue: str, settings: dict[str, Any], clock: ServerClock | None = None
) -> AsyncIterator[Watched]:
    target = parse_redis_url(where) if isinstance(where, str) else where
    events: list[Event] = []
    bus = Bus()
    bus.subscribe(events.append)
    chosen = WorkerSettings(**{"queues": shares_beside(queue), **settings})
    server = Server(target, bus.emit, clock)
    served = with_built_ins(app)
    worker = Worker(server, served.handlers, chosen, bus.emit, version=version("oxcart"), controls=served.worker)
    watched = Watched(worker, server, events)
    await worker.start()
    try:
        yield watched
        if not target.tls:
            await _look_at_quiet(watched, app, target, chosen)
    finally:
        await worker.stop("the end of the test")
        await server.close()
    is_written_off = any(isinstance(event, WorkerStopped) and event.undelivered for event in events)
    if not target.tls and not is_written_off:
        async with looking(target) as client:
            await look_after_stop(client, worker.worker_id, worker.name, chosen.queues)


async def _look_at_quiet(watched: Watched, app: Oxcart, target: RedisTarget, chosen: WorkerSettings) -> None:
    """If it is well: nothing is left lying, and the queue beside is served too."""
    if not watched.status.healthy or watched.status.state != "running":
        return
    async with looking(target) as client:
        await look_at_quiet(client, watched.worker.status, chosen.queues, app.handlers.names)
    beside = chosen.queues[-1]
    if len(chosen.queues) > 1 and watched.status.healthy and watched.status.jobs_processing < chosen.concurrency:
        async with Queue(beside.name, server=watched.server) as queue:
            added = await queue.add("test-job", keep_completed=True)
            await wait_until(partial(_has_completed, queue, added.id), describe=f"{beside.name} is served", timeout=2)


async def _has_completed(queue: Queue, job_id: str) -> bool:
    return await queue.state(job_id) == "completed"
