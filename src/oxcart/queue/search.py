"""Which jobs are meant? One filter for every listing and every command on many jobs, looked for inside the server.

A call of the script takes the server two milliseconds at most, whatever the jobs hold, and others have their turn in
between; several calls are under way at once, so that a distant server is no slower. A job that moves while the search
goes on may be missed, or be found where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from oxcart.errors import InvalidInput, OxcartError
from oxcart.language import tr
from oxcart.protocol.scripts import ScriptCall, ours
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import check_state, pairs, text

CALL_MICROSECONDS = 1500
"""Of the 2 ms that a call may take: the rest is for the job that is looked at when the time is up."""

_MOST_AT_ONCE, _LEAST_AT_ONCE = 400, 20
_CALLS_AT_ONCE = 8
_CHANGES_AT_ONCE = 50
_MOST_AUDITED = 1000
_PROGRESS_SECONDS = 1.0
_LISTS = frozenset({"waiting", "active", "paused"})
_FINISHED = frozenset({"completed", "failed"})
_DUE_FACTOR = 4096  # of the scores of `delayed`: due time and a counter in one number

Progress = Callable[[int, int], None]
"""Is told now and then how many jobs were looked at, and of how many."""


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is given must hold. `names`: one of them; `since_ms`, `until_ms`: finished (else added) between these
    times; `reason`: its failedReason contains it; `data`: a path into its data and the value there, as text; `text`:
    its id, name, reason or data contain it, small and capital letters alike; `attempts`: it has begun so often at
    least; `id_end`: its id ends so.
    """

    names: tuple[str, ...] = ()
    since_ms: int | None = None
    reason: str | None = None
    data: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    id_end: str | None = None
    until_ms: int | None = None
    attempts: int | None = None

    @property
    def is_empty(self) -> bool:
        return self == Filter()

    def to_wire(self, state: str, *, reasons: bool = False) -> bytes:
        """For search_jobs.lua. Of a finished job the score says when, so that the script need not read it."""
        wanted: dict[str, Any] = {"reasons": reasons or None, "names": self.names or None, "reason": self.reason}
        wanted |= {"id_end": self.id_end, "attempts": self.attempts}
        if state not in _FINISHED:
            wanted |= {"since": self.since_ms, "before": self.until_ms}
        if self.text is not None:
            ignores_case = self.text.isascii()
            wanted |= {"text": self.text.lower() if ignores_case else self.text, "ignores_case": ignores_case}
        if self.data:
            wanted["data"] = [_condition(path, value) for path, value in self.data]
        return msgspec.json.encode({name: value for name, value in wanted.items() if value is not None})

    def __str__(self) -> str:
        """As options of a command, for the audit line."""
        told = [f"--name {name}" for name in self.names]
        told += [f"--since {self.since_ms}"] if self.since_ms is not None else []
        told += [f"--until {self.until_ms}"] if self.until_ms is not None else []
        told += [f"--attempts {self.attempts}"] if self.attempts is not None else []
        told += [f"--reason {self.reason}"] if self.reason is not None else []
        told += [f"--data {path}={value}" for path, value in self.data]
        told += [f"--search {self.text}"] if self.text is not None else []
        return " ".join(told)


def _condition(path: str, value: str) -> dict[str, Any]:
    """`plain` is a text that the data of a match must contain, to pass most jobs over without reading their JSON."""
    is_plain = re.fullmatch(r"[\w@.: +-]+", value, re.ASCII) is not None  # JSON writes these letters as they are
    return {"path": path.split("."), "value": value, **({"plain": value} if is_plain else {})}


def parse_data(given: str) -> tuple[str, str]:
    """`customer.id=42` as path and value. Raises InvalidInput."""
    path, equals, value = given.partition("=")
    if not equals or not all(path.split(".")):
        raise InvalidInput(
            tr('"{given}" is no condition on data: write PATH=VALUE, as in customer.id=42.', given=given[:80])
        )
    return path, value


