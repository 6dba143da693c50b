"""How does an operator look at single jobs and change them? jobs list, show, retry, remove, promote, logs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.options import Group, confirm, json_option, queue_option, yes_option
from oxcart.cli.output import complain, say, say_json
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.queue.producer import Queue

jobs = Group(name="jobs", help="Look at single jobs, and change them.")

_id_argument = click.argument("job_id", metavar="ID")
_ids_argument = click.argument("job_ids", metavar="ID…", nargs=-1, required=True)


@jobs.command("list")
@click.option(
    "--state",
    metavar="STATE",
    default="failed",
    help="waiting, active, delayed, prioritized, waiting-children, completed, failed or paused.",
)
@click.option("--limit", metavar="N", type=click.IntRange(1), default=20, help="Show at most so many.")
@queue_option
@json_option
def list_jobs(state: str, limit: int, queue: str | None, as_json: bool) -> None:
    """Show jobs of one state. Finished ones come newest first, others in the order of their turn."""
    from oxcart.cli.session import run_async

    run_async(_list(state, limit, queue, as_json))


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


@jobs.command("retry")
@click.argument("job_ids", metavar="[ID…]", nargs=-1)
@click.option("--all", "all_failed", is_flag=True, help="Every failed job.")
@click.option("--reason", metavar="TEXT", help="Failed jobs whose reason contains this.")
@click.option("--limit", metavar="N", type=click.IntRange(1), help="At most so many, the oldest first.")
@click.option("--reset-attempts", is_flag=True, help="Give them all attempts again.")
@queue_option
@json_option
def retry_jobs(
    job_ids: tuple[str, ...],
    *,
    all_failed: bool,
    reason: str | None,
    limit: int | None,
    reset_attempts: bool,
    queue: str | None,
    as_json: bool,
) -> None:
    """Put failed jobs back to be run again."""
    from oxcart.cli.session import run_async

    by_choice = all_failed or reason is not None
    if bool(job_ids) == by_choice:
        raise Refused("Name the jobs to retry: either ids, or --all, or --reason TEXT.")
    if job_ids and limit is not None:
        raise Refused("--limit goes with --all or --reason; the ids given are the limit themselves.")
    if job_ids:
        run_async(_each(job_ids, "retried", lambda q, i: q.retry(i, reset_attempts=reset_attempts), queue, as_json))
    else:
        run_async(_retry_failed(reason, limit, reset_attempts, queue, as_json))


@jobs.command("remove")
@_ids_argument
@queue_option
@yes_option
@json_option
def remove_jobs(job_ids: tuple[str, ...], queue: str | None, yes: bool, as_json: bool) -> None:
    """Remove jobs, with the children that wait below them."""
    from oxcart.cli.session import run_async

    if len(job_ids) > 1:
        confirm(f"Remove {len(job_ids)} jobs?", yes=yes)
    run_async(_each(job_ids, "removed", lambda q, i: q.remove(i), queue, as_json))


@jobs.command("promote")
@_ids_argument
@queue_option
@json_option
def promote_jobs(job_ids: tuple[str, ...], queue: str | None, as_json: bool) -> None:
    """Let delayed jobs run now."""
    from oxcart.cli.session import run_async

    run_async(_each(job_ids, "promoted", lambda q, i: q.promote(i), queue, as_json))


@jobs.command("cancel")
@_ids_argument
@queue_option
@json_option
def cancel_jobs(job_ids: tuple[str, ...], queue: str | None, as_json: bool) -> None:
    """Stop running jobs: each ends as failed when its worker next renews its lock, within seconds."""
    from oxcart.cli.session import run_async

    run_async(_each(job_ids, "asked to cancel", lambda q, i: q.cancel(i), queue, as_json))


async def _list(state: str, limit: int, queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.job_view import job_summary, say_jobs
    from oxcart.cli.session import open_queue
    from oxcart.queue.inspect import check_state

    check_state(state)
    async with open_queue(queue_name) as queue:
        found = await queue.jobs(state, 0, limit - 1)
        numbers = await queue.counts()
    if as_json:
        say_json([job_summary(job, state) for job in found])
        return
    others = ", ".join(f"{number} {name}" for name, number in numbers.items() if number and name != state)
    if found:
        say_jobs(found, state)
        if numbers[state] > len(found):
            say(f"\n{len(found)} of {numbers[state]} {state} jobs; --limit shows more.")
    else:
        say(f"No {state} jobs in {queue.name}." + (f" There are {others}: see --state." if others else ""))


async def _show(job_id: str, queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.job_view import Details, job_details, say_details
    from oxcart.cli.session import open_queue
    from oxcart.errors import JobNotFound

    async with open_queue(queue_name) as queue:
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
        lines = await queue.logs(job_id)
        if not lines and await queue.get(job_id) is None:
            raise _unknown(job_id, queue)
    if as_json:
        say_json(lines)
        return
    for line in lines:
        say(harmless(line))


async def _each(
    job_ids: Sequence[str],
    done_word: str,
    change: Callable[[Queue, str], Awaitable[None]],
    queue_name: str | None,
    as_json: bool,
) -> None:
    """Change each job; one that cannot be is complained about and does not stop the others."""
    from oxcart.cli.session import open_queue
    from oxcart.errors import JobNotFound, StateConflict

    done: list[str] = []
    problems: list[str] = []
    async with open_queue(queue_name) as queue:
        for job_id in dict.fromkeys(job_ids):
            try:
                await change(queue, job_id)
            except (JobNotFound, StateConflict) as error:
                problems.append(harmless(str(error)))
                complain(problems[-1])
            else:
                done.append(job_id)
    if as_json:
        say_json({"queue": queue.name, done_word: done, "problems": problems})
    else:
        for job_id in done:
            say(f"{done_word} {job_id}")
    if problems:
        raise click.exceptions.Exit(FAILED)


async def _retry_failed(
    reason: str | None, limit: int | None, reset_attempts: bool, queue_name: str | None, as_json: bool
) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name) as queue:
        retried = await queue.retry_failed(reason=reason, limit=limit, reset_attempts=reset_attempts)
    if as_json:
        say_json({"queue": queue.name, "retried": retried, "problems": []})
    else:
        which = "" if reason is None else f' whose reason contains "{harmless(reason)}"'
        say(f"Retried {len(retried)} failed jobs of {queue.name}{which}.")


def _unknown(job_id: str, queue: Queue) -> Refused:
    return Refused(
        f"There is no job {harmless(job_id)[:80]} in queue {queue.name}: look at its id and --queue; it may have "
        "finished and been removed.",
        FAILED,
    )
