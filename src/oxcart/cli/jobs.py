"""How does an operator look at single jobs? jobs list, show, logs, reasons, audit; jobs_change.py changes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.filters import complete_state, filter_options, progress, whole_ids
from oxcart.cli.options import Group, json_option, queue_option
from oxcart.cli.output import ago, local_time, say, say_json, say_table, say_wrapped, shorten, utc_time
from oxcart.language import tr
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.queue.producer import Queue
    from oxcart.queue.search import Filter

jobs = Group(name="jobs", help="Look at single jobs, and change them.")

_id_argument = click.argument("job_id", metavar="ID")
_REASON_CHARACTERS = 200


@jobs.command("list")
@click.option(
    "--state",
    metavar="STATE",
    default="failed",
    show_default=True,
    shell_complete=complete_state,
    help="waiting, active, delayed, prioritized, waiting-children, completed, failed or paused.",
)
@click.option("--limit", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@filter_options
@queue_option
@json_option
def list_jobs(*, state: str, limit: int, wanted: Filter, queue: str | None, as_json: bool) -> None:
    """Show jobs of one state. Finished ones come newest first, others in the order of their turn."""
    from oxcart.cli.session import run_async
    from oxcart.queue.inspect import check_state

    run_async(_list(check_state(state), limit, wanted, queue, as_json=as_json))


@jobs.command("show")
@_id_argument
@queue_option
@json_option
def show_job(job_id: str, queue: str | None, as_json: bool) -> None:
    """Show everything about a job. Data, options, times, stack traces, log, children."""
    from oxcart.cli.session import run_async

    run_async(_show(job_id, queue, as_json))


@jobs.command("logs")
@_id_argument
@queue_option
@json_option
def show_logs(job_id: str, queue: str | None, as_json: bool) -> None:
    """Print what a job's handler has logged."""
    from oxcart.cli.session import run_async

    run_async(_logs(job_id, queue, as_json))


@jobs.command("reasons")
@filter_options
@queue_option
@json_option
def list_reasons(*, wanted: Filter, queue: str | None, as_json: bool) -> None:
    """Show why jobs failed, most frequent first. Reasons that differ only in numbers and ids are one."""
    from oxcart.cli.session import run_async

    run_async(_reasons(wanted, queue, as_json))


@jobs.command("audit")
@click.option("--limit", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@queue_option
@json_option
def show_audit(limit: int, queue: str | None, as_json: bool) -> None:
    """Show what was done to many jobs at once: who, what, which jobs, how many."""
    from oxcart.cli.session import run_async

    run_async(_audit(limit, queue, as_json))


async def _list(state: str, limit: int, wanted: Filter, queue_name: str | None, *, as_json: bool) -> None:
    from oxcart.cli.job_view import Listed, job_summary, say_jobs
    from oxcart.cli.session import open_queue
    from oxcart.queue.search import Found, search

    found: list[Found] = []
    async with open_queue(queue_name) as queue:
        async for run in search(queue.channel, state, wanted, progress=progress()):
            found += run
            if len(found) > limit:
                break
        stored = [(each, await queue.get(each.id)) for each in found[:limit]]
        numbers = await queue.counts()
    shown = [Listed(job, each.at_ms) for each, job in stored if job is not None]
    if as_json:
        say_json([job_summary(listed, state) for listed in shown])
        return
    if shown:
        say_jobs(shown, state)
        if wanted.is_empty and numbers[state] > len(shown):
            told = tr(
                "{shown} of {all} {state} jobs; --limit shows more.", shown=len(shown), all=numbers[state], state=state
            )
            say(f"\n{told}")
        elif len(found) > limit:
            say("\n" + tr("There are more; --limit shows them."))
        return
    others = ", ".join(f"{number} {name}" for name, number in numbers.items() if number and name != state)
    none = tr("No {state} jobs in {queue}.", state=state, queue=queue.name)
    if not wanted.is_empty:
        none = tr("No {state} jobs in {queue} that are so.", state=state, queue=queue.name)
    say(none + (" " + tr("There are {others}: see --state.", others=others) if others else ""))


async def _show(job_id: str, queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.job_view import Details, job_details, say_details
    from oxcart.cli.session import open_queue
    from oxcart.errors import JobNotFound

    async with open_queue(queue_name) as queue:
        [job_id] = await whole_ids(queue.channel, (job_id,))
        job = await queue.get(job_id)
        if job is None:
            raise _unknown(job_id, queue)
        try:
            state = await queue.state(job_id)
        except JobNotFound:
            state = "unknown"  # its hash is there, but no list or set has it
        details = Details(job, state, await queue.logs(job_id), await queue.children_values(job_id))
    if as_json:
        say_json(job_details(details))
    else:
        say_details(details)


async def _logs(job_id: str, queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name) as queue:
        [job_id] = await whole_ids(queue.channel, (job_id,))
        lines = await queue.logs(job_id)
        if not lines and await queue.get(job_id) is None:
            raise _unknown(job_id, queue)
    if as_json:
        say_json(lines)
        return
    for line in lines:
        say(harmless(line))


async def _reasons(wanted: Filter, queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.session import open_queue
    from oxcart.queue.search import reason_groups

    async with open_queue(queue_name) as queue:
        groups = await reason_groups(queue.channel, wanted, progress=progress())
    if as_json:
        say_json([{"reason": group.reason, "jobs": group.jobs, "example": group.example} for group in groups])
    elif groups:
        rows = [(str(group.jobs), group.example, shorten(group.reason, _REASON_CHARACTERS)) for group in groups]
        say_table((tr("JOBS"), tr("ONE OF THEM"), tr("FAILED WITH")), rows)
    else:
        say_wrapped(tr("No {state} jobs in {queue}.", state="failed", queue=queue.name))


async def _audit(limit: int, queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.output import is_terminal
    from oxcart.cli.session import open_queue
    from oxcart.queue.search import audit_lines

    async with open_queue(queue_name) as queue:
        lines = await audit_lines(queue.channel, limit)
    if as_json:
        say_json(
            [
                {
                    "at": utc_time(line.at_ms),
                    "who": line.who,
                    "what": line.what,
                    "filter": line.filter,
                    "jobs": line.jobs,
                }
                for line in lines
            ]
        )
        return
    if not lines:
        say_wrapped(tr("Nothing was done to many jobs of {queue} at once.", queue=queue.name))
        return
    shown = ago if is_terminal() else local_time
    rows = [(shown(line.at_ms), line.who, line.what, str(line.jobs), line.filter) for line in lines]
    say_table((tr("WHEN"), tr("WHO"), tr("WHAT"), tr("JOBS"), tr("WHICH")), rows)


def _unknown(job_id: str, queue: Queue) -> Refused:
    return Refused(
        tr(
            "There is no job {job} in queue {queue}: look at its id and --queue; it may have finished and been "
            "removed.",
            job=harmless(job_id)[:80],
            queue=queue.name,
        ),
        FAILED,
    )