@dataclass(frozen=True, slots=True)
class Found:
    """`at_ms`: when it finished, or is due; None for the other states."""

    id: str
    at_ms: int | None


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    """Dead letters whose reasons are alike but for numbers and ids. `example` is the id of one."""

    reason: str
    jobs: int
    example: str


async def search(
    channel: Channel, state: str, wanted: Filter, *, oldest_first: bool = False, progress: Progress | None = None
) -> AsyncIterator[list[Found]]:
    """The jobs of a state that are meant, run by run, so that whoever has enough can stop.

    Finished ones come newest first unless `oldest_first`, others in the order of their turn.
    """
    async for run in _walk(channel, state, wanted, oldest_first=oldest_first, reasons=False, progress=progress):
        if run.found:
            yield run.found


async def reason_groups(channel: Channel, wanted: Filter, *, progress: Progress | None = None) -> list[ReasonGroup]:
    """Why jobs failed, most frequent first; reasons that differ in numbers, ids and addresses alone are one."""
    groups: dict[str, ReasonGroup] = {}
    async for run in _walk(channel, "failed", wanted, oldest_first=False, reasons=True, progress=progress):
        for reason, jobs, example in run.reasons:
            key = _alike(reason)
            known = groups.get(key, ReasonGroup(reason, 0, example))
            groups[key] = ReasonGroup(known.reason, known.jobs + jobs, known.example)
    return sorted(groups.values(), key=lambda group: -group.jobs)


def _alike(reason: str) -> str:
    return re.sub(r"[0-9a-fA-F]{8,}|\d+", "#", reason)


@dataclass(slots=True)
class _Run:
    """A run of jobs that one call looks at, or several when its time is up before its end."""

    at: int
    left: int
    found: list[Found]
    reasons: list[tuple[str, int, str]]


async def _walk(
    channel: Channel, state: str, wanted: Filter, *, oldest_first: bool, reasons: bool, progress: Progress | None
) -> AsyncIterator[_Run]:
    """Several runs at once, told in order. Where calls end before their runs do, further runs are shorter."""
    key = channel.keys.state(check_state(state))
    kind = "list" if state in _LISTS else "down" if state in _FINISHED and not oldest_first else "up"
    doing = tr("Looking through the {state} jobs of queue {name}", state=state, name=channel.keys.name)
    at, end = await _bounds(channel, doing, kind, state, wanted)
    wire = wanted.to_wire(state, reasons=reasons)

    def call(run: _Run) -> ScriptCall:
        args = (channel.keys.base, kind, run.at, run.left, _MOST_AT_ONCE, CALL_MICROSECONDS, wire)
        return ScriptCall(ours("search_jobs"), (key,), args, repeatable=True)

    loop, told_at, first, size = asyncio.get_running_loop(), asyncio.get_running_loop().time(), at, _MOST_AT_ONCE
    while at < end:
        runs = [_Run(start, min(size, end - start), [], []) for start in range(at, end, size)[:_CALLS_AT_ONCE]]
        at = min(end, at + size * _CALLS_AT_ONCE)
        while begun := [run for run in runs if run.left > 0]:
            for run, (done, found, counted) in zip(
                begun, await channel.run_all(doing, list(map(call, begun)), repeatable=True), strict=True
            ):
                run.found += _read(state, found)
                run.reasons += _read_reasons(counted)
                if done < run.left:
                    size = max(_LEAST_AT_ONCE, min(size, done))
                run.at, run.left = run.at + done, run.left - done if done else 0  # none: jobs have gone meanwhile
        for run in runs:
            yield run
        if progress is not None and loop.time() - told_at >= _PROGRESS_SECONDS:
            told_at = loop.time()
            progress(at - first, end - first)


