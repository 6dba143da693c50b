"""What will this month cost in commands? The last day's jobs and an idle worker, against the plan."""

from __future__ import annotations

import time

from oxcart.checks import Check, Finding, ok, warning
from oxcart.connection.providers import Provider
from oxcart.doctor.visit import Visit
from oxcart.errors import ServerRefused
from oxcart.language import tr

GROUP = "cost"

_DAYS = 30
_DAY_MS = 86_400_000
_MINUTES = _DAYS * 24 * 60

# Sent by us, and counted with those inside scripts; `oxcart bench` measures them.
_PER_JOB, _PER_JOB_INSIDE = 3, 22  # added by a producer, claimed, finished
_IDLE_PER_MINUTE, _IDLE_PER_MINUTE_INSIDE = 5, 8  # of one worker, for each queue

# Upstash's published prices, read in August 2026: 500 000 commands a month are free, then 0.20 $ per 100 000.
_FREE = 500_000
_DOLLARS_PER_COMMAND = 0.20 / 100_000


async def month(visit: Visit) -> Finding:
    jobs, is_trimmed = await _finished_in_a_day(visit)
    idling = len(visit.queue_names) * visit.settings.processes
    outside = _DAYS * jobs * _PER_JOB + _MINUTES * idling * _IDLE_PER_MINUTE
    inside = _DAYS * jobs * _PER_JOB_INSIDE + _MINUTES * idling * _IDLE_PER_MINUTE_INSIDE
    least = tr("at least ") if is_trimmed else ""
    evidence = tr(
        "{least}{jobs} jobs in the last 24 h: about {commands} commands a month, {inside} with those inside scripts",
        least=least,
        jobs=jobs,
        commands=_short(outside),
        inside=_short(inside),
    )
    if visit.provider is not Provider.UPSTASH:
        return ok(tr("{evidence}; this provider does not bill by command", evidence=evidence))
    if inside > _FREE:
        price = inside * _DOLLARS_PER_COMMAND
        return warning(
            "QUOTA_NEAR",
            tr(
                "A month will take up to {inside} commands; Upstash's free plan has {free}.",
                inside=_short(inside),
                free=_short(_FREE),
            ),
            tr(
                "Pay as you go that is up to {price:.0f} $ a month; a fixed plan has no limit of commands. Fewer "
                "queues and fewer pollers (dashboards, QueueEvents) lower it.",
                price=price,
            ),
            evidence=evidence,
        )
    return ok(tr("{evidence}; Upstash's free plan has {free}", evidence=evidence, free=_short(_FREE)))


async def _finished_in_a_day(visit: Visit) -> tuple[int, bool]:
    """Jobs that are still kept, and whether some may have been removed already."""
    since = round(time.time() * 1000) - _DAY_MS
    jobs, is_trimmed = 0, False
    for name in visit.queue_names:
        keys = visit.keys(name)
        for key in (keys.completed, keys.failed):
            recent, kept = await visit.known_link.requests([("ZCOUNT", key, since, "+inf"), ("ZCARD", key)])
            for reply in (recent, kept):
                if isinstance(reply, Exception):
                    raise reply
            jobs += recent
            # Only recent ones are kept: older ones were removed, and recent ones may have been.
            is_trimmed = is_trimmed or (recent == kept and kept > 0)
    return jobs, is_trimmed


def _short(number: float) -> str:
    if number >= 1e6:
        return tr("{number:.1f} M", number=number / 1e6)
    return tr("{number:.0f} K", number=number / 1e3) if number >= 1e4 else f"{number:.0f}"


async def inner_commands(visit: Visit) -> Finding:
    """Does the server count the commands inside a script? What it counts is what a provider can bill."""
    try:
        before = await _processed(visit)
        script = "for i = 1, 10 do redis.call('EXISTS', KEYS[1]) end return 1"
        key = f"{visit.settings.worker.prefix}:oxcart-doctor-none"
        await visit.known_link.request("EVAL", script, 1, key)
        after = await _processed(visit)
    except (ServerRefused, ValueError):
        return ok(tr("this server does not count its commands"))
    counted = after - before >= 10
    return ok(tr("counted by this server") if counted else tr("not counted by this server"))


async def _processed(visit: Visit) -> int:
    reply = await visit.known_link.request("INFO", "stats")
    for line in bytes(reply).decode(errors="replace").splitlines():
        name, _, number = line.partition(":")
        if name == "total_commands_processed":
            return int(number)
    raise ValueError("INFO has no total_commands_processed")


CHECKS: tuple[Check[Visit], ...] = (
    Check(
        "inner-commands",
        GROUP,
        "commands inside scripts",
        inner_commands,
        "Every job is a few scripts, with many commands inside.",
        ("lua",),
    ),
    Check(
        "cost", GROUP, "the month's commands", month, "A used-up quota stops every job until it is mended.", ("layout",)
    ),
)
