"""When is an account looked after without being asked? By BullMQ's job schedulers on our own queue, three for each.

They are made when an account is connected, and again where a restart of Redis has lost them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from oxcart.clock import now_ms
from oxcart.errors import InvalidInput
from oxcart.queue.producer import Queue
from oxcart.queue.repeats import Repeat

POLL_SECONDS = 300.0
SWEEP_CRON = "0 3 * * *"
TOKENS_CRON = "17 * * * *"
TOKENS_SCHEDULE = "kommo-refresh-tokens"

HOOKS_JOB = "kommo:hooks"

# Enough to see what the last day did; a poll is one of 288.
KEPT_COMPLETED, KEPT_FAILED = 300, 100


@dataclass(frozen=True, slots=True)
class Planned:
    """One job scheduler: what it is called, what its jobs do, and when."""

    id: str
    job_name: str
    data: Mapping[str, str]
    repeat: Repeat


def schedules_of(connection_id: str, timezone: str | None) -> tuple[Planned, ...]:
    """A poll every five minutes, and a sweep at three in the morning where the account's people sleep."""
    data = {"connectionId": connection_id}
    return (
        Planned(f"kommo-poll-{connection_id}", "kommo:sync", data, Repeat(every_seconds=POLL_SECONDS)),
        Planned(f"kommo-sweep-{connection_id}", "kommo:sweep", data, _daily(timezone)),
        Planned(TOKENS_SCHEDULE, "kommo:refresh-tokens", {}, Repeat(cron=TOKENS_CRON, tz="UTC")),
    )


async def ensure_schedules(
    queue: Queue, connection_id: str, timezone: str | None, *, poll_after_seconds: float = 0
) -> None:
    """Leave those alone that are as planned: replacing one would move its next run.

    A new poll runs at once, or `poll_after_seconds` from now: whoever has just asked for a sync needs no other.
    """
    stored = {schedule.id: schedule for schedule in await queue.schedules()}
    for planned in schedules_of(connection_id, timezone):
        known, wanted = stored.get(planned.id), planned.repeat
        if known is not None and (known.cron, known.every_ms, known.tz) == (wanted.cron, wanted.every_ms, wanted.tz):
            continue
        repeat = planned.repeat
        if repeat.every_ms is not None and poll_after_seconds:
            repeat = replace(repeat, start_ms=now_ms() + round(poll_after_seconds * 1000))
        await queue.upsert_schedule(
            planned.id,
            repeat,
            name=planned.job_name,
            data=dict(planned.data),
            keep_completed=KEPT_COMPLETED,
            keep_failed=KEPT_FAILED,
        )


async def remove_schedules(queue: Queue, connection_id: str, *, is_last: bool = False) -> None:
    """Those of this account; with the last one also the one for all accounts' tokens."""
    for planned in schedules_of(connection_id, None):
        if is_last or planned.id != TOKENS_SCHEDULE:
            await queue.remove_schedule(planned.id)


async def wake_for_hooks(queue: Queue, connection_id: str, *, delay_seconds: float = 0) -> None:
    """There is something that webhooks have told, and nobody may be reading it."""
    kept: dict[str, Any] = {"keep_completed": KEPT_COMPLETED, "keep_failed": KEPT_FAILED}
    await queue.add(HOOKS_JOB, {"connectionId": connection_id}, delay_seconds=delay_seconds, **kept)


def _daily(timezone: str | None) -> Repeat:
    """In UTC where the account's time zone is not known, or is none that this machine knows."""
    at_three = Repeat(cron=SWEEP_CRON, tz="UTC")
    if timezone is None:
        return at_three
    try:
        local = replace(at_three, tz=timezone)
        local.check("Planning a sweep", 0)
    except InvalidInput:
        return at_three
    return local
