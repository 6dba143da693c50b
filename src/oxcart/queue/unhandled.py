"""How do commands that load no app learn what waits without a handler? Workers publish it: a small hash per queue.

Each field is a job name, its value what the worker that wrote last has seen. It counts for KEPT_SECONDS; what a worker
no longer sees it takes out, and the whole hash ends by itself where no worker writes any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from oxcart.clock import now_ms
from oxcart.connection.link import Link
from oxcart.language import tr
from oxcart.names import Reason, UnhandledJobs, short
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs

KEPT_SECONDS = 180  # several times the interval in which workers publish
MAX_PUBLISHED = 100  # names of one queue, those that have waited longest


class _Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field's value: `since` and `at` (when it was written) in epoch milliseconds, `by` the worker."""

    waiting: int
    since: int
    by: str
    at: int
    reason: Reason
    detail: str | None = None


async def publish(link: Link, keys: QueueKeys, seen: Sequence[UnhandledJobs], *, by: str) -> None:
    """Replace what the worker `by` has published about a queue; other workers' fields stay.

    Of `seen`, what is about other queues is passed over. A refusal (no memory, no right) is not worth a failure: the
    worker meets it elsewhere. Raises Unavailable.
    """
    ours = {jobs.name: jobs for jobs in seen if jobs.queue == keys.name}
    shown = sorted(ours.values(), key=lambda jobs: jobs.since_ms)[:MAX_PUBLISHED]
    (reply,) = await link.requests([("HGETALL", keys.unhandled)])
    stored = {} if isinstance(reply, Exception) else pairs(reply)
    names, now = {jobs.name for jobs in shown}, now_ms()
    over = [name for name, text in stored.items() if name not in names and _is_over(text, by, now)]
    commands: list[Command] = []
    if over:
        commands.append(("HDEL", keys.unhandled, *over))
    if shown:
        fields = [part for jobs in shown for part in (jobs.name, _encoded(jobs, by, now))]
        commands += [("HSET", keys.unhandled, *fields), ("EXPIRE", keys.unhandled, KEPT_SECONDS)]
    await link.requests(commands)


async def read(channel: Channel) -> tuple[UnhandledJobs, ...]:
    """What workers have published lately about this queue; those that have waited longest first.

    Raises Unavailable, ServerRefused.
    """
    doing = tr("Reading what waits in queue {name} without a handler", name=channel.keys.name)
    return unhandled_in(channel.keys, pairs(await channel.command(doing, "HGETALL", channel.keys.unhandled)))


def unhandled_in(keys: QueueKeys, published: Mapping[str, str]) -> tuple[UnhandledJobs, ...]:
    """The same, of the hash as it was read."""
    found, now = [], now_ms()
    for name, text in published.items():
        seen = _decoded(text)
        if seen is not None and not _is_late(seen, now):
            found.append(UnhandledJobs(keys.name, short(name), seen.waiting, seen.since, seen.reason, seen.detail))
    return tuple(sorted(found, key=lambda jobs: jobs.since_ms))


def _encoded(jobs: UnhandledJobs, by: str, now: int) -> bytes:
    return msgspec.json.encode(_Seen(jobs.waiting, jobs.since_ms, by, now, jobs.reason, jobs.detail))


def _is_over(text: str, by: str, now: int) -> bool:
    seen = _decoded(text)
    return seen is None or seen.by == by or _is_late(seen, now)


def _is_late(seen: _Seen, now: int) -> bool:
    return abs(now - seen.at) > KEPT_SECONDS * 1000


def _decoded(text: str) -> _Seen | None:
    """None for what no worker has written."""
    try:
        return msgspec.json.decode(text, type=_Seen)
    except msgspec.DecodeError:
        return None
