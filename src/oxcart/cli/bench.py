"""How fast is Oxcart on this Redis, and what does an idle worker cost there? Under a prefix of its own, cleaned up."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from typing import Any

import click

from oxcart.cli.options import json_option
from oxcart.cli.output import note, say, say_json, say_pairs, say_wrapped
from oxcart.language import tr


@click.command()
@click.option(
    "--jobs", metavar="N", type=click.IntRange(1, 10_000_000), default=10_000, help="How many jobs to add and run."
)
@click.option(
    "--concurrency", metavar="N", type=click.IntRange(1, 10_000), default=100, help="How many jobs to run at once."
)
@click.option(
    "--seconds", metavar="SECONDS", type=click.FloatRange(0.1, 3600), default=5.0, help="How long to measure latency."
)
@click.option("--idle", is_flag=True, help="Measure what an idle worker costs, too; takes 3 min.")
@json_option
def bench(jobs: int, concurrency: int, seconds: float, idle: bool, as_json: bool) -> None:
    """Measure throughput and latency. On the configured Redis, under a prefix of its own that is removed at the end.

    Every job costs about 12 commands there, which some providers bill.
    """
    from oxcart.cli.session import run_async

    run_async(_bench(jobs, concurrency, seconds, idle, as_json))


async def _bench(jobs: int, concurrency: int, seconds: float, idle: bool, as_json: bool) -> None:
    from oxcart.cli import measure
    from oxcart.cli.session import open_server

    prefix = f"oxcart-bench-{uuid.uuid4().hex[:10]}"
    async with open_server() as (planned, server), AsyncExitStack() as stack:
        site = measure.Site(server, planned.settings.worker, prefix, concurrency)
        stack.push_async_callback(measure.remove_everything, site)
        answer: dict[str, Any] = {"redis": server.target.masked_url, "jobs": jobs, "concurrency": concurrency}
        answer |= await measure.throughput(site, jobs)
        answer["latencyMs"] = await measure.latency(site, seconds)
        answer["idleCommandsPerMinute"] = None
        if idle:
            note(tr("Measuring the idle cost: 2 min until the worker has calmed down, then 1 min."))
            answer["idleCommandsPerMinute"] = await measure.idle_cost(site)
    if as_json:
        say_json(answer)
    else:
        _say_answer(answer, idle)


def _say_answer(answer: dict[str, Any], idle: bool) -> None:
    latency = answer["latencyMs"]
    say_wrapped(
        tr(
            "{jobs} jobs that do nothing, concurrency {concurrency}, on {redis}",
            jobs=answer["jobs"],
            concurrency=answer["concurrency"],
            redis=answer["redis"],
        )
    )
    say()
    say_pairs(
        [
            (tr("added"), tr("{number:,.0f} jobs/s", number=answer["addedPerSecond"])),
            (tr("processed"), tr("{number:,.0f} jobs/s", number=answer["processedPerSecond"])),
            (tr("commands"), _or_unknown(answer["commandsPerJob"], tr("a job, adding not included"))),
            (
                tr("pick-up"),
                tr(
                    "p50 {p50:.2f} ms, p99 {p99:.2f} ms, {samples} jobs",
                    p50=latency["p50"],
                    p99=latency["p99"],
                    samples=latency["samples"],
                ),
            ),
            (
                tr("idle"),
                _or_unknown(answer["idleCommandsPerMinute"], tr("commands/min"))
                if idle
                else tr("not measured (--idle)"),
            ),
        ]
    )


def _or_unknown(number: float | None, unit: str) -> str:
    return tr("unknown: this server's INFO does not count commands") if number is None else f"{number:.1f} {unit}"
