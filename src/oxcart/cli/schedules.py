"""How does an operator look at recurring jobs? schedules list, add, remove, run-now, migrate."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.options import Group, json_option, queue_option
from oxcart.cli.output import duration, local_time, say, say_json, say_table, say_wrapped, shorten, utc_time
from oxcart.language import tr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from oxcart.queue.producer import Queue
    from oxcart.queue.repeats import Repeat
    from oxcart.queue.schedules import Schedule

schedules = Group(name="schedules", help="Look at recurring jobs, and change them.")

_id_argument = click.argument("schedule_id", metavar="ID")


@schedules.command("list")
@queue_option
@json_option
def list_schedules(queue: str | None, as_json: bool) -> None:
    """Show recurring jobs. The next one comes first; without --queue those of all queues that are served."""
    from oxcart.cli.session import run_async

    run_async(_list(queue, as_json))


@schedules.command("add")
@_id_argument
@click.option("--cron", metavar="PATTERN", help="Five fields, or six with seconds first; @hourly and its like.")
@click.option("--every", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="Or so often.")
@click.option("--tz", metavar="ZONE", help="The time zone of --cron; else UTC.")
@click.option("--name", metavar="NAME", help="The name of its jobs; else the id.")
@click.option("--data", metavar="JSON|@FILE|-", help="The data of its jobs; - reads stdin. Else {}.")
@click.option("--limit", metavar="N", type=click.IntRange(1), help="How many jobs it makes.")
@click.option("--attempts", metavar="N", type=click.IntRange(1), help="How often to try each.")
@queue_option
@json_option
def add_schedule(
    schedule_id: str,
    *,
    cron: str | None,
    every: float | None,
    tz: str | None,
    name: str | None,
    data: str | None,
    limit: int | None,
    attempts: int | None,
    queue: str | None,
    as_json: bool,
) -> None:
    """Create a recurring job, or replace the one of this id. The last line of stdout is the id of its next job."""
    from oxcart.cli.json_input import read_json
    from oxcart.cli.session import run_async
    from oxcart.queue.repeats import Repeat

    repeat = Repeat(cron=cron, every_seconds=every, tz=tz, limit=limit)
    value = {} if data is None else read_json("--data", data)
    run_async(_add(schedule_id, repeat, {"name": name, "data": value, "attempts": attempts}, queue, as_json))


@schedules.command("remove")
@_id_argument
@queue_option
@json_option
def remove_schedule(schedule_id: str, queue: str | None, as_json: bool) -> None:
    """Remove a recurring job. One that a running worker's app declares comes back with that worker."""
    from oxcart.cli.session import run_async

    run_async(_remove(schedule_id, queue, as_json))


@schedules.command("run-now")
@_id_argument
@queue_option
@json_option
def run_schedule_now(schedule_id: str, queue: str | None, as_json: bool) -> None:
    """Add one job of a recurring one now. Its own times stay as they are."""
    from oxcart.cli.session import run_async

    run_async(_run_now(schedule_id, queue, as_json))


@schedules.command("migrate")
@click.option("--dry-run", is_flag=True, help="Only say what would be done; change nothing.")
@queue_option
@json_option
def migrate_schedules(*, dry_run: bool, queue: str | None, as_json: bool) -> None:
    """Make job schedulers of what BullMQ before 5.26, or Bull, has set up.

    Times, data and options stay. What cannot be done is said, and the exit code is 1.
    """
    from oxcart.cli.session import run_async

    run_async(_migrate(queue, as_json, dry_run=dry_run))


@asynccontextmanager
async def _served(queue_name: str | None) -> AsyncIterator[list[Queue]]:
    """The queue of this name, else every queue that a worker with these settings serves."""
    from oxcart.cli.session import open_server, refuse_misspelt
    from oxcart.queue.producer import Queue
    from oxcart.queue.schedules import OWN_QUEUE

    async with open_server() as (planned, server), AsyncExitStack() as stack:
        worker = planned.settings.worker
        await refuse_misspelt(server, queue_name, worker.prefix)
        names = [queue_name] if queue_name else [*(share.name for share in worker.queues), OWN_QUEUE]
        queues = [Queue(name, prefix=worker.prefix, server=server) for name in dict.fromkeys(names)]
        yield [await stack.enter_async_context(queue) for queue in queues]


