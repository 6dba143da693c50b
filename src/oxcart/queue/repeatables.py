"""How does a recurring job of BullMQ before 5.26, or of Bull, go on? As its own workers have it: each job carries all
that its next one needs, data and options. Of the rest there is a member of `repeat` (before 5.10 and in Bull
name:id:endDate:tz:pattern), and from 5.10 on a record of its times.

Also finds the next job of such a schedule: what it will run with is only there.
Source: BullMQ 4 and 5, classes/repeat.ts; Bull 4, lib/repeatable.js.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.handlers import RepeatStrategy
from oxcart.protocol import codec
from oxcart.protocol.job_options import repeat_key
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command, ScriptCall, ours
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs, text
from oxcart.queue.repeats import epoch_ms, next_millis

_ONE_JOB_ONLY = ("jobId", "delay", "timestamp", "prevMillis", "repeat", "repeatJobKey")
"""Options of a repeatable job that are about this one run of it."""


def is_repeatable(job_id: str, opts: Mapping[str, Any]) -> bool:
    """Was this job made from the one before it, as all were before BullMQ 5.26? Those know when that one was due, and
    newer ones the key of their scheduler. Where a record has the field `ic` it is a scheduler all the same.
    """
    return job_id.startswith("repeat:") and "prevMillis" in opts and "repeatJobKey" not in opts


def next_repeat(opts: Mapping[str, Any], now_ms: int) -> dict[str, Any] | None:
    """The `repeat` of the next job, with its numbers read; None if this one was the last.

    Numbers may have been written as text: '3' from an environment variable.
    """
    given = opts.get("repeat")
    repeat = dict(given) if isinstance(given, dict) else {}
    for name in ("startDate", "endDate", "limit", "every", "offset", "count"):
        if repeat.get(name) is not None:
            number = epoch_ms(repeat.pop(name))
            if number is not None:
                repeat[name] = number
    repeat["count"] = repeat.get("count", 0) + 1
    limit, end = repeat.get("limit"), repeat.get("endDate")
    is_over = (limit is not None and repeat["count"] > limit) or (end is not None and now_ms > end)
    return None if is_over else repeat


def interval_of(opts: Mapping[str, Any]) -> int | None:
    """`every`, in ms; None if it is not given. Raises InvalidInput."""
    given = opts.get("repeat")
    every = given.get("every") if isinstance(given, dict) else None
    if not every:
        return None
    number = epoch_ms(every) or 0
    if number < 1:
        raise InvalidInput(f"its interval {str(every)[:40]!r} is no number of milliseconds from 1 on")
    return number


def advance_repeatable(
    keys: QueueKeys,
    key: str,
    job_id: str,
    opts: Mapping[str, Any],
    now_ms: int,
    *,
    strategy: RepeatStrategy | None = None,
    name: str = "",
) -> ScriptCall | None:
    """What makes the next job when `job_id`, the current one, is claimed; None if it was the last.

    Raises InvalidInput for a cron pattern or a time zone that cannot be used here.
    """
    repeat = next_repeat(opts, now_ms)
    if repeat is None:
        return None
    after = max(now_ms, epoch_ms(opts.get("prevMillis")) or 0)
    pattern, every = repeat.get("pattern") or repeat.get("cron"), interval_of(opts)
    if pattern:
        due = next_millis({**repeat, "pattern": pattern}, after, strategy=strategy, name=name)
    else:
        due = None if every is None else after // every * every + every
    if due is None:
        return None
    repeat.pop("immediately", None)
    next_id = f"{job_id.rpartition(':')[0]}:{due}"
    delay = max(due + (repeat.get("offset") or 0) - now_ms, 0)
    merged = {**opts, "jobId": next_id, "delay": delay, "timestamp": now_ms, "prevMillis": due, "repeat": repeat}
    named = (keys.marker, keys.meta, keys.id, keys.delayed, keys.completed, keys.events, keys.repeat, keys.job(job_id))
    return ScriptCall(
        ours("advance_repeatable"), named, (keys.base, key, due, next_id, codec.pack(merged), now_ms), repeatable=True
    )


def recorded_repeat(key: str) -> dict[str, str]:
    """What the key of a repeatable job says of its times, as a scheduler's record has it. Bull's has no zone with
    `every`: name:id:endDate:every.
    """
    name, _, rest = key.partition(":")
    parts = rest.split(":", 3)
    if len(parts) == 3:
        parts.insert(2, "")
    if len(parts) < 4:
        return {"name": name}
    _, end, tz, when = parts
    named = {"name": name, "endDate": end, "tz": tz, ("every" if when.isdigit() else "pattern"): when}
    return {field: value for field, value in named.items() if value}


def template_opts(job: Mapping[str, str]) -> dict[str, Any]:
    """The options that each job of it gets, out of those of one."""
    try:
        opts = codec.decode(job.get("opts", "{}"), "opts")
    except InvalidInput:
        return {}
    return {name: value for name, value in opts.items() if name not in _ONE_JOB_ONLY} if isinstance(opts, dict) else {}


async def next_jobs(
    channel: Channel, doing: str, due_ms: Mapping[str, int]
) -> dict[str, tuple[str, Mapping[str, str]]]:
    """The id and the fields of the next job of each schedule, where it is still to come; `due_ms` by schedule."""
    keys = channel.keys
    if not due_ms:
        return {}
    asked: list[Command] = [
        ("ZRANGEBYSCORE", keys.delayed, due * 0x1000, (due + 1) * 0x1000 - 1, "LIMIT", 0, 1000)
        for due in due_ms.values()
    ]
    found: dict[str, tuple[str, Mapping[str, str]]] = {}
    for (schedule_id, due), reply in zip(due_ms.items(), await channel.commands(doing, asked), strict=True):
        ids = [job_id for job_id in map(text, reply) if job_id.startswith("repeat:") and job_id.endswith(f":{due}")]
        ids += [f"repeat:{namespace}:{due}" for namespace in _namespaces(schedule_id)]  # it may be waiting by now
        records = await channel.commands(doing, [("HGETALL", keys.job(job_id)) for job_id in ids])
        for job_id, record in zip(ids, records, strict=True):
            job = pairs(record)
            if schedule_id in (job.get("rjk"), key_of_bull(job.get("opts", ""))):
                found[schedule_id] = job_id, job
    return found


def _namespaces(key: str) -> list[str]:
    """What may stand in the ids of its jobs: the key itself (BullMQ from 5.10 on), or a hash of name, id and key."""
    name, _, rest = key.partition(":")
    job_id = rest.partition(":")[0]
    hashed = [f"{name}{job_id}{_md5(key)}", f"{name}{job_id}:{_md5(key)}"]  # BullMQ, Bull
    return [key, *map(_md5, hashed)]


def _md5(value: str) -> str:
    return hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()


def key_of_bull(opts: bytes | str) -> str | None:
    """Bull has the key of a repeatable job in its options only."""
    try:
        wire = codec.decode(opts or "{}", "opts")
    except InvalidInput:
        return None
    return repeat_key(wire) if isinstance(wire, dict) else None
