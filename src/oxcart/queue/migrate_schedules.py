"""How do recurring jobs of older versions become job schedulers with a template? Same times, data and options.

Repeatable jobs of Bull and of BullMQ before 5.10 are replaced; schedulers of 5.10 to 5.25 get the template they lack.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oxcart.clock import now_ms
from oxcart.errors import InvalidInput, StateConflict
from oxcart.language import tr
from oxcart.protocol import codec
from oxcart.queue import schedules
from oxcart.queue.channel import Channel
from oxcart.queue.repeatables import next_jobs, template_opts
from oxcart.queue.repeats import Repeat, epoch_ms
from oxcart.queue.schedules import Schedule, Template


@dataclass(frozen=True, slots=True)
class Migrated:
    """What became of one schedule, or would. `new_id` is None where nothing can be done, and `problem` says why."""

    id: str
    name: str
    new_id: str | None
    problem: str | None = None


async def migrate(channel: Channel, *, dry_run: bool) -> list[Migrated]:
    """All of a queue that are not schedulers with a template. Safe to repeat. Raises Unavailable, ServerRefused."""
    doing = tr("Migrating the schedules of queue {name}", name=channel.keys.name)
    every = await schedules.find_all(channel)
    old = [schedule for schedule in every if schedule.legacy or not schedule.has_template]
    upcoming = await next_jobs(channel, doing, {schedule.id: schedule.next_ms for schedule in old})
    done: list[Migrated] = []
    for schedule in old:
        if schedule.id not in upcoming:
            text = "its next job is gone, and its data with it: remove it, and make it again"
            done.append(Migrated(schedule.id, schedule.name, None, text))
            continue
        job = upcoming[schedule.id][1]
        new_id = _new_id(schedule, every) if schedule.legacy else schedule.id
        try:
            if not dry_run:
                await (_replace if schedule.legacy else _complete)(channel, schedule, job, new_id)
            done.append(Migrated(schedule.id, schedule.name, new_id))
        except (InvalidInput, StateConflict) as error:
            done.append(Migrated(schedule.id, schedule.name, None, str(error)))
    return done


async def _complete(channel: Channel, schedule: Schedule, job: Mapping[str, str], _new_id: str) -> None:
    key = channel.keys.scheduler(schedule.id)
    opts = codec.encode(template_opts(job), "options")
    doing = tr("Giving schedule {id} its template", id=schedule.id[:80])
    await channel.commands(doing, [("HSETNX", key, "data", job.get("data", "{}")), ("HSETNX", key, "opts", opts)])


async def _replace(channel: Channel, schedule: Schedule, job: Mapping[str, str], new_id: str) -> None:
    """The new one first: should we be stopped in between, both run, and doing it again removes the old one."""
    wire, now = codec.decode(job.get("opts", "{}"), "opts"), now_ms()
    repeat = wire.get("repeat") if isinstance(wire, dict) else None
    repeat = repeat if isinstance(repeat, dict) else {}
    limit, number = epoch_ms(repeat.get("limit")), epoch_ms(repeat.get("count")) or 1
    made = Repeat(
        cron=schedule.cron,
        every_seconds=None if schedule.cron or schedule.every_ms is None else schedule.every_ms / 1000,
        tz=schedule.tz,
        limit=None if limit is None else max(1, limit - number + 1),  # the next job is one of those that are left
        start_ms=None if schedule.cron else max(schedule.next_ms, now),
        end_ms=schedule.end_ms,
    )
    template = Template(schedule.name, job.get("data", "{}").encode(), template_opts(job))
    await schedules.upsert(channel, new_id, made, template, now)
    await schedules.remove(channel, schedule.id)


def _new_id(schedule: Schedule, every: Sequence[Schedule]) -> str:
    """The job's name, where that says which one it is."""
    names = Counter(other.name for other in every if other.legacy)
    taken = next((other for other in every if other.id == schedule.name), None)
    same_times = taken is not None and (taken.cron, taken.every_ms) == (schedule.cron, schedule.every_ms)
    if names[schedule.name] == 1 and (taken is None or same_times):
        return schedule.name
    return f"{schedule.name}-{hashlib.md5(schedule.id.encode(), usedforsecurity=False).hexdigest()[:6]}"
