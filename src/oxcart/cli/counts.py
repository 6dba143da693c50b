"""How many jobs are in each state of a queue, and which of them wait without a handler?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oxcart.cli.options import json_option, queue_option
from oxcart.cli.output import local_time, printable, say, say_json, say_pairs, say_table, utc_time

if TYPE_CHECKING:
    from oxcart.queue.unhandled import PublishedJobs


@click.command()
@queue_option
@json_option
def counts(queue: str | None, as_json: bool) -> None:
    """Show how many jobs are in each state, and which wait without a handler, as running workers see it."""
    from oxcart.cli.session import run_async

    run_async(_counts(queue, as_json))


async def _counts(queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name) as queue:
        numbers, paused = await queue.counts(), await queue.is_paused()
        unhandled = await queue.unhandled()
    if as_json:
        waiting = [_as_json(seen) for seen in unhandled]
        say_json({"queue": queue.name, "counts": numbers, "paused": paused, "unhandled": waiting})
        return
    say(f"Queue {queue.name}{' (paused)' if paused else ''}")
    say()
    digits = max(4, *(len(str(number)) for number in numbers.values()))
    say_pairs([(state, f"{number:>{digits}}") for state, number in numbers.items()])
    if unhandled:
        say()
        say("Waiting for a worker that takes them (oxcart explain JOBS_UNHANDLED):")
        say_table(
            ("waiting", "name", "since", "reason"),
            [
                (str(seen.jobs.waiting), printable(seen.jobs.name), local_time(seen.jobs.since_ms), seen.jobs.reason)
                for seen in unhandled
            ],
        )


def _as_json(seen: PublishedJobs) -> dict[str, object]:
    jobs = seen.jobs
    return {
        "name": jobs.name,
        "waiting": jobs.waiting,
        "since": utc_time(jobs.since_ms),
        "reason": jobs.reason,
        "worker": seen.by,
        "seen": utc_time(seen.seen_ms),
    }
