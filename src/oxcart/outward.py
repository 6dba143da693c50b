"""What does a process show to the outside, and tell it? HTTP on a thread of its own, and alerts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from oxcart import clock
from oxcart.builtin import TEST_JOB
from oxcart.connection.server import Server
from oxcart.queue.producer import Queue
from oxcart.settings import Settings
from oxcart.telemetry.bus import Emit
from oxcart.worker.status import WorkerStatus

if TYPE_CHECKING:
    from oxcart.http.site import CanaryResult, Counted
    from oxcart.telemetry.alert_sender import AlertSender
    from oxcart.worker.controls import Command

CANARY_SECONDS = 20.0


def start_http(
    stack: AsyncExitStack,
    settings: Settings,
    emit: Emit,
    server: Server,
    *,
    status: Callable[[], WorkerStatus],
    metrics: Counted,
    steer: Callable[[Command], None],
    loopback_only: bool = False,
    environ: Mapping[str, str] | None = None,
    job_names: tuple[str, ...] = (),
) -> int:
    """Serve HTTP on a thread until `stack` closes; returns the port. What HTTP adds goes through `server`.

    The board, which has a way to Redis of its own, lets the doctor examine `environ`. Raises PortUnavailable.
    """
    from oxcart.board.door import BoardDoor
    from oxcart.board_side import board_plan
    from oxcart.hook_door import HookDoor
    from oxcart.http.server import HttpServer
    from oxcart.http.site import Site
    from oxcart.http.webhooks import webhook_routes

    loop = asyncio.get_running_loop()
    site = Site(
        status=status,
        metrics=metrics,
        run_canary=lambda: asyncio.run_coroutine_threadsafe(_canary(settings, server), loop),
        steer=steer,
        version=version("oxcart"),
        release=settings.release,
        tokens=settings.http.tokens,
        has_board=settings.http.board,
    )
    board = BoardDoor(board_plan(settings, environ or {}, lambda: server.target, emit, job_names=job_names))
    may_move = not settings.http.port_is_explicit and settings.platform is settings.platform.NONE
    receiver = HookDoor(settings, server, emit)
    http = HttpServer(
        site,
        emit,
        port=settings.http.port,
        may_move=may_move,
        loopback_only=loopback_only,
        more_routes=webhook_routes(receiver),
        wholes=board.wholes if settings.http.board else {},
        beside=_both(receiver, board),
    )
    port = http.start()
    stack.callback(http.stop)
    return port


@asynccontextmanager
async def _both(*beside: AbstractAsyncContextManager[object]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for each in beside:
            await stack.enter_async_context(each)
        yield


async def _canary(settings: Settings, server: Server) -> CanaryResult:
    from oxcart.http.site import CanaryResult

    began = clock.monotonic()
    worker = settings.worker
    async with Queue(worker.queues[0].name, prefix=worker.prefix, server=server) as queue:
        added = await queue.add(TEST_JOB, {"canary": True})
        await added.result(timeout_seconds=CANARY_SECONDS)
        return CanaryResult(added.id, (clock.monotonic() - began) * 1000)


def start_alerts(stack: AsyncExitStack, settings: Settings, emit: Emit) -> AlertSender | None:
    """Where OXCART_ALERT_URL is set: who sends, until `stack` closes. It is told of events by being called."""
    if settings.alert_url is None:
        return None
    from oxcart.telemetry.alert_sender import AlertSender
    from oxcart.telemetry.alerts import AlertLimits

    queues = ",".join(queue.name for queue in settings.worker.queues)
    about = {"service": "worker", "queueName": queues, "release": settings.release}
    limits = AlertLimits(
        settings.alert_failed_jobs,
        settings.commands_per_month,
        settings.processes,
        settings.alert_wait_seconds,
        settings.alert_paused_seconds,
    )
    alerts = AlertSender(settings.alert_url, emit, about=about, limits=limits)
    alerts.start()
    stack.callback(alerts.close)
    return alerts
