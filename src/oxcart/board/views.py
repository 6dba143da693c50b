"""What does each page show? One function each, which returns plain data: for pages, /api and `oxcart mcp`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from oxcart.board import dead_letters, history, job_view, searching
from oxcart.board.core import Ask, Board
from oxcart.board.job_view import row_of
from oxcart.board.rows import page_of
from oxcart.board.sampler import Client, Sample
from oxcart.conditions import QueueFacts, problems_of
from oxcart.doctor.report import to_json
from oxcart.errors import OxcartError
from oxcart.queue import inspect, maintenance, schedules
from oxcart.queue.inspect import STATES

Load = Callable[[Board, Ask], Awaitable[dict[str, Any]]]

_MONTH_SECONDS = 30 * 86_400
_MOST_SCHEDULES = 500


@dataclass(frozen=True, slots=True)
class View:
    """One page: /board/ID and /api/ID. `is_live`: what it shows is renewed while it is open."""

    id: str
    load: Load
    summary: str
    fields: tuple[str, ...] = ()
    is_live: bool = True


async def overview(board: Board, _: Ask) -> dict[str, Any]:
    """All queues, the workers, Redis, and what keeps jobs from ending."""
    sample = await board.sampler.look()
    return {
        "queues": [_queue_line(sample, facts) for facts in sample.queues],
        "refused": [{"queue": name, "error": error} for name, error in sample.refused.items()],
        "scanned": sample.scanned,
        "workers": _worker_lines(sample.clients),
        "redis": _redis(board, sample),
        "problems": _problems(sample),
        "deploy": None if sample.deploy is None else msgspec.structs.asdict(sample.deploy),
        "version": board.plan.version,
        "now": sample.at_ms,
    }


def _queue_line(sample: Sample, facts: QueueFacts) -> dict[str, Any]:
    minutes = sample.minutes[facts.queue]
    return {
        "name": facts.queue,
        "counts": dict(facts.counts),
        "waiting": facts.waiting,
        "paused": facts.is_paused,
        "limit": facts.limit,
        "oldest": facts.oldest_since_ms,
        "oldestId": facts.oldest_id,
        "workers": facts.workers,
        "in": list(minutes.added),
        "out": [done + bad for done, bad in zip(minutes.completed, minutes.failed, strict=True)],
        "failures": list(minutes.failed),
        "isOurs": facts.queue == schedules.OWN_QUEUE,
    }


def _worker_lines(clients: Sequence[Client] | None) -> list[dict[str, Any]] | None:
    """A worker has several connections: they are one line a name, or a host where it has none."""
    if clients is None:
        return None
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for client in clients:
        host = client.address.rpartition(":")[0]
        line = found.setdefault(
            (client.name or client.address, host),
            {"name": client.name, "host": host, "kind": client.kind, "queues": [], "connections": 0, "ageSeconds": 0},
        )
        line["connections"] += 1
        line["ageSeconds"] = max(line["ageSeconds"], client.age_seconds)
        if client.queue not in line["queues"]:
            line["queues"].append(client.queue)
    return sorted(found.values(), key=lambda line: (line["kind"] != "oxcart", line["name"], line["host"]))


def _redis(board: Board, sample: Sample) -> dict[str, Any]:
    info, target = sample.info, board.server.target
    per_second = float(info.get("instantaneous_ops_per_sec", 0))
    month = board.plan.commands_per_month
    return {
        "host": target.host,
        "port": target.port,
        "tls": target.tls,
        "version": info.get("valkey_version") or info.get("redis_version"),
        "memory": _whole(info.get("used_memory")),
        "memoryLimit": _whole(info.get("maxmemory")) or None,
        "policy": info.get("maxmemory_policy"),
        "latencyMs": round(sample.latency_ms, 2),
        "commandsPerMinute": round(per_second * 60),
        "commandsPerMonth": round(per_second * _MONTH_SECONDS),
        "planPerMonth": month,
    }


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _problems(sample: Sample) -> list[dict[str, Any]]:
    """The same list of conditions that health, doctor and alerts read."""
    return [
        {
            "code": problem.code,
            "queue": problem.queue,
            "severity": problem.condition.severity,
            "summary": problem.summary(),
            "cure": problem.cure(),
        }
        for problem in problems_of(sample.queues)
    ]


async def queue(board: Board, ask: Ask) -> dict[str, Any]:
    """One state of a queue, a page of it."""
    name, state = ask.needed("queue"), inspect.check_state(ask.get("state") or "waiting")
    channel = board.channel(name)
    counts, page, limits, is_paused, sample = await asyncio.gather(
        inspect.counts(channel),
        page_of(channel, state, ask.get("after") or None, ask.number("count", 50, 1, 200)),
        maintenance.limits(channel),
        maintenance.is_paused(channel),
        board.sampler.look(),
    )
    facts = next((facts for facts in sample.queues if facts.queue == name), None)
    return {
        "queue": name,
        "state": state,
        "states": [{"state": each, "count": counts[each]} for each in STATES if counts[each] or each in _SHOWN_EMPTY],
        "paused": is_paused,
        "limits": {"concurrency": limits["concurrency"], "max": limits["max"], "durationMs": limits["duration"]},
        "jobs": [row_of(cut, state, ask) for cut in page.jobs],
        "total": page.total,
        "after": page.after,
        "isFirst": not ask.get("after"),
        "line": None if facts is None else _queue_line(sample, facts),
        "now": sample.at_ms,
    }


_SHOWN_EMPTY = frozenset({"waiting", "active", "delayed", "completed", "failed"})


async def recurring(board: Board, ask: Ask) -> dict[str, Any]:
    """The schedules of all queues, or of one; those that are late first."""
    sample = await board.sampler.look()
    wanted = ask.get("queue")
    names = [wanted] if wanted else [facts.queue for facts in sample.queues if facts.schedules]
    found = await asyncio.gather(*(schedules.find_all(board.channel(name)) for name in names), return_exceptions=True)
    lines: list[dict[str, Any]] = []
    problems: list[str] = []
    for name, each in zip(names, found, strict=True):
        if isinstance(each, OxcartError):
            problems.append(str(each))
        elif isinstance(each, BaseException):
            raise each
        else:
            stopped = {job_id for facts in sample.queues if facts.queue == name for job_id in facts.stopped_schedules}
            lines += [_schedule(name, one, ask, sample.at_ms, is_stopped=one.id in stopped) for one in each]
    lines.sort(key=lambda line: (not line["stopped"], line["next"]))
    await _add_outcomes(board, lines[:_MOST_SCHEDULES])
    return {"schedules": lines[:_MOST_SCHEDULES], "total": len(lines), "problems": problems, "now": sample.at_ms}


def _schedule(queue_name: str, one: schedules.Schedule, ask: Ask, now_ms: int, *, is_stopped: bool) -> dict[str, Any]:
    late_ms = max(0, now_ms - one.next_ms)
    return {
        "id": one.id,
        "queue": queue_name,
        "name": one.name,
        "cron": one.cron,
        "everyMs": one.every_ms,
        "tz": one.tz,
        "next": one.next_ms,
        "lateMs": late_ms if late_ms > 60_000 else 0,
        "stopped": is_stopped,
        "runs": one.iterations,
        "limit": one.limit,
        "end": one.end_ms,
        "data": job_view.text_of(ask.json_text(one.data[:4000]), len(one.data)),
        "legacy": one.legacy,
    }


async def _add_outcomes(board: Board, lines: Sequence[dict[str, Any]]) -> None:
    """How the last run of each ended: of an `every` its id is known, of a cron it is the newest finished one."""

    async def last(line: dict[str, Any]) -> None:
        channel = board.channel(line["queue"])
        run = await job_view.last_run(channel, line["id"], line["next"], line["everyMs"])
        line["last"] = run

    await asyncio.gather(*(last(line) for line in lines))


async def workers(board: Board, ask: Ask) -> dict[str, Any]:
    """Who is connected, and what is in hand."""
    sample = await board.sampler.look()
    busy = [facts.queue for facts in sample.queues if facts.counts.get("active")]
    pages = await asyncio.gather(*(page_of(board.channel(name), "active", None) for name in busy[:50]))
    in_hand = [row_of(cut, "active", ask) for page in pages for cut in page.jobs]
    lines = _worker_lines(sample.clients)
    for line in lines or ():
        line["inHand"] = sum(job["processedBy"] == line["name"] for job in in_hand) if line["name"] else None
    return {"workers": lines, "jobs": sorted(in_hand, key=lambda job: job["processedOn"] or 0), "now": sample.at_ms}


async def doctor(board: Board, _: Ask) -> dict[str, Any]:
    """The doctor's last look, and what holds now."""
    sample = await board.sampler.look()
    at, diagnosis = board.diagnosis or (None, None)
    running = board.examining is not None and not board.examining.done()
    last = None if diagnosis is None else to_json(diagnosis)
    return {"at": at, "last": last, "running": running, "problems": _problems(sample), "now": sample.at_ms}


