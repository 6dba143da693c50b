"""What does Oxcart do, seen in half a minute? A private server, a worker, and jobs of every kind, shown as they run."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from oxcart.cli.exits import FAILED, Interrupted
from oxcart.cli.output import say

if TYPE_CHECKING:
    from oxcart.cli.demo_jobs import Exhibit, Facts
    from oxcart.cli.demo_view import View
    from oxcart.queue.producer import Queue

QUEUE = "demo"
SCHEDULE = "tick"

_PATIENCE_SECONDS = 25.0
_LOOK_SECONDS = 0.1

# Nothing of the environment: the demo runs anywhere, and touches no Redis but its own.
_SETTINGS = {"JOB_QUEUE_NAME": QUEUE, "OXCART_SHUTDOWN_GRACE_SECONDS": "1"}


@click.command()
@click.option("--once", is_flag=True, help="End when all was seen: 0 if it went as expected, else 1.")
def demo(once: bool) -> None:
    """See a worker at work, on a private server in .oxcart/. Needs no settings and no network."""
    from oxcart.cli.session import run_async

    try:
        code = run_async(_demo(once))
    except Interrupted:
        if once:
            raise
        say("\nThe demo has ended; its jobs are still in .oxcart/.")
        code = 0
    raise click.exceptions.Exit(code)


async def _demo(once: bool) -> int:
    import logging

    from oxcart.cli.demo_jobs import Facts, demo_app
    from oxcart.cli.demo_view import choose_view
    from oxcart.queue.producer import Queue
    from oxcart.serving import Service, plan
    from oxcart.telemetry.bus import Bus

    logging.getLogger().addHandler(logging.NullHandler())
    facts, bus = Facts(), Bus()
    service = Service(demo_app(facts), plan(_SETTINGS, embedded=True), bus)
    say("The demo uses a private server in .oxcart/ and no other Redis, whatever is configured.")
    async with AsyncExitStack() as stack:
        await service.start(stack, loopback_only=True)
        queue = await stack.enter_async_context(Queue(QUEUE, server=service.server))
        stack.push_async_callback(queue.remove_schedule, SCHEDULE)
        say(
            f"Worker with {service.plan.settings.worker.concurrency} slots; http://127.0.0.1:{service.http_port}/health"
        )
        say()
        exhibits = await _add_jobs(queue, facts)
        with choose_view() as view:
            as_expected = await _watch(queue, exhibits, view)
        _sum_up(exhibits)
        if not once:
            say("\nThe worker keeps running; Ctrl-C ends it.")
            bus.subscribe(view.tell)
            await service.worker.wait()
    return 0 if as_expected else FAILED


async def _add_jobs(queue: Queue, facts: Facts) -> list[Exhibit]:
    """Into an empty, paused queue, so that all begin at once and priorities show."""
    from oxcart.cli.demo_jobs import add_exhibits
    from oxcart.queue.repeats import Repeat

    await queue.pause()
    await queue.obliterate(force=True)
    await queue.pause()
    exhibits = await add_exhibits(queue, facts)
    await queue.upsert_schedule(SCHEDULE, Repeat(every_seconds=2), name=SCHEDULE)
    await queue.resume()
    return exhibits


async def _watch(queue: Queue, exhibits: list[Exhibit], view: View) -> bool:
    """True once each exhibit has ended as expected; false if one did not, or the time is up."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        for exhibit in exhibits:
            if not exhibit.is_over:
                await exhibit.look(queue)
        view.show(exhibits)
        if all(exhibit.is_over for exhibit in exhibits) or time.monotonic() > until:
            return all(exhibit.is_as_expected for exhibit in exhibits)
        await asyncio.sleep(_LOOK_SECONDS)


def _sum_up(exhibits: list[Exhibit]) -> None:
    good = sum(exhibit.is_as_expected for exhibit in exhibits)
    say(f"\n{good} of {len(exhibits)} went as expected.")
    for exhibit in exhibits:
        if not exhibit.is_as_expected:
            say(f"  not so: {exhibit.title} ({exhibit.shows}): {exhibit.state} {exhibit.detail}")
    dead_letter = next((exhibit.job_id for exhibit in exhibits if exhibit.state == "failed"), "ID")
    say("\nWhat next")
    for command, purpose in _next_commands(dead_letter):
        say(f"  {command}\n      {purpose}")


def _next_commands(dead_letter: str) -> list[tuple[str, str]]:
    """Three that work right away in this folder; with a Redis configured the demo's jobs are elsewhere."""
    from oxcart.connection.target import resolve_target

    report = resolve_target(os.environ)
    if report.target is None and not report.problems:
        return [
            (f"oxcart jobs list --queue {QUEUE}", "the dead letters, and why they failed"),
            (f"oxcart jobs show {dead_letter} --queue {QUEUE}", "everything about one of them"),
            ("oxcart run", "a worker for the queue agent-jobs; app.py's app: oxcart run app:app"),
        ]
    return [
        ("oxcart env", "the Redis that is configured, and where that comes from"),
        ("oxcart run", "a worker on it"),
        ("oxcart enqueue test-job --wait 10", "a job for it, from another terminal"),
    ]
