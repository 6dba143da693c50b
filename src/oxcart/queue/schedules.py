"""How are recurring jobs kept? As BullMQ's job schedulers, by its own scripts: Node sees and serves them too."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from oxcart.errors import InvalidInput, JobNotFound, StateConflict
from oxcart.handlers import RepeatStrategy
from oxcart.protocol import codec
from oxcart.protocol.job_options import from_wire
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Argument, Command, Requester, ScriptCall, ours, run_script, upstream
from oxcart.queue import maintenance
from oxcart.queue.adding import NewJob, make_job_id
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs, text
from oxcart.queue.options import build_options
from oxcart.queue.repeatables import (
    advance_repeatable,
    interval_of,
    is_repeatable,
    next_jobs,
    next_repeat,
    recorded_repeat,
    template_opts,
)
from oxcart.queue.repeats import Repeat, epoch_ms, is_legacy_key, next_millis

OWN_QUEUE = "oxcart"
"""Where our own recurring jobs run, and an app's: always served by us, and never met by a Node worker beside us."""

_SLOTS_PASSED_OVER, _DAY_MS = 34, 86_400_000
"""BullMQ passes over up to 32 slots of `every` whose jobs are still kept."""

_ONE_RUN_ONLY = frozenset({"job_id", "delay_seconds", "deduplication", "parent", "timestamp_ms"})
"""Options that make no sense on a job that comes again."""


