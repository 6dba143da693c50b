"""A real HTTP server on loopback, and a client that adds no header of its own."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from oxcart.conditions import QueueFacts
from oxcart.http.caller import Patience
from oxcart.http.door import Room
from oxcart.http.pace import Rates
from oxcart.http.routes import Route
from oxcart.http.server import HttpServer
from oxcart.http.site import CanaryResult, Site
from oxcart.names import UnhandledJobs
from oxcart.telemetry.events import Event
from oxcart.telemetry.metrics import Metrics
from oxcart.worker.controls import Command
from oxcart.worker.status import RedisStatus, WorkerStatus

WELL = WorkerStatus(
    healthy=True,
    state="running",
    queue_names=("agent-jobs", "oxcart"),
    concurrency=25,
    jobs_processing=3,
    unknown_jobs=("agent:run",),
    uptime_seconds=61.23456,
    loop_lag_seconds=0.001,
    redis=RedisStatus(
        connected=True,
        failure=None,
        host="fly-1.upstash.io",
        port=6379,
        tls=True,
        last_fetch_age_seconds=1.25,
        reconnect_attempts=4,
    ),
    exchanges=17,
    outbox_verdicts=1,
    queues=(QueueFacts("agent-jobs", 1_764_547_200_000, {"waiting": 0, "failed": 2}),),
)


def left(*unhandled: UnhandledJobs) -> tuple[QueueFacts, ...]:
    """Queues in which nothing is wrong but that these wait."""
    queues = dict.fromkeys(jobs.queue for jobs in unhandled)
    return tuple(
        QueueFacts(
            name, 1_764_547_300_000, {"failed": 2}, unhandled=tuple(jobs for jobs in unhandled if jobs.queue == name)
        )
        for name in queues
    )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None, host: str = "127.0.0.1"
) -> Answer:
    with closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def done(result: CanaryResult | BaseException) -> Future[CanaryResult]:
    future: Future[CanaryResult] = Future()
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


@dataclass
class Running:
    """One server whose worker a test can change under it."""

    worker: WorkerStatus = WELL
    metrics: Metrics = field(default_factory=Metrics)
    run_canary: Callable[[], Future[CanaryResult]] = lambda: done(CanaryResult("ox-1", 12.3456))
    steered: list[Command] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    port: int = 0

    def site(self, **changes: Any) -> Site:
        plain = Site(
            status=lambda: self.worker,
            metrics=self.metrics,
            run_canary=lambda: self.run_canary(),  # noqa: PLW0108 - a test may replace it later
            steer=self.steered.append,
            version="1.2.3",
        )
        return replace(plain, **changes)

    def get(self, path: str, **headers: str) -> Answer:
        return ask(self.port, path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return ask(self.port, path, "POST", headers)

    def change(self, **changes: Any) -> None:
        self.worker = replace(self.worker, **changes)

    def change_redis(self, **changes: Any) -> None:
        self.worker = replace(self.worker, redis=replace(self.worker.redis, **changes))


@contextmanager
def serving(
    *,
    more_routes: Sequence[Route] = (),
    beside: AbstractAsyncContextManager[object] | None = None,
    room: Room | None = None,
    patience: Patience | None = None,
    rates: Rates | None = None,
    **site_changes: Any,
) -> Iterator[Running]:
    running = Running()
    server = HttpServer(
        running.site(**site_changes),
        running.events.append,
        port=0,
        loopback_only=True,
        more_routes=more_routes,
        beside=beside,
        room=room,
        patience=patience,
        rates=rates,
    )
    running.port = server.start()
    try:
        yield running
    finally:
        server.stop()