async def _list(queue_name: str | None, as_json: bool) -> None:
    async with _served(queue_name) as queues:
        found = [(queue.name, schedule) for queue in queues for schedule in await queue.schedules()]
    found.sort(key=lambda pair: pair[1].next_ms)
    if as_json:
        say_json([_as_json(name, schedule) for name, schedule in found])
    elif not found:
        say_wrapped(tr("There are no schedules."))
    else:
        rows = [
            (schedule.id, name, schedule.name, _when(schedule), _next(schedule), str(schedule.iterations))
            for name, schedule in found
        ]
        say_table(("ID", tr("QUEUE"), tr("JOB"), tr("WHEN"), tr("NEXT"), tr("RUNS")), rows)


async def _add(
    schedule_id: str, repeat: Repeat, template: dict[str, Any], queue_name: str | None, as_json: bool
) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name, may_be_new=True) as queue:
        job_id = await queue.upsert_schedule(schedule_id, repeat, **template)
        schedule = await queue.schedule(schedule_id)
    if as_json:
        say_json(
            {"queue": queue.name, "id": schedule_id, "nextId": job_id, "next": schedule and utc_time(schedule.next_ms)}
        )
    else:
        say(str(job_id))


async def _remove(schedule_id: str, queue_name: str | None, as_json: bool) -> None:
    async with _served(queue_name) as queues:
        for queue in queues:
            if await queue.remove_schedule(schedule_id):
                break
        else:
            raise _unknown(schedule_id, queue_name)
    if as_json:
        say_json({"queue": queue.name, "removed": schedule_id})
    else:
        say_wrapped(tr("Removed schedule {schedule_id} of {name}.", schedule_id=schedule_id, name=queue.name))


async def _run_now(schedule_id: str, queue_name: str | None, as_json: bool) -> None:
    async with _served(queue_name) as queues:
        for queue in queues:
            if any(schedule.id == schedule_id for schedule in await queue.schedules()):
                added = await queue.run_schedule_now(schedule_id)
                break
        else:
            raise _unknown(schedule_id, queue_name)
    if as_json:
        say_json({"queue": queue.name, "schedule": schedule_id, "id": added.id})
    else:
        say(added.id)


async def _migrate(queue_name: str | None, as_json: bool, *, dry_run: bool) -> None:
    async with _served(queue_name) as queues:
        done = [(queue.name, each) for queue in queues for each in await queue.migrate_schedules(dry_run=dry_run)]
    if as_json:
        told = [{"queue": name, "id": one.id, "newId": one.new_id, "problem": one.problem} for name, one in done]
        say_json({"dryRun": dry_run, "schedules": told})
    elif not done:
        say_wrapped(tr("All schedules are job schedulers with a template: nothing to do."))
    else:
        verb = tr("would become") if dry_run else tr("is now")
        for name, one in done:
            outcome = f"{verb} {one.new_id}" if one.problem is None else tr("stays: {problem}", problem=one.problem)
            say(f"{name}  {one.id}  {outcome}")
    if any(one.problem for _, one in done):
        raise SystemExit(FAILED)


def _unknown(schedule_id: str, queue_name: str | None) -> Refused:
    where = tr("queue {queue_name}", queue_name=queue_name) if queue_name else tr("the queues served")
    return Refused(
        tr(
            'There is no schedule "{schedule_id}" in {where}; `oxcart schedules list` shows those there are.',
            schedule_id=shorten(schedule_id, 80),
            where=where,
        ),
        FAILED,
    )


def _when(schedule: Schedule) -> str:
    if schedule.cron is not None:
        return f"{schedule.cron} {schedule.tz or 'UTC'}"
    return tr("every {every_ms}", every_ms=duration(schedule.every_ms)) if schedule.every_ms else ""


def _next(schedule: Schedule) -> str:
    return tr("never: its next job is gone") if schedule.is_dead else local_time(schedule.next_ms)


def _as_json(queue_name: str, schedule: Schedule) -> dict[str, Any]:
    return {
        "id": schedule.id,
        "queue": queue_name,
        "name": schedule.name,
        "cron": schedule.cron,
        "everyMs": schedule.every_ms,
        "tz": schedule.tz,
        "next": utc_time(schedule.next_ms),
        "runs": schedule.iterations,
        "limit": schedule.limit,
        "start": utc_time(schedule.start_ms),
        "end": utc_time(schedule.end_ms),
        "data": _json_or_text(schedule.data),
        "legacy": schedule.legacy,
        "template": schedule.has_template,
        "dead": schedule.is_dead,
    }


def _json_or_text(text: str) -> Any:
    from oxcart.errors import InvalidInput
    from oxcart.protocol.codec import decode

    try:
        return decode(text)
    except InvalidInput:
        return text