@dataclass(frozen=True, slots=True)
class Template:
    """What every job of a schedule gets. `opts` are on the wire's names."""

    name: str
    data: bytes
    opts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job scheduler as it is stored. `legacy`: a repeatable job of Bull, or of BullMQ before 5.10, which BullMQ 6
    refuses. Without a template (those, and schedulers of BullMQ 5.10 to 5.25) it shows the data of its next job.
    """

    id: str
    name: str
    next_ms: int
    cron: str | None
    every_ms: int | None
    tz: str | None
    limit: int | None
    start_ms: int | None
    end_ms: int | None
    offset_ms: int | None
    iterations: int
    data: str
    legacy: bool
    has_template: bool


def template_of(name: str, data: Any, given: Mapping[str, Any]) -> Template:
    """Raises InvalidInput."""
    misplaced = _ONE_RUN_ONLY & {key for key, value in given.items() if value is not None}
    if misplaced:
        raise InvalidInput(f"A schedule's jobs cannot have {min(misplaced)}: they come again. Leave it out.")
    opts = build_options(given).to_wire()
    if not opts["attempts"]:
        del opts["attempts"]
    return Template(name, codec.encode(data), opts)


async def upsert(
    channel: Channel,
    schedule_id: str,
    repeat: Repeat,
    template: Template,
    now_ms: int,
    *,
    strategy: RepeatStrategy | None = None,
) -> str | None:
    """Create or replace a scheduler; returns the id of its next job. Raises InvalidInput, StateConflict."""
    doing = f"Setting schedule {schedule_id[:80]} of queue {channel.keys.name}"
    if not schedule_id or is_legacy_key(schedule_id):
        raise InvalidInput(f"{doing}: the id is empty, or looks like a repeatable job of BullMQ 5. Use a plain name.")
    repeat.check(doing, now_ms, strategy)
    call = upsert_call(channel.keys, schedule_id, repeat, template, now_ms, strategy=strategy)
    answer = await channel.run(doing, call.script, call.keys, call.args, repeatable=True)
    if isinstance(answer, int):
        raise StateConflict(f"{doing}: a job of its next time exists already. Remove that job, or use another id.")
    return text(answer[0])


def upsert_call(
    keys: QueueKeys,
    schedule_id: str,
    repeat: Repeat,
    template: Template,
    now_ms: int,
    *,
    count: int = 1,
    strategy: RepeatStrategy | None = None,
) -> ScriptCall:
    """Raises InvalidInput for a pattern that names no time to come."""
    wire = repeat.to_wire()
    due: int | None = None
    if repeat.cron is not None:
        found = now_ms if repeat.immediately else next_millis(wire, now_ms, strategy=strategy, name=template.name)
        if found is None:
            raise InvalidInput(f"Schedule {schedule_id[:80]}: its pattern names no time that is to come.")
        due = max(found, now_ms)
    opts = _next_opts(template.opts, schedule_id, {**wire, "count": count}, due, now_ms)
    named: tuple[Argument, ...] = (
        keys.repeat,
        keys.delayed,
        keys.wait,
        keys.paused,
        keys.meta,
        keys.prioritized,
        keys.marker,
        keys.id,
        keys.events,
        keys.pc,
        keys.active,
    )
    args: tuple[Argument, ...] = (
        due if due is not None else now_ms,
        codec.pack({"name": template.name, **wire}),
        schedule_id,
        template.data,
        codec.pack(dict(template.opts)),
        codec.pack(opts),
        now_ms,
        keys.base,
        "",
    )
    return ScriptCall(ours("upsert_schedule"), named, args)


def _next_opts(
    opts: Mapping[str, Any], schedule_id: str, repeat: Mapping[str, Any], due: int | None, now_ms: int
) -> dict[str, Any]:
    """The options of a schedule's next job. With `every` its time is the script's to find, so nothing here has it."""
    merged = {**opts, "timestamp": now_ms, "repeatJobKey": schedule_id, "repeat": dict(repeat)}
    if due is None:
        merged.pop("prevMillis", None)
    else:
        job_id = f"repeat:{schedule_id}:{due}"
        merged.update(jobId=job_id, delay=max(due - now_ms, 0), prevMillis=due)
    return merged


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
    merged = _next_opts(_usable(opts), schedule_id, repeat, due, now_ms)
    named: tuple[Argument, ...] = (
        keys.repeat,
        keys.delayed,
        keys.wait,
        keys.paused,
        keys.meta,
        keys.prioritized,
        keys.marker,
        keys.id,
        keys.events,
        keys.pc,
        keys.job(job_id),
        keys.active,
    )
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


async def mend(link: Requester, keys: QueueKeys, schedule_id: str, now_ms: int) -> str | None:
    """Give a schedule its right next run if the one it has is further away than its pattern can give; says what it did.

    Whoever set that had a wrong clock. Raises Unavailable, ServerRefused.
    """
    due, record = await link.requests([("ZSCORE", keys.repeat, schedule_id), ("HGETALL", keys.scheduler(schedule_id))])
    if not isinstance(due, bytes) or not isinstance(record, list):
        return None
    facts = pairs(record)
    if "ic" not in facts:
        return None  # of an older version: what it runs with is in its next job only
    schedule = _schedule(schedule_id, int(float(due)), facts, legacy=False, has_template=True)
    try:
        opts = codec.decode(facts.get("opts", "{}"), "opts")
        if not is_too_far(schedule, now_ms) or not isinstance(opts, dict):
            return None
    except InvalidInput:
        return None  # whoever advances it says why
    repeat = Repeat(
        cron=schedule.cron,
        every_seconds=schedule.every_ms / 1000 if schedule.every_ms and not schedule.cron else None,
        tz=schedule.tz,
        limit=schedule.limit,
        start_ms=schedule.start_ms,
        end_ms=schedule.end_ms,
        offset_ms=schedule.offset_ms,
    )
    template = Template(schedule.name, schedule.data.encode(), opts)
    call = upsert_call(keys, schedule_id, repeat, template, now_ms, count=max(1, schedule.iterations))
    calls = [call] if schedule.cron else [_remove_call(keys, schedule_id), call]  # else BullMQ keeps the time it had
    for each in calls:
        await run_script(link, each.script, each.keys, each.args)
    away_seconds = (schedule.next_ms - now_ms) / 1000
    return (
        f"the next run of schedule {schedule_id[:80]} was {away_seconds:.0f} s away, which it cannot be: it was set by "
        "a clock that was wrong. It has its right time again."
    )


def is_too_far(schedule: Schedule, now_ms: int) -> bool:
    """The run after the next one is possible: one may have begun a little early. Raises InvalidInput."""
    if schedule.legacy or schedule.next_ms <= now_ms:
        return False
    if schedule.cron:
        wire = {"pattern": schedule.cron, "tz": schedule.tz, "startDate": schedule.start_ms}
        following = next_millis(wire, now_ms)
        second = following and next_millis(wire, following)
        return second is not None and schedule.next_ms > second
    if schedule.every_ms:
        slots = min(_SLOTS_PASSED_OVER * schedule.every_ms, _DAY_MS)
        return schedule.next_ms > max(now_ms, schedule.start_ms or 0) + max(2 * schedule.every_ms, slots)
    return False


async def remove(channel: Channel, schedule_id: str) -> bool:
    """Remove a scheduler and its next job; false if there is none."""
    keys = channel.keys
    doing = f"Removing schedule {schedule_id[:80]} of queue {keys.name}"
    upcoming = await _next_job(channel, doing, schedule_id)
    call = _remove_call(keys, schedule_id)
    code = await channel.run(doing, call.script, call.keys, call.args, repeatable=True)
    if upcoming is not None:  # of a repeatable job: the script knows only the ids of schedulers' jobs
        with suppress(JobNotFound):
            await maintenance.remove(channel, upcoming[0], children=False)
    return bool(code == 0)


def _remove_call(keys: QueueKeys, schedule_id: str) -> ScriptCall:
    named = (keys.repeat, keys.delayed, keys.events)
    return ScriptCall(upstream("removeJobScheduler"), named, (schedule_id, keys.base))


async def _next_job(channel: Channel, doing: str, schedule_id: str) -> tuple[str, Mapping[str, str]] | None:
    due = await channel.command(doing, "ZSCORE", channel.keys.repeat, schedule_id)
    if due is None:
        return None
    return (await next_jobs(channel, doing, {schedule_id: int(float(due))})).get(schedule_id)


async def find_all(channel: Channel) -> list[Schedule]:
    """Every scheduler, the one that is due next first."""
    keys = channel.keys
    doing = f"Listing the schedules of queue {keys.name}"
    reply = await channel.command(doing, "ZRANGE", keys.repeat, 0, -1, "WITHSCORES")
    found = {schedule_id: int(float(due)) for schedule_id, due in pairs(reply).items()}
    if not found:
        return []
    commands: list[Command] = [("HGETALL", keys.scheduler(schedule_id)) for schedule_id in found]
    records = dict(zip(found, map(pairs, await channel.commands(doing, commands)), strict=True))
    bare = {schedule_id: due for schedule_id, due in found.items() if "data" not in records[schedule_id]}
    upcoming = await next_jobs(channel, doing, bare)
    legacy = {schedule_id for schedule_id, record in records.items() if not record}
    for schedule_id in bare:
        job = upcoming[schedule_id][1] if schedule_id in upcoming else {}
        told = recorded_repeat(schedule_id) if schedule_id in legacy else {}
        records[schedule_id] = {**told, **_shown(job), **records[schedule_id]}
    lacking = legacy | {each for each, (_, job) in upcoming.items() if job.get("data", "{}") != "{}"}
    return [
        _schedule(each, due, records[each], legacy=each in legacy, has_template=each not in lacking)
        for each, due in found.items()
    ]


def _shown(job: Mapping[str, str]) -> dict[str, str]:
    return {name: job[name] for name in ("name", "data") if name in job}


def _schedule(
    schedule_id: str, next_ms: int, record: Mapping[str, str], *, legacy: bool, has_template: bool
) -> Schedule:
    return Schedule(
        id=schedule_id,
        name=record.get("name", schedule_id.partition(":")[0]),
        next_ms=next_ms,
        cron=record.get("pattern"),
        every_ms=epoch_ms(record.get("every")),
        tz=record.get("tz"),
        limit=epoch_ms(record.get("limit")),
        start_ms=epoch_ms(record.get("startDate")),
        end_ms=epoch_ms(record.get("endDate")),
        offset_ms=epoch_ms(record.get("offset")),
        iterations=epoch_ms(record.get("ic")) or 0,
        data=record.get("data", "{}"),
        legacy=legacy,
        has_template=has_template,
    )


async def job_now(channel: Channel, schedule_id: str, now_ms: int) -> NewJob:
    """One more job from a schedule's template, outside its times. Raises JobNotFound."""
    doing = f"Running schedule {schedule_id[:80]} of queue {channel.keys.name} now"
    record = pairs(await channel.command(doing, "HGETALL", channel.keys.scheduler(schedule_id)))
    if "data" not in record:
        upcoming = await _next_job(channel, doing, schedule_id)
        if upcoming is not None:
            template = codec.encode(template_opts(upcoming[1]), "options").decode()
            record = {**_shown(upcoming[1]), "opts": template, **record}
    if not record:
        raise JobNotFound(f"{doing}: there is no such schedule. List the schedules to see their ids.")
    data = record.get("data", "{}").encode()
    options = from_wire(codec.decode(record.get("opts", "{}"), "opts"))
    opts = codec.encode(options.to_wire(), "options")
    size = len(data) + len(opts)
    return NewJob(make_job_id(), record.get("name", schedule_id), data, opts, options, now_ms, size)
