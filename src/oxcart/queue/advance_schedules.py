"""How does a schedule go on? Its next job is made when the current one is claimed, and before that begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.handlers import RepeatStrategy
from oxcart.protocol import codec
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Argument, Requester, ScriptCall, ours, run_script
from oxcart.queue.inspect import pairs, text
from oxcart.queue.repeatables import advance_repeatable, interval_of, is_repeatable, next_repeat
from oxcart.queue.repeats import epoch_ms, next_millis
from oxcart.queue.schedules import next_opts


def advance_call(
    keys: QueueKeys,
    schedule_id: str,
    job_id: str,
    opts: Mapping[str, Any],
    now_ms: int,
    *,
    strategy: RepeatStrategy | None = None,
    name: str = "",
) -> ScriptCall | None:
    """What makes the next job of a schedule when `job_id`, its current one, is claimed; None if it was the last.

    `opts` is the claimed job's decoded `opts`. The script does nothing when someone has advanced the schedule already.
    Numbers may be texts, as Node's workers take them; what is no number counts as not given.
    Raises InvalidInput for a cron pattern or a time zone that cannot be used here.
    """
    repeat = next_repeat(opts, now_ms)
    if repeat is None:
        return None
    due: int | None = None
    if repeat.get("pattern"):
        after = max(now_ms, epoch_ms(opts.get("prevMillis")) or 0)
        found = next_millis(repeat, after, strategy=strategy, name=name)
        if found is None:
            return None
        due = max(found, after)
    elif interval_of(opts) is None:
        return None
    merged = next_opts(_usable(opts), schedule_id, repeat, due, now_ms)
    named: tuple[Argument, ...] = (*keys.of_next_job, keys.job(job_id), keys.active)
    when = due if due is not None else now_ms
    packed = codec.pack(merged)
    args: tuple[Argument, ...] = (when, schedule_id, "{}", packed, now_ms, keys.base, job_id)
    return ScriptCall(ours("advance_schedule"), named, args)


def _usable(opts: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the script would stumble on half way."""
    usable = dict(opts)
    if not isinstance(opts.get("priority", 0), int | float):
        del usable["priority"]
    if not isinstance(opts.get("de", {}), dict):
        del usable["de"]
    return usable


async def advance_schedule(
    link: Requester,
    keys: QueueKeys,
    schedule_id: str,
    job_id: str,
    *,
    raw_opts: bytes | str,
    now_ms: int,
    strategy: RepeatStrategy | None = None,
    name: str = "",
    deadline_seconds: float = 10.0,
) -> str | None:
    """Advance a schedule whose job was claimed; returns the id of its next job, None if there is none to come.

    Safe to repeat. A job whose options cannot be read, or lack `repeat`, is judged by the schedule's own record.
    Raises Unavailable, ServerRefused, InvalidInput for a cron that cannot be used here, and what a strategy raises.
    """
    try:
        opts = codec.decode(raw_opts or "{}", "opts")
    except InvalidInput:
        opts = {}
    if not isinstance(opts, dict) or not isinstance(opts.get("repeat"), dict):
        key = keys.scheduler(schedule_id)
        opts = _recorded_opts(pairs(await link.request("HGETALL", key, deadline_seconds=deadline_seconds)))
    if is_repeatable(job_id, opts) and not await link.request("HEXISTS", keys.scheduler(schedule_id), "ic"):
        call = advance_repeatable(keys, schedule_id, job_id, opts, now_ms, strategy=strategy, name=name)
    else:
        call = advance_call(keys, schedule_id, job_id, opts, now_ms, strategy=strategy, name=name)
    if call is None:
        return None
    answer = await run_script(link, call.script, call.keys, call.args, deadline_seconds=deadline_seconds)
    return None if answer is None else text(answer)


def _recorded_opts(record: Mapping[str, str]) -> dict[str, Any]:
    """The options that a schedule's own record gives its jobs."""
    try:
        opts = codec.decode(record.get("opts", "{}"), "opts")
    except InvalidInput:
        opts = {}
    repeat: dict[str, Any] = {name: record[name] for name in ("pattern", "tz") if record.get(name)}
    for name in ("every", "limit", "startDate", "endDate", "offset"):
        if (number := epoch_ms(record.get(name))) is not None:
            repeat[name] = number
    iterations = epoch_ms(record.get("ic"))
    return {**(opts if isinstance(opts, dict) else {}), "repeat": {**repeat, "count": iterations or 1}}
