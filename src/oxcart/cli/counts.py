"""How many jobs are in each state of a queue?"""

from __future__ import annotations

import click

from oxcart.cli.options import json_option, queue_option
from oxcart.cli.output import say, say_json, say_pairs


@click.command()
@queue_option
@json_option
def counts(queue: str | None, as_json: bool) -> None:
    """Show how many jobs are in each state."""
    from oxcart.cli.session import run_async

    run_async(_counts(queue, as_json))


async def _counts(queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name) as queue:
        numbers, paused = await queue.counts(), await queue.is_paused()
    if as_json:
        say_json({"queue": queue.name, "counts": numbers, "paused": paused})
        return
    say(f"Queue {queue.name}{' (paused)' if paused else ''}")
    say()
    digits = max(4, *(len(str(number)) for number in numbers.values()))
    say_pairs([(state, f"{number:>{digits}}") for state, number in numbers.items()])
