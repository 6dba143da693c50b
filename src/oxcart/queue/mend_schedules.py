"""Which schedules will not come when they should, and how do they come again? One that is sound is left alone.

A schedule's next job makes the one after it. If it is gone (removed, cleaned, evicted, finished by somebody who did not
make the next), nothing follows, for ever; if a wrong clock has set it, nothing follows for long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.protocol import codec
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Requester, run_script
from oxcart.queue.inspect import pairs
from oxcart.queue.repeats import Repeat, next_millis
from oxcart.queue.schedules import (
    Schedule,
    Template,
    is_gone,
    next_job_commands,
    remove_call,
    schedule_of,
    upsert_call,
)

_SLOTS_PASSED_OVER, _DAY_MS = 34, 86_400_000
"""BullMQ passes over up to 32 slots of `every` whose jobs are still kept."""


@dataclass(frozen=True, slots=True)
class Mended:
    """What was wrong with a schedule, in a sentence that goes on after its name. False: nothing can be done here."""

    what: str
    is_mended: bool = True


async def mend(
    link: Requester, keys: QueueKeys, schedule_id: str, now_ms: int, *, dry_run: bool = False
) -> Mended | None:
    """Give a schedule its next run, if the one it has is gone or further away than its times can give.

    None if it is well; in a dry run it says the same, and changes nothing.
    Raises Unavailable, ServerRefused.
    """
    due, record = await link.requests([("ZSCORE", keys.repeat, schedule_id), ("HGETALL", keys.scheduler(schedule_id))])
    if not isinstance(due, bytes) or not isinstance(record, list):
        return None
    facts = pairs(record)
    if "ic" not in facts:
        return None  # of an older version: what it runs with is in its next job only
    schedule = schedule_of(schedule_id, int(float(due)), facts, legacy=False, has_template=True)
    if schedule.has_ended(now_ms):
        return None
    reply = await link.requests(next_job_commands(keys, schedule_id, schedule.next_ms))
    gone = is_gone(schedule.next_ms, reply)
    try:
        if not gone and not is_too_far(schedule, now_ms):
            return None
        if not dry_run:
            await _set_anew(link, keys, schedule, facts, now_ms)
    except InvalidInput as error:
        return Mended(f"its next job is gone, and it cannot be set anew: {error}", is_mended=False) if gone else None
    if gone:
        return Mended("its next job was gone, and no other would have come. It has a next run again.")
    away_seconds = (schedule.next_ms - now_ms) / 1000
    return Mended(
        f"its next run was {away_seconds:.0f} s away, which it cannot be: it was set by a clock that was wrong. It has "
        "its right time again."
    )


async def _set_anew(
    link: Requester, keys: QueueKeys, schedule: Schedule, facts: Mapping[str, str], now_ms: int
) -> None:
    """Raises InvalidInput for a schedule whose times or options nobody can read."""
    opts: Any = codec.decode(facts.get("opts", "{}"), "opts")
    every = schedule.every_ms if schedule.every_ms and not schedule.cron else None
    repeat = Repeat(
        cron=schedule.cron,
        every_seconds=every / 1000 if every else None,
        tz=schedule.tz,
        limit=schedule.limit,
        start_ms=schedule.next_ms if every and now_ms < schedule.next_ms <= now_ms + every else schedule.start_ms,
        end_ms=schedule.end_ms,
        offset_ms=schedule.offset_ms,
    )
    if repeat.cron is None and every is None:
        raise InvalidInput("it says neither every nor a pattern")
    template = Template(schedule.name, schedule.data.encode(), opts if isinstance(opts, dict) else {})
    count = max(1, schedule.iterations)
    if every:  # else BullMQ keeps the time it had
        removal = remove_call(keys, schedule.id)
        await run_script(link, removal.script, removal.keys, removal.args)
    for after_ms in (0, schedule.next_ms):  # a job of its next time may have ended already
        call = upsert_call(keys, schedule.id, repeat, template, now_ms, count=count, after_ms=after_ms)
        if not isinstance(await run_script(link, call.script, call.keys, call.args), int):
            break
    await link.request("HSET", keys.scheduler(schedule.id), "ic", count)


def is_too_far(schedule: Schedule, now_ms: int) -> bool:
    """The run after the next one is possible: one may have begun a little early. Raises InvalidInput."""
    if schedule.legacy or schedule.next_ms <= now_ms:
        return False
    if schedule.cron:
        following = next_millis(schedule.times, now_ms)
        second = following and next_millis(schedule.times, following)
        return second is not None and schedule.next_ms > second
    if schedule.every_ms:
        slots = min(_SLOTS_PASSED_OVER * schedule.every_ms, _DAY_MS)
        return schedule.next_ms > max(now_ms, schedule.start_ms or 0) + max(2 * schedule.every_ms, slots)
    return False
