"""How is everything, on one screen? `status` of what this environment names, `queues` of the whole server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from oxcart import clock
from oxcart.cli.options import json_option, queue_option
from oxcart.cli.output import (
    ago,
    is_terminal,
    say,
    say_json,
    say_pairs,
    say_table,
    say_wrapped,
    shorten,
    terminal_width,
    utc_time,
)
from oxcart.language import tr

if TYPE_CHECKING:
    from oxcart.conditions import Problem
    from oxcart.connection.server import Server
    from oxcart.queue.overview import QueueOverview
    from oxcart.serving import Plan

WATCH_SECONDS = 2.0
HEADINGS = ("QUEUE", "WAIT", "OLDEST", "ACTIVE", "LATER", "FAILED", "IN/min", "OUT/min", "")
_CLEAR = "\x1b[H\x1b[2J\x1b[3J"
_NUMBERS_WIDTH, _LEAST_NAME = 58, 8


@dataclass(frozen=True, slots=True)
class Account:
    """A Kommo account. `trouble`: why its jobs wait."""

    domain: str
    trouble: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """`round_trip_ms` of one command; `memory_bytes` and `version` None where the server does not tell."""

    address: str
    round_trip_ms: float
    version: str | None
    memory_bytes: int | None
    queues: tuple[QueueOverview, ...]
    accounts: tuple[Account, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        from oxcart.conditions import problems_of

        return tuple(problems_of(queue.facts for queue in self.queues))


@click.command()
@queue_option
@click.option("--watch", is_flag=True, help="Show it again every 2 s, until Ctrl-C.")
@json_option
def status(queue: str | None, watch: bool, as_json: bool) -> None:
    """Show on one screen how everything is: Redis, queues, workers, schedules, Kommo, and what is wrong.

    Without --queue: the queues of JOB_QUEUE_NAME, and `oxcart`, which has our own recurring jobs.
    """
    from oxcart.cli.session import run_async

    run_async(_status(queue, watch=watch, as_json=as_json))


@click.command()
@json_option
def queues(as_json: bool) -> None:
    """List all queues of the server, whoever uses them."""
    from oxcart.cli.session import run_async

    run_async(_queues(as_json))


async def _status(queue: str | None, *, watch: bool, as_json: bool) -> None:
    from oxcart.cli.session import open_server, refuse_misspelt

    async with open_server() as (planned, server):
        await refuse_misspelt(server, queue, planned.settings.worker.prefix)
        while True:
            seen = await look(planned, server, _names(planned, queue))
            if watch and is_terminal() and not as_json:
                say(_CLEAR, end="", raw=True)
            if as_json:
                say_json(to_json(seen))
            else:
                say_status(seen)
            if not watch:
                return
            await asyncio.sleep(WATCH_SECONDS)


def _names(planned: Plan, queue: str | None) -> list[str]:
    from oxcart.queue.schedules import OWN_QUEUE

    if queue is not None:
        return [queue]
    return list(dict.fromkeys([*(share.name for share in planned.settings.worker.queues), OWN_QUEUE]))


async def _queues(as_json: bool) -> None:
    from oxcart.cli.session import open_server
    from oxcart.queue.overview import find_queues

    async with open_server() as (planned, server):
        names = await find_queues(server.link("commands"), planned.settings.worker.prefix)
        seen = await look(planned, server, names)
    if as_json:
        say_json([queue_json(queue) for queue in seen.queues])
    elif seen.queues:
        say_queues(seen.queues)
    else:
        say_wrapped(tr("There is no queue yet: no job was ever added."))


async def look(planned: Plan, server: Server, names: Sequence[str]) -> Status:
    """Raises Unavailable, ServerRefused."""
    from oxcart.protocol.keys import QueueKeys
    from oxcart.queue.overview import look_at

    link, began = server.link("commands"), clock.monotonic()
    await link.request("PING")
    round_trip_ms = (clock.monotonic() - began) * 1000
    (info,) = await link.requests([("INFO",)])
    facts = {} if isinstance(info, Exception) else _pairs(info.decode("utf-8", "replace"))
    now_ms, prefix = server.clock.now_ms(), planned.settings.worker.prefix
    memory = facts.get("used_memory", "")
    return Status(
        address=f"{server.target.host}:{server.target.port}",
        round_trip_ms=round_trip_ms,
        version=facts.get("valkey_version") or facts.get("redis_version"),
        memory_bytes=int(memory) if memory.isdigit() else None,
        queues=tuple([await look_at(link, QueueKeys(name, prefix), now_ms) for name in names]),
        accounts=tuple(await _accounts(planned, server)),
    )


def _pairs(info: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line)


async def _accounts(planned: Plan, server: Server) -> list[Account]:
    """Nothing of the CRM is loaded where there is no database for it. What keeps us from reading it is told as such."""
    from oxcart.errors import OxcartError
    from oxcart.hook_door import may_hold_accounts

    if not may_hold_accounts(planned.settings):
        return []
    from oxcart.kommo.crm import has_connections, open_crm

    try:
        if not await has_connections(planned.settings):
            return []
        async with open_crm(planned.settings, server, lambda _: None) as crm:
            stored = await crm.connections()
    except OxcartError as error:
        return [Account(tr("the database"), str(error))]
    return [Account(each.domain, None if each.is_connected else each.reauth_reason or "?") for each in stored]


# ------------------------------------------------------------------------------------------------ as JSON
def to_json(seen: Status) -> dict[str, Any]:
    return {
        "redis": {
            "address": seen.address,
            "roundTripMs": round(seen.round_trip_ms, 3),
            "version": seen.version,
            "memoryBytes": seen.memory_bytes,
        },
        "queues": [queue_json(queue) for queue in seen.queues],
        "kommo": [{"domain": account.domain, "trouble": account.trouble} for account in seen.accounts],
        "problems": [
            {"code": each.code, "queue": each.queue, "summary": each.summary(), "advice": each.cure()}
            for each in seen.problems
        ],
    }


def queue_json(queue: QueueOverview) -> dict[str, Any]:
    facts, rates, workers, deploy = queue.facts, queue.rates, queue.workers, queue.deploy
    return {
        "queue": facts.queue,
        "counts": dict(facts.counts),
        "oldestWaitSeconds": round(facts.oldest_wait_seconds, 3),
        "paused": facts.is_paused,
        "limit": facts.limit,
        "perMinute": {
            "added": round(rates.added, 2),
            "completed": round(rates.completed, 2),
            "failed": round(rates.failed, 2),
        },
        "workers": None if workers is None else {"oxcart": workers.ours, "others": workers.others},
        "schedules": {
            "count": facts.schedules,
            "late": facts.late_schedules,
            "next": utc_time(facts.next_schedule_ms),
            "stopped": list(facts.stopped_schedules),
        },
        "deploy": None
        if deploy is None
        else {"version": deploy.version, "release": deploy.release, "at": utc_time(deploy.at)},
    }


# ------------------------------------------------------------------------------------------------ as a screen
def say_status(seen: Status) -> None:
    say_pairs([*_head(seen)])
    say()
    say_queues(seen.queues)
    say()
    for account in seen.accounts:
        trouble = tr("connected") if account.trouble is None else tr("waits: {why}", why=account.trouble)
        say_wrapped(f"Kommo  {account.domain}: {trouble}", hang=7)
    if not seen.problems:
        say_wrapped(tr("Nothing keeps jobs from ending."), sgr="1;32")
    for problem in seen.problems:
        say_wrapped(f"! {problem.code}: {problem.summary()}", hang=2, sgr="1;33")
        say_wrapped(f"  {problem.cure()}", hang=2)


def _head(seen: Status) -> Iterator[tuple[str, str]]:
    version = f", {seen.version}" if seen.version else ""
    memory = f", {seen.memory_bytes / 1048576:.0f} MiB" if seen.memory_bytes is not None else ""
    yield "Redis", f"{seen.address}, {seen.round_trip_ms:.1f} {tr('ms')}{version}{memory}"
    known = [queue.workers for queue in seen.queues if queue.workers is not None]
    own, others = max((w.ours for w in known), default=0), max((w.others for w in known), default=0)
    told = tr("Oxcart: {own}, others (Node): {others}", own=own, others=others)
    yield tr("Workers"), told if known else tr("this server does not list its clients")
    deploys = [queue.deploy for queue in seen.queues if queue.deploy is not None]
    if deploys:
        last = max(deploys, key=lambda deploy: deploy.at)
        release = last.release[:7] if last.release else tr("release not named")
        yield tr("Deploy"), f"{release} ({last.version}), {ago(last.at)}"
    facts = [queue.facts for queue in seen.queues]
    count, late = sum(each.schedules for each in facts), sum(each.late_schedules for each in facts)
    following = min((each.next_schedule_ms for each in facts if each.next_schedule_ms), default=None)
    if count:
        lateness = tr(", late: {late}", late=late) if late else ""
        yield tr("Schedules"), f"{count}{lateness}" + (f", {tr('next')} {ago(following)}" if following else "")


def say_queues(every: Sequence[QueueOverview]) -> None:
    rows = [_row(queue) for queue in every]
    if is_terminal():  # names give way, so that no row breaks
        room = terminal_width() - _NUMBERS_WIDTH - max(len(row[-1]) for row in rows)
        rows = [(shorten(name, max(_LEAST_NAME, room)), *others) for name, *others in rows]
    say_table(tuple(tr(heading) if heading else "" for heading in HEADINGS), rows)


def _row(queue: QueueOverview) -> tuple[str, ...]:
    from oxcart.conditions import span

    facts, rates = queue.facts, queue.rates
    marks = [tr("paused")] if facts.is_paused else []
    marks += [facts.limit] if facts.limit else []
    return (
        facts.queue,
        str(facts.waiting),
        span(facts.oldest_wait_seconds) if facts.oldest_since_ms is not None else "",
        str(facts.counts["active"]),
        str(facts.counts["delayed"]),
        str(facts.counts["failed"]),
        _rate(rates.added),
        _rate(rates.completed + rates.failed),
        ", ".join(marks),
    )


def _rate(per_minute: float) -> str:
    return f"{per_minute:.1f}" if 0 < per_minute < 10 else f"{math.floor(per_minute + 0.5)}"