async def _bounds(channel: Channel, doing: str, kind: str, state: str, wanted: Filter) -> tuple[int, int]:
    """The first place to look at, and the one behind the last."""
    key = channel.keys.state(state)
    if kind == "list":
        return 0, int(await channel.command(doing, "LLEN", key))
    total = int(await channel.command(doing, "ZCARD", key))
    if state not in _FINISHED:
        return 0, total

    async def since(start: str | float) -> int:
        return int(await channel.command(doing, "ZCOUNT", key, start, "+inf"))

    oldest = total if wanted.since_ms is None else await since(wanted.since_ms)
    newest = 0 if wanted.until_ms is None else await since(f"({wanted.until_ms}")
    return (total - oldest, total - newest) if kind == "up" else (newest, oldest)


def _read(state: str, found: Sequence[bytes]) -> list[Found]:
    factor = _DUE_FACTOR if state == "delayed" else 1
    has_time = state in _FINISHED or state == "delayed"
    return [
        Found(text(job_id), int(float(score) // factor) if has_time and score else None)
        for job_id, score in zip(found[::2], found[1::2], strict=True)
    ]


def _read_reasons(counted: Sequence[Any]) -> list[tuple[str, int, str]]:
    return [
        (text(reason), int(jobs), text(example))
        for reason, jobs, example in zip(counted[::3], counted[1::3], counted[2::3], strict=True)
    ]


# ------------------------------------------------------------------------------------------------ changing many
@dataclass(frozen=True, slots=True)
class Changed:
    """What a command on many jobs did: the ids it changed, and why it left others."""

    done: list[str]
    problems: list[str]


async def change_each(
    job_ids: Iterable[str], change: Callable[[str], Awaitable[None]], *, progress: Progress | None = None
) -> Changed:
    """Change each job, many at once; one that cannot be changed stops no other. In the order given."""
    ids = list(dict.fromkeys(job_ids))
    outcome: dict[str, str | None] = {}
    waiting = iter(ids)
    loop, told_at = asyncio.get_running_loop(), asyncio.get_running_loop().time()

    async def work() -> None:
        nonlocal told_at
        for job_id in waiting:
            try:
                await change(job_id)
                outcome[job_id] = None
            except OxcartError as error:
                if getattr(error, "failure", None) is not None:
                    raise
                outcome[job_id] = str(error)
            if progress is not None and loop.time() - told_at >= _PROGRESS_SECONDS:
                told_at = loop.time()
                progress(len(outcome), len(ids))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_CHANGES_AT_ONCE, len(ids))):
                group.create_task(work())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    problems = [(job_id, outcome[job_id]) for job_id in ids]
    return Changed([job_id for job_id, told in problems if told is None], [told for _, told in problems if told])


async def audit(channel: Channel, action: str, wanted: str, jobs: int, *, who: str | None = None) -> None:
    """Leave a line: who (else this user) did what to how many. A refusal makes nothing undone that was done."""
    fields = ("who", who or _who(), "what", action, "filter", wanted[:500], "jobs", jobs)
    command = ("XADD", channel.keys.audit, "MAXLEN", "~", _MOST_AUDITED, "*", *fields)
    with contextlib.suppress(OxcartError):
        await channel.command(f"Noting what was done to queue {channel.keys.name}", *command, repeatable=False)


@dataclass(frozen=True, slots=True)
class AuditLine:
    """`filter` is what was asked for, as options of the command."""

    at_ms: int
    who: str
    what: str
    filter: str
    jobs: int


async def audit_lines(channel: Channel, limit: int) -> list[AuditLine]:
    """What was done to many jobs of a queue at once, the last one first."""
    doing = tr("Reading what was done to queue {name}", name=channel.keys.name)
    entries = await channel.command(doing, "XREVRANGE", channel.keys.audit, "+", "-", "COUNT", limit)
    return [_line(text(entry_id), pairs(fields)) for entry_id, fields in entries]


def _line(entry_id: str, fields: dict[str, str]) -> AuditLine:
    jobs = fields.get("jobs", "")
    return AuditLine(
        int(entry_id.partition("-")[0]),
        fields.get("who", ""),
        fields.get("what", ""),
        fields.get("filter", ""),
        int(jobs) if jobs.isdigit() else 0,
    )


def _who() -> str:
    """The user of this machine, and the machine; nobody proves it."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "?"
    return f"{user}@{socket.gethostname()}"
