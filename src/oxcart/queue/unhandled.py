"""Which jobs of a queue wait without a handler? Workers write what they see; commands that load no app read it.

One hash a queue, `QueueKeys.unhandled`: a field for each name, with JSON of how many, since when, why, who saw it.
It ends by itself when no worker writes to it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from oxcart.connection.link import Link
from oxcart.errors import InvalidInput
from oxcart.protocol import codec
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs

MOST_NAMES = 20
"""In one answer; producers choose names, and nothing that they choose may grow without end."""

LONGEST_NAME = 100
LONGEST_REASON = 200
FORGET_AFTER_SECONDS = 300
"""Five times as long as a worker takes to write again what it still sees (worker/unhandled.py)."""

_MOST_FIELDS = 200
"""Of ten workers that see nothing alike. With more, what workers that are gone have left is thrown away."""


@dataclass(frozen=True, slots=True)
class UnhandledJobs:
    """`waiting` jobs of one name that wait, the oldest since `since_ms`; `reason` says why nobody here takes them.

    The last entry may stand for `more` names at once.
    """

    queue: str
    name: str
    waiting: int
    since_ms: int
    reason: str
    more: int = 0


@dataclass(frozen=True, slots=True)
class PublishedJobs:
    """What the worker `by` saw at `seen_ms`."""

    jobs: UnhandledJobs
    by: str
    seen_ms: int


def bounded(found: Iterable[UnhandledJobs]) -> tuple[UnhandledJobs, ...]:
    """The longest waiting first; those beyond MOST_NAMES as one, "and 7 more"; names and reasons cut."""
    every = sorted(found, key=lambda jobs: (jobs.since_ms, jobs.queue, jobs.name))
    named = [jobs for jobs in every if not jobs.more]
    rest = [*named[MOST_NAMES:], *(jobs for jobs in every if jobs.more)]
    shown = [
        replace(jobs, name=_cut(jobs.name, LONGEST_NAME), reason=_cut(jobs.reason, LONGEST_REASON))
        for jobs in named[:MOST_NAMES]
    ]
    return (*shown, *([_together(rest)] if rest else ()))


def merged(parts: Iterable[Iterable[UnhandledJobs]]) -> tuple[UnhandledJobs, ...]:
    """What several workers see of the same queues, as one: the same jobs are not counted twice."""
    by_name: dict[tuple[str, str], UnhandledJobs] = {}
    for jobs in (jobs for part in parts for jobs in part):
        at = (jobs.queue, "" if jobs.more else jobs.name)
        same = by_name.get(at, jobs)
        by_name[at] = replace(
            jobs if jobs.more > same.more else same,
            waiting=max(jobs.waiting, same.waiting),
            since_ms=min(jobs.since_ms, same.since_ms),
        )
    return bounded(by_name.values())


def _together(rest: Sequence[UnhandledJobs]) -> UnhandledJobs:
    more = sum(max(1, jobs.more) for jobs in rest)
    queues, reasons = {jobs.queue for jobs in rest}, {jobs.reason for jobs in rest}
    return UnhandledJobs(
        queue=queues.pop() if len(queues) == 1 else "",
        name=f"and {more} more",
        waiting=sum(jobs.waiting for jobs in rest),
        since_ms=min(jobs.since_ms for jobs in rest),
        reason=_cut(reasons.pop(), LONGEST_REASON) if len(reasons) == 1 else "",
        more=more,
    )


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


async def publish(
    link: Link, keys: QueueKeys, jobs: Sequence[UnhandledJobs], *, by: str, now_ms: int, before: Collection[str] = ()
) -> frozenset[str]:
    """Write what the worker `by` sees in one queue, and take out the names that it wrote `before` and sees no more.

    Returns the names that are written now. What the server refuses is left: it is for information only.
    Raises Unavailable.
    """
    values = {shown.name: _encoded(shown, by, now_ms) for shown in bounded(jobs)}
    gone = [name for name in before if name not in values]
    write: list[Command] = []
    if values:
        fields = [part for pair in values.items() for part in pair]
        write = [("HSET", keys.unhandled, *fields), ("EXPIRE", keys.unhandled, FORGET_AFTER_SECONDS)]
    take_out: list[Command] = [("HDEL", keys.unhandled, *gone)] if gone else []
    *_, fields_now = await link.requests([*take_out, *write, ("HLEN", keys.unhandled)]) if write or gone else [0]
    if isinstance(fields_now, int) and fields_now > _MOST_FIELDS:
        await link.requests([("DEL", keys.unhandled), *write])
    return frozenset(values)


async def read(channel: Channel, now_ms: int) -> tuple[PublishedJobs, ...]:
    """What workers saw within the last minutes, the longest waiting first. Entries of another shape are left out."""
    keys = channel.keys
    reply = await channel.command(f"Reading what waits in queue {keys.name}", "HGETALL", keys.unhandled)
    found = [_decoded(keys.name, name, value) for name, value in pairs(reply).items()]
    fresh = [each for each in found if each is not None and now_ms - each.seen_ms <= FORGET_AFTER_SECONDS * 1000]
    seen = {each.jobs.name: each for each in fresh}
    latest = max(fresh, key=lambda each: each.seen_ms, default=None)
    return tuple(
        replace(seen.get(jobs.name, latest), jobs=jobs) for jobs in bounded(each.jobs for each in fresh) if latest
    )


def _encoded(jobs: UnhandledJobs, by: str, now_ms: int) -> bytes:
    value: dict[str, Any] = {
        "waiting": jobs.waiting,
        "since": jobs.since_ms,
        "reason": jobs.reason,
        "by": by,
        "at": now_ms,
    }
    if jobs.more:
        value["more"] = jobs.more
    return codec.encode(value, "what waits without a handler")


def _decoded(queue: str, name: str, text: str) -> PublishedJobs | None:
    try:
        value = codec.decode(text, "what waits without a handler")
        numbers = [value["waiting"], value["since"], value["at"], value.get("more", 0)]
        reason, by = value["reason"], value["by"]
    except (InvalidInput, TypeError, KeyError, AttributeError):
        return None
    if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
        return None
    waiting, since_ms, seen_ms, more = (int(number) for number in numbers)
    return PublishedJobs(UnhandledJobs(queue, name, waiting, since_ms, str(reason), more), str(by), seen_ms)
