"""What else is there to know and to change of a queue as a whole? What Node's Queue has beside its jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.protocol import codec
from oxcart.protocol.scripts import Argument, Command, ScriptCall, carefully
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs, text

_BATCH = 100
_LIMITED = str(2**53 - 1)
"""What the limiter counts where somebody asked for a pause: more than any limit."""

_EVENTS_WAIT_MS = 5_000


@dataclass(frozen=True, slots=True)
class QueueEvent:
    """One entry of the queue's stream. `id` is its place; `fields` are as BullMQ writes them, `jobId` among them."""

    id: str
    name: str
    fields: Mapping[str, str]

    @property
    def job_id(self) -> str | None:
        return self.fields.get("jobId")


@dataclass(frozen=True, slots=True)
class Metrics:
    """How many jobs ended: `count` in all, `per_minute` the newest first. Written by workers that have metrics on."""

    count: int
    previous_count: int
    previous_ms: int
    per_minute: Sequence[int]


async def move_jobs_to_wait(channel: Channel, state: str, *, limit: int | None, before_ms: float) -> int:
    """Put jobs of a state back that have been in it since before then (delayed: that are due before); returns how many.

    Raises InvalidInput for another state than failed, completed and delayed.
    """
    keys = channel.keys
    if state not in {"failed", "completed", "delayed"}:
        raise InvalidInput(f'State "{state[:40]}" cannot be retried; failed, completed and delayed can.')
    doing = f"Moving the {state} jobs of queue {keys.name} to wait"
    source = keys.state(state)
    named = (keys.base, keys.events, source, keys.wait, keys.paused, keys.meta, keys.active, keys.marker)
    moved = 0
    while limit is None or moved < limit:
        batch = _BATCH if limit is None else min(_BATCH, limit - moved)
        # One job a call: run carefully, a script may push one at a time.
        call = ScriptCall(carefully("moveJobsToWait"), named, (1, f"{before_ms:.0f}", state))
        *found, _ = await channel.run_all(doing, [*[call] * batch, channel.follow_pause("LPUSH", [])])
        moved += sum(found)
        if sum(found) < batch:
            break
    return moved


async def deduplication_job_id(channel: Channel, deduplication_id: str) -> str | None:
    doing = f"Looking for deduplication id {deduplication_id[:80]} in queue {channel.keys.name}"
    found = await channel.command(doing, "GET", channel.keys.deduplication(deduplication_id))
    return None if found is None else text(found)


async def remove_deduplication_key(channel: Channel, deduplication_id: str) -> bool:
    """Let jobs of this id be added again; false if none was kept away."""
    doing = f"Freeing deduplication id {deduplication_id[:80]} of queue {channel.keys.name}"
    return bool(await channel.command(doing, "DEL", channel.keys.deduplication(deduplication_id)))


async def pause_for(channel: Channel, duration_ms: int) -> None:
    """No worker claims for so long, as if a handler had raised RateLimited."""
    doing = f"Limiting the rate of queue {channel.keys.name}"
    await channel.command(doing, "SET", channel.keys.limiter, _LIMITED, "PX", duration_ms)


async def remove_rate_limit(channel: Channel) -> bool:
    """Let workers claim at once; false if they could."""
    doing = f"Ending the rate limit of queue {channel.keys.name}"
    named = (channel.keys.limiter, channel.keys.marker)
    removed, _ = await channel.commands(doing, [("DEL", named[0]), ("ZADD", named[1], 0, "0")])
    return bool(removed)


async def is_maxed(channel: Channel) -> bool:
    """As many jobs run as the global concurrency allows."""
    keys = channel.keys
    commands: list[Command] = [("HGET", keys.meta, "concurrency"), ("LLEN", keys.active)]
    most, running = await channel.commands(f"Reading the limits of queue {keys.name}", commands)
    return most is not None and running >= int(most)


async def counts_per_priority(channel: Channel, priorities: Sequence[int]) -> dict[int, int]:
    """How many jobs wait with each priority; 0 is without one."""
    keys = channel.keys
    scores = [(priority * 2**32, (priority + 1) * 2**32 - 1) for priority in priorities]
    commands: list[Command] = [
        ("ZCOUNT", keys.prioritized, *score) if priority else ("LLEN", keys.wait)
        for priority, score in zip(priorities, scores, strict=True)
    ]
    counts = await channel.commands(f"Counting the priorities of queue {keys.name}", commands) if commands else []
    return dict(zip(priorities, counts, strict=True))


async def meta(channel: Channel) -> dict[str, str]:
    """What is stored of the queue itself, with BullMQ's names: version, paused, concurrency, max, duration …"""
    return pairs(await channel.command(f"Reading what queue {channel.keys.name} is", "HGETALL", channel.keys.meta))


async def metrics(channel: Channel, target: str, start: int, end: int) -> Metrics:
    if target not in {"completed", "failed"}:
        raise InvalidInput(f'"{target[:40]}" has no metrics; completed and failed have.')
    key = channel.keys.metrics(target)
    commands: list[Command] = [("HMGET", key, "count", "prevTS", "prevCount"), ("LRANGE", f"{key}:data", start, end)]
    numbers, points = await channel.commands(f"Reading the metrics of queue {channel.keys.name}", commands)
    count, previous_ms, previous_count = (int(number or 0) for number in numbers)
    return Metrics(count, previous_count, previous_ms, tuple(map(int, points)))


async def publish_event(channel: Channel, name: str, fields: Mapping[str, Any], most: int) -> str:
    """An event of your own, beside BullMQ's; returns its id. Texts are written as they are, all else as JSON."""
    flat: list[Argument] = ["event", name]
    for field, value in fields.items():
        flat += (field, value if isinstance(value, str) else codec.encode(value, field))
    doing = f"Publishing {name[:80]} in queue {channel.keys.name}"
    command = ("XADD", channel.keys.events, "MAXLEN", "~", most, "*", *flat)
    return text(await channel.command(doing, *command, repeatable=False))


async def events(channel: Channel, since: str) -> AsyncIterator[QueueEvent]:
    """Every event after `since` ("$": from now on, "0": all that are kept), on a connection of its own, for ever."""
    link = channel.server.link("events")
    try:
        if since == "$":
            newest = await link.request("XREVRANGE", channel.keys.events, "+", "-", "COUNT", 1)
            since = text(newest[0][0]) if newest else "0"
        while True:
            command = ("XREAD", "COUNT", 1000, "BLOCK", _EVENTS_WAIT_MS, "STREAMS", channel.keys.events, since)
            reply = await link.request(*command, deadline_seconds=_EVENTS_WAIT_MS / 1000 + 3)
            for entry_id, flat in reply[0][1] if reply else ():
                since = text(entry_id)
                fields = pairs(flat)
                yield QueueEvent(since, fields.pop("event", ""), fields)
    finally:
        link.discard()
