"""How many jobs are in each state of a queue, and which of them wait without a handler?"""

from __future__ import annotations

from typing import Any

import click

from oxcart.cli.options import json_option, queue_option
from oxcart.cli.output import note, say, say_json, say_pairs, say_table, say_wrapped
from oxcart.language import tr
from oxcart.names import MAX_NAMES, UnhandledJobs
from oxcart.telemetry.log_format import iso_utc


@click.command()
@queue_option
@json_option
def counts(queue: str | None, as_json: bool) -> None:
    """Show how many jobs are in each state, and which wait without a handler."""
    from oxcart.cli.session import run_async

    run_async(_counts(queue, as_json))


async def _counts(queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name) as queue:
        numbers, paused, unhandled = await queue.counts(), await queue.is_paused(), await queue.unhandled()
        elsewhere = [] if any(numbers.values()) else await queue.other_prefixes()
    if as_json:
        told = [_as_json(jobs) for jobs in unhandled]
        say_json({"queue": queue.name, "counts": numbers, "paused": paused, "unhandled": told})
        return
    if elsewhere:
        found = ", ".join(f"{prefix}:{queue.name}" for prefix in elsewhere[:5])
        there = tr("No job is here. Queues of this name exist under other prefixes: {found}.", found=found)
        note(f"{there} {tr('Set OXCART_PREFIX to the one you mean.')}")
    say_wrapped(tr("Queue {queue} (paused)", queue=queue.name) if paused else tr("Queue {queue}", queue=queue.name))
    say()
    digits = max(4, *(len(str(number)) for number in numbers.values()))
    say_pairs([(state, f"{number:>{digits}}") for state, number in numbers.items()])
    if unhandled:
        say()
        say_wrapped(tr("The workers have no handler for these, which have waited for more than a minute:"))
        say()
        rows = [(jobs.name, str(jobs.waiting), _since(jobs), _why(jobs)) for jobs in unhandled[:MAX_NAMES]]
        say_table((tr("NAME"), tr("WAITING"), tr("SINCE"), tr("WHY")), rows)
        if len(unhandled) > MAX_NAMES:
            say_wrapped(tr("and {count} more", count=len(unhandled) - MAX_NAMES))


def _as_json(jobs: UnhandledJobs) -> dict[str, Any]:
    return {
        "name": jobs.name,
        "waiting": jobs.waiting,
        "since": _since(jobs),
        "reason": jobs.reason,
        "detail": jobs.detail,
    }


def _since(jobs: UnhandledJobs) -> str:
    return iso_utc(jobs.since_ms / 1000)


def _why(jobs: UnhandledJobs) -> str:
    return jobs.reason if jobs.detail is None else f"{jobs.reason}: {jobs.detail}"
