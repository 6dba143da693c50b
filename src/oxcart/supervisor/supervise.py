"""What is `oxcart run --processes N`? One process that starts N workers, and has their HTTP side and their alerts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget
from oxcart.errors import OxcartError
from oxcart.outward import start_alerts, start_http
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.suspects import remember_end
from oxcart.serving import Plan, catch_signals, open_target
from oxcart.settings import WorkerSettings
from oxcart.supervisor.channel import Message, Report, event_of
from oxcart.supervisor.fleet import Command, Fleet
from oxcart.supervisor.sums import Sums
from oxcart.telemetry.bus import Bus, Subscriber
from oxcart.telemetry.events import Event, ProcessesStarted, RedisLost, RedisReady, WarningRaised
from oxcart.worker.controls import Command as Steering

REMEMBER_WITHIN_SECONDS = 1.0  # a place stays empty for as long


async def supervise(planned: Plan, bus: Bus, arguments: Sequence[str], environ: Mapping[str, str], turns: int) -> int:
    """Run `oxcart` with these arguments in as many processes as planned, until SIGTERM or SIGINT, passed on to them.

    Returns the worst of their exit codes. Raises SettingsError and PortUnavailable before any of them starts.
    """
    settings = planned.settings
    async with AsyncExitStack() as stack:
        signals = catch_signals(stack)
        # The embedded server is shared: each process joins it by its folder, and it stays while any of us lives.
        target = await stack.enter_async_context(open_target(planned))
        for warning in planned.warnings:
            bus.emit(WarningRaised("SETTINGS", warning))
        sender = start_alerts(stack, settings, bus.emit)
        alerts = OneVoice(sender)
        server = Server(target, bus.emit)  # opens no connection before HTTP needs one
        stack.push_async_callback(server.close)
        sums = Sums(settings.processes, target, tuple(queue.name for queue in settings.worker.queues))
        if sender is not None:
            sender.watch(lambda: sums.status().problems)
        command = Command([sys.executable, "-m", "oxcart", *arguments], environ, turns)
        fleet = Fleet(
            command,
            sums,
            bus.emit,
            grace_seconds=settings.worker.shutdown_grace_seconds,
            hear=alerts.hear,
            remember=lambda worker, how: _remember(target, settings.worker, worker, how),
        )
        start_http(
            stack,
            settings,
            bus.emit,
            server,
            status=sums.status,
            metrics=sums,
            steer=partial(_steer_from_thread, asyncio.get_running_loop(), fleet),
            environ=environ,
        )
        bus.emit(ProcessesStarted(settings.processes, settings.worker.concurrency))
        passing_on = asyncio.create_task(_pass_on(signals, fleet), name="signals")
        stack.callback(passing_on.cancel)
        return await fleet.run()


def _steer_from_thread(loop: asyncio.AbstractEventLoop, fleet: Fleet, command: Steering) -> None:
    loop.call_soon_threadsafe(fleet.steer, command)


def open_turns() -> int:
    """A file without a name, whose lock the processes take to write to the log. Closes with this process."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


async def _remember(target: RedisTarget, settings: WorkerSettings, worker: str, how: str) -> None:
    """Leave word of how a worker ended, for who blames a job for it. Nobody misses it where Redis is away, too."""
    server = Server(target, lambda _: None)
    try:
        keys = [QueueKeys(queue.name, settings.prefix) for queue in settings.queues]
        async with asyncio.timeout(REMEMBER_WITHIN_SECONDS):
            await server.link("commands").requests([remember_end(each, worker, how) for each in keys])
    except (OxcartError, TimeoutError):
        return
    finally:
        await server.close()


async def _pass_on(signals: asyncio.Queue[str], fleet: Fleet) -> None:
    while True:
        fleet.stop(signal.Signals[await signals.get()])


class OneVoice:
    """Makes one story of what the processes tell the alerts: Redis is away from the first loss to the last return."""

    def __init__(self, alerts: Subscriber | None) -> None:
        self._alerts = alerts
        self._away: set[int] = set()

    def hear(self, process: int, message: Message) -> None:
        if self._alerts is not None and not isinstance(message, Report):
            event = event_of(message)
            if self._is_news(process, event):
                self._alerts(event)

    def _is_news(self, process: int, event: Event) -> bool:
        was_away = bool(self._away)
        if isinstance(event, RedisLost):
            self._away.add(process)
            return not was_away
        if isinstance(event, RedisReady):
            self._away.discard(process)
            return was_away and not self._away
        return True
