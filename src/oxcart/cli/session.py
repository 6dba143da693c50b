"""How does a command reach its queue? Settings, the log on stderr, one server, for as long as the command takes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from oxcart.cli.exits import Interrupted, Refused
from oxcart.cli.output import note
from oxcart.connection.server import Server
from oxcart.language import tr
from oxcart.protocol.keys import QueueKeys
from oxcart.queue.overview import find_queues, meant
from oxcart.queue.producer import Queue
from oxcart.secret import Secret
from oxcart.serving import Plan, open_target, plan
from oxcart.settings import LogSettings
from oxcart.telemetry.events import Event, RedisFailureChanged, RedisLost, WarningRaised
from oxcart.telemetry.lines import RULES
from oxcart.telemetry.logs import EventLog, configure_logging
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.kommo.crm import ServedCrm

Answer = TypeVar("Answer")

GIVE_UP_SECONDS = 10.0
"""How long a command waits for a Redis that is away: as long as Queue's own calls."""


def run_async(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a command to its end. The first SIGINT, SIGTERM or SIGHUP cancels it; it may clean up, then Interrupted."""
    return asyncio.run(_cancelled_by_signals(work))


async def _cancelled_by_signals(work: Coroutine[Any, Any, Answer]) -> Answer:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work, name="command")
    caught: list[int] = []

    def interrupt(number: int) -> None:
        if not caught:
            task.cancel()
        caught.append(number)

    numbers = () if sys.platform == "win32" else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if caught:
            raise Interrupted(caught[0]) from None
        raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def open_queue(name: str | None, *, may_be_new: bool = False) -> AsyncIterator[Queue]:
    """The queue of this name, or the first of JOB_QUEUE_NAME.

    `may_be_new`: it is there to add to. Raises SettingsError, InvalidInput, Unavailable; Refused as refuse_misspelt().
    """
    async with open_server() as (planned, server):
        worker = planned.settings.worker
        if not may_be_new:
            await refuse_misspelt(server, name, worker.prefix)
        async with Queue(name or worker.queues[0].name, prefix=worker.prefix, server=server) as queue:
            yield queue


async def refuse_misspelt(server: Server, name: str | None, prefix: str) -> None:
    """Whatever reads a queue by its name asks here first. Raises Refused (64) for a name that no queue has and that is
    much like one that a queue has: zeros would look like good news.
    """
    if name is None:
        return
    keys, link = QueueKeys(name, prefix), server.link("commands")
    if await link.request("EXISTS", keys.meta, keys.wait, keys.failed, keys.repeat):
        return
    guess = meant(keys.name, await find_queues(link, keys.prefix))
    if guess is not None:
        told = tr('There is no queue "{name}". Did you mean {guess}?', name=harmless(keys.name), guess=harmless(guess))
        raise Refused(f"{told} {tr('oxcart queues lists them all.')}")


@asynccontextmanager
async def open_server() -> AsyncIterator[tuple[Plan, Server]]:
    """The configured Redis, or the embedded server, with the log on stderr from warning up."""
    planned = plan(os.environ)
    log = command_log(planned)
    try:
        for warning in planned.warnings:
            log(WarningRaised("SETTINGS", warning))
        async with open_target(planned) as target:
            patience = min(target.connect_timeout_seconds, GIVE_UP_SECONDS)
            server = Server(replace(target, connect_timeout_seconds=patience), lambda event: _log_event(log, event))
            log.hide(secrets_of(target))
            try:
                yield planned, server
            finally:
                await server.close()
    finally:
        log.close()


@asynccontextmanager
async def open_crm() -> AsyncIterator[ServedCrm]:
    """The CRM, with the Redis of its limiter. Raises SettingsError, Unavailable."""
    from oxcart.kommo.crm import open_crm

    async with open_server() as (planned, server), open_crm(planned.settings, server, _say_event) as crm:
        yield crm


def _say_event(event: Event) -> None:
    """A pause or a block of Kommo: why the command takes long."""
    rule = RULES.get(type(event))
    if rule is not None and rule.level_of(event) in {"warn", "error"}:
        note(rule.line(event).message)


def command_log(planned: Plan) -> EventLog:
    wanted: LogSettings = planned.settings.log
    return configure_logging(
        level=wanted.level if wanted.level in {"debug", "error"} else "warn",
        format=wanted.format or "human",
        stream=sys.stderr,
        secrets=secrets_of(planned),
    )


def _log_event(log: EventLog, event: Event) -> None:
    """That Redis is away is the command's own answer in the end; a person who waits learns it at once."""
    if not isinstance(event, RedisLost | RedisFailureChanged) or (sys.stderr is not None and sys.stderr.isatty()):
        log(event)


def secrets_of(settings: Any) -> Iterator[Secret]:
    """Every secret in a tree of settings."""
    if isinstance(settings, Secret):
        yield settings
    elif isinstance(settings, tuple):
        for item in settings:
            yield from secrets_of(item)
    elif is_dataclass(settings):
        for field in fields(settings):
            yield from secrets_of(getattr(settings, field.name))