async def past(board: Board, ask: Ask) -> dict[str, Any]:
    """The last day of one queue."""
    names = board.sampler.names
    name = ask.get("queue") or next(iter(board.plan.queues), names[0])
    found = await history.read(board.channel(name), board.now_ms)
    return {"queue": name, "queues": names, **found, "now": board.now_ms}


async def extra(board: Board, ask: Ask) -> dict[str, Any]:
    """A page of a plugin."""
    wanted = ask.needed("page")
    page = next((page for page in board.plan.extras if page.id == wanted and page.is_there()), None)
    if page is None:
        return {"title": wanted, "tables": [], "now": board.now_ms}
    return {"title": page.title, "tables": [dict(table) for table in await page.load()], "now": board.now_ms}


VIEWS: Mapping[str, View] = {
    view.id: view
    for view in (
        View("overview", overview, "All queues, workers, Redis, and what keeps jobs from ending."),
        View("queue", queue, "One state of a queue, page by page.", ("queue", "state", "after", "count")),
        View("job", job_view.job, "Everything about one job.", ("queue", "id")),
        View("logs", job_view.logs, "The lines that a job's handler has logged.", ("queue", "id", "from")),
        View("search", searching.searched, "Jobs of all queues that match.", (*searching.FIELDS, "after")),
        View("dead-letters", dead_letters.grouped, "Failed jobs by the reason they failed for.", ("queue", "look")),
        View("schedules", recurring, "Recurring jobs, with their next and last runs.", ("queue",)),
        View("workers", workers, "Connected workers, and the jobs in their hands."),
        View("history", past, "What a queue has done in the last day, by name.", ("queue",), is_live=False),
        View("doctor", doctor, "What keeps jobs from ending, and the doctor's last look."),
        View("page", extra, "A page that a plugin brings.", ("page",)),
    )
}
