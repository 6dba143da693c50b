"""How are recurring jobs kept? As BullMQ's job schedulers, by its own scripts: Node sees and serves them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from oxcart.errors import InvalidInput, JobNotFound, StateConflict
from oxcart.handlers import RepeatStrategy
from oxcart.language import tr
from oxcart.protocol import codec
from oxcart.protocol.job_options import from_wire
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Argument, Command, ScriptCall, ours, upstream
from oxcart.queue import maintenance
from oxcart.queue.adding import NewJob, make_job_id
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs, text
from oxcart.queue.options import build_options
from oxcart.queue.repeatables import (
    next_jobs,
    recorded_repeat,
    template_opts,
)
from oxcart.queue.repeats import Repeat, epoch_ms, is_legacy_key, next_millis

OWN_QUEUE = "oxcart"
"""Where our own recurring jobs run, and an app's: always served by us, and never met by a Node worker beside us."""

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
    `is_dead`: it should go on, and its next job is gone, which alone would make the one after it.
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
    is_dead: bool = False

    def has_ended(self, now_ms: int) -> bool:
        """Nothing is to come: the limit is reached, the end has passed, or the pattern names no other time."""
        if (self.limit is not None and self.iterations >= self.limit) or (self.end_ms or now_ms) < now_ms:
            return True
        try:
            return self.cron is not None and next_millis(self.times, now_ms) is None
        except InvalidInput:
            return False

    @property
    def times(self) -> dict[str, Any]:
        """What `next_millis` wants to know of it."""
        return {"pattern": self.cron, "tz": self.tz, "startDate": self.start_ms, "endDate": self.end_ms}


def template_of(name: str, data: Any, given: Mapping[str, Any]) -> Template:
    """Raises InvalidInput."""
    misplaced = _ONE_RUN_ONLY & {key for key, value in given.items() if value is not None}
    if misplaced:
        raise InvalidInput(
            tr("A schedule's jobs cannot have {misplaced}: they come again. Leave it out.", misplaced=min(misplaced))
        )
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
    doing = tr("Setting schedule {schedule_id} of queue {name}", schedule_id=schedule_id[:80], name=channel.keys.name)
    if not schedule_id or is_legacy_key(schedule_id):
        raise InvalidInput(
            tr("{doing}: the id is empty, or looks like a repeatable job of BullMQ 5. Use a plain name.", doing=doing)
        )
    repeat.check(doing, now_ms, strategy)
    call = upsert_call(channel.keys, schedule_id, repeat, template, now_ms, strategy=strategy)
    answer = await channel.run(doing, call.script, call.keys, call.args, repeatable=True)
    if isinstance(answer, int):
        raise StateConflict(
            tr("{doing}: a job of its next time exists already. Remove that job, or use another id.", doing=doing)
        )
    return text(answer[0])


def upsert_call(
    keys: QueueKeys,
    schedule_id: str,
    repeat: Repeat,
    template: Template,
    now_ms: int,
    *,
    count: int = 1,
    after_ms: int = 0,
    strategy: RepeatStrategy | None = None,
) -> ScriptCall:
    """A pattern's time is one after `after_ms`. Raises InvalidInput for a pattern that names no time to come."""
    wire = repeat.to_wire()
    due: int | None = None
    if repeat.cron is not None:
        after = max(now_ms, after_ms)
        found = now_ms if repeat.immediately else next_millis(wire, after, strategy=strategy, name=template.name)
        if found is None:
            raise InvalidInput(
                tr("Schedule {schedule_id}: its pattern names no time that is to come.", schedule_id=schedule_id[:80])
            )
        due = max(found, now_ms)
    opts = next_opts(template.opts, schedule_id, {**wire, "count": count}, due, now_ms)
    named: tuple[Argument, ...] = (*keys.of_next_job, keys.active)
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


