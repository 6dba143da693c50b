"""How do fault tests watch a worker? It runs in the test's own loop, behind a proxy or not; its events are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, TypeVar

from oxcart import Oxcart
from oxcart.connection.link import Server
from oxcart.connection.target import RedisTarget, parse_redis_url
from oxcart.serving import with_built_ins
from oxcart.settings import QueueShare, WorkerSettings
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.events import Event
from oxcart.worker.runtime import Worker
from oxcart.worker.status import WorkerStatus

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
async def watched_worker(app: Oxcart, where: str | RedisTarget, queue: str, **settings: Any) -> AsyncIterator[Watched]:
    """`settings` are fields of WorkerSettings; what is not given is QUICK, or its default."""
    target = parse_redis_url(where) if isinstance(where, str) else where
    events: list[Event] = []
    bus = Bus()
    bus.subscribe(events.append)
    chosen = WorkerSettings(queues=(QueueShare(queue, None),), **{**QUICK, **settings})
    server = Server(target, bus.emit)
    worker = Worker(server, with_built_ins(app).handlers, chosen, bus.emit, version=version("oxcart"))
    await worker.start()
    try:
        yield Watched(worker, server, events)
    finally:
        await worker.stop("the end of the test")
        await server.close()