def next_opts(
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


async def remove(channel: Channel, schedule_id: str) -> bool:
    """Remove a scheduler and its next job; false if there is none."""
    keys = channel.keys
    doing = tr("Removing schedule {schedule_id} of queue {name}", schedule_id=schedule_id[:80], name=keys.name)
    upcoming = await _next_job(channel, doing, schedule_id)
    call = remove_call(keys, schedule_id)
    code = await channel.run(doing, call.script, call.keys, call.args, repeatable=True)
    if upcoming is not None:  # of a repeatable job: the script knows only the ids of schedulers' jobs
        with suppress(JobNotFound):
            await maintenance.remove(channel, upcoming[0], children=False)
    return bool(code == 0)


def remove_call(keys: QueueKeys, schedule_id: str) -> ScriptCall:
    named = (keys.repeat, keys.delayed, keys.events)
    return ScriptCall(upstream("removeJobScheduler"), named, (schedule_id, keys.base))


async def _next_job(channel: Channel, doing: str, schedule_id: str) -> tuple[str, Mapping[str, str]] | None:
    due = await channel.command(doing, "ZSCORE", channel.keys.repeat, schedule_id)
    if due is None:
        return None
    return (await next_jobs(channel, doing, {schedule_id: int(float(due))})).get(schedule_id)


async def find_all(channel: Channel, start: int = 0, end: int = -1) -> list[Schedule]:
    """Every scheduler, the one that is due next first."""
    keys = channel.keys
    doing = tr("Listing the schedules of queue {name}", name=keys.name)
    reply = await channel.command(doing, "ZRANGE", keys.repeat, start, end, "WITHSCORES")
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
    listed = [
        schedule_of(each, due, records[each], legacy=each in legacy, has_template=each not in lacking)
        for each, due in found.items()
    ]
    dead = await _dead(channel, doing, [schedule for schedule in listed if schedule.id not in upcoming])
    return [replace(schedule, is_dead=schedule.id in dead) for schedule in listed]


async def _dead(channel: Channel, doing: str, listed: Sequence[Schedule]) -> set[str]:
    now, keys = channel.server.clock.now_ms(), channel.keys
    asked = [schedule for schedule in listed if not schedule.has_ended(now)]
    commands = [command for schedule in asked for command in next_job_commands(keys, schedule.id, schedule.next_ms)]
    replies = iter(await channel.commands(doing, commands) if commands else ())
    states = zip(asked, replies, replies, replies, replies, strict=False)
    return {schedule.id for schedule, *reply in states if is_gone(schedule.next_ms, reply)}


def next_job_commands(keys: QueueKeys, schedule_id: str, due_ms: int) -> list[Command]:
    """What `is_gone` wants to know: the job, whether it has finished, and the schedule's time, which is read last."""
    job_id = f"repeat:{schedule_id}:{due_ms}"
    ended: list[Command] = [("ZSCORE", key, job_id) for key in (keys.completed, keys.failed)]
    return [("EXISTS", keys.job(job_id)), *ended, ("ZSCORE", keys.repeat, schedule_id)]


def is_gone(due_ms: int, reply: Sequence[Any]) -> bool:
    """Nobody will run the next job of a schedule: it is not there, or has ended, and still none comes after it."""
    is_there, completed, failed, due = reply
    return (
        due is not None and int(float(due)) == due_ms and (not is_there or completed is not None or failed is not None)
    )


def _shown(job: Mapping[str, str]) -> dict[str, str]:
    return {name: job[name] for name in ("name", "data") if name in job}


def schedule_of(
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
    doing = tr(
        "Running schedule {schedule_id} of queue {name} now", schedule_id=schedule_id[:80], name=channel.keys.name
    )
    record = pairs(await channel.command(doing, "HGETALL", channel.keys.scheduler(schedule_id)))
    if "data" not in record:
        upcoming = await _next_job(channel, doing, schedule_id)
        if upcoming is not None:
            template = codec.encode(template_opts(upcoming[1]), "options").decode()
            record = {**_shown(upcoming[1]), "opts": template, **record}
    if not record:
        raise JobNotFound(tr("{doing}: there is no such schedule. List the schedules to see their ids.", doing=doing))
    data = record.get("data", "{}").encode()
    options = from_wire(codec.decode(record.get("opts", "{}"), "opts"))
    opts = codec.encode(options.to_wire(), "options")
    size = len(data) + len(opts)
    return NewJob(make_job_id(), record.get("name", schedule_id), data, opts, options, now_ms, size)
