"""How does an operator change jobs, one or many? jobs retry, remove, promote, cancel, edit, move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.filters import complete_state, filter_options, progress, whole_ids
from oxcart.cli.jobs import jobs
from oxcart.cli.options import confirm, json_option, queue_option, yes_option
from oxcart.cli.output import complain, say, say_json, say_wrapped
from oxcart.language import tr
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.queue.producer import Queue
    from oxcart.queue.search import Filter

Change = Callable[["Queue", str], Awaitable[None]]

_MOST_TOLD = 20
WORDS = ("retried", "removed", "promoted", "asked to cancel", "moved")

_ids_argument = click.argument("job_ids", metavar="[ID…]", nargs=-1)
_all_option = click.option("--all", "every", is_flag=True, help="Every job of the state.")
_limit_option = click.option("--limit", metavar="N", type=click.IntRange(1), help="At most so many, the oldest first.")
_dry_run_option = click.option("--dry-run", is_flag=True, help="Only say which jobs are meant; change nothing.")


def _state_option(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--state",
        metavar="STATE",
        default=default,
        show_default=True,
        shell_complete=complete_state,
        help="The state of the jobs that are meant by --all, --name and so on.",
    )


@dataclass(frozen=True, slots=True)
class Meant:
    """Jobs by their ids, or all of a state that are so. `word` is what was done to them, and the JSON's field."""

    action: str
    word: str
    job_ids: tuple[str, ...]
    state: str
    wanted: Filter
    every: bool = False
    limit: int | None = None
    dry_run: bool = False


@jobs.command("retry")
@_ids_argument
@_all_option
@_limit_option
@click.option("--reset-attempts", is_flag=True, help="Give them all attempts again.")
@filter_options
@_dry_run_option
@queue_option
@json_option
def retry_jobs(
    *,
    job_ids: tuple[str, ...],
    every: bool,
    limit: int | None,
    reset_attempts: bool,
    wanted: Filter,
    dry_run: bool,
    queue: str | None,
    as_json: bool,
) -> None:
    """Put failed jobs back to be run again: those named, or those that are so."""
    meant = Meant("retry", "retried", job_ids, "failed", wanted, every=every, limit=limit, dry_run=dry_run)
    _run(meant, lambda on, job_id: on.retry(job_id, reset_attempts=reset_attempts), queue, as_json=as_json)


@jobs.command("remove")
@_ids_argument
@_state_option("failed")
@_all_option
@_limit_option
@filter_options
@_dry_run_option
@queue_option
@yes_option
@json_option
def remove_jobs(
    *,
    job_ids: tuple[str, ...],
    state: str,
    every: bool,
    limit: int | None,
    wanted: Filter,
    dry_run: bool,
    queue: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove jobs, with the children that wait below them: those named, or those that are so."""
    meant = Meant("remove", "removed", job_ids, state, wanted, every=every, limit=limit, dry_run=dry_run)
    _run(meant, lambda on, job_id: on.remove(job_id), queue, as_json=as_json, ask=not yes)


@jobs.command("promote")
@_ids_argument
@_all_option
@_limit_option
@filter_options
@_dry_run_option
@queue_option
@json_option
def promote_jobs(
    *,
    job_ids: tuple[str, ...],
    every: bool,
    limit: int | None,
    wanted: Filter,
    dry_run: bool,
    queue: str | None,
    as_json: bool,
) -> None:
    """Let delayed jobs run now: those named, or those that are so."""
    meant = Meant("promote", "promoted", job_ids, "delayed", wanted, every=every, limit=limit, dry_run=dry_run)
    _run(meant, lambda on, job_id: on.promote(job_id), queue, as_json=as_json)


@jobs.command("cancel")
@_ids_argument
@click.option("--because", metavar="TEXT", help="Why: it fails with `cancelled on request: TEXT`.")
@click.option("--retry", is_flag=True, help="Try it again, if it has attempts left.")
@_all_option
@filter_options
@_dry_run_option
@queue_option
@json_option
def cancel_jobs(
    *,
    job_ids: tuple[str, ...],
    because: str | None,
    retry: bool,
    every: bool,
    wanted: Filter,
    dry_run: bool,
    queue: str | None,
    as_json: bool,
) -> None:
    """Stop running jobs: each ends as failed when its worker next renews its lock, within seconds."""
    meant = Meant("cancel", "asked to cancel", job_ids, "active", wanted, every=every, dry_run=dry_run)
    _run(meant, lambda on, job_id: on.cancel(job_id, reason=because, retry=retry), queue, as_json=as_json)


@jobs.command("move")
@_ids_argument
@click.option("--to", "target", metavar="QUEUE", required=True, help="The queue that gets them.")
@_state_option("failed")
@_all_option
@_limit_option
@filter_options
@_dry_run_option
@queue_option
@json_option
def move_jobs(
    *,
    job_ids: tuple[str, ...],
    target: str,
    state: str,
    every: bool,
    limit: int | None,
    wanted: Filter,
    dry_run: bool,
    queue: str | None,
    as_json: bool,
) -> None:
    """Take jobs to another queue, with their ids, data and options. Their attempts begin anew."""
    from oxcart.queue.editing import move
    from oxcart.queue.producer import Queue

    meant = Meant(f"move to {target}", "moved", job_ids, state, wanted, every=every, limit=limit, dry_run=dry_run)

    async def change(on: Queue, job_id: str) -> None:
        async with Queue(target, prefix=on.keys.prefix, server=on.channel.server) as other:
            await move(on.channel, other.channel, job_id)

    _run(meant, change, queue, as_json=as_json)


@jobs.command("edit")
@click.argument("job_id", metavar="ID")
@click.option("--data", metavar="JSON|@FILE", help="Its new data; @FILE reads a file, @- stdin.")
@click.option("--priority", metavar="N", type=click.IntRange(0, 2_097_151), help="1 is the highest; 0 is none.")
@click.option("--delay", metavar="SECONDS", type=click.FloatRange(0), help="Of a delayed job: due so long from now.")
@queue_option
@json_option
def edit_job(
    *, job_id: str, data: str | None, priority: int | None, delay: float | None, queue: str | None, as_json: bool
) -> None:
    """Change the data, the priority or the time of a job that does not run. A failed one is retried afterwards."""
    from oxcart.cli.session import run_async

    if data is None and priority is None and delay is None:
        raise Refused(tr("Say what to change: --data, --priority or --delay."))
    given: dict[str, Any] = {"priority": priority, "delay_ms": None if delay is None else round(delay * 1000)}
    if data is not None:
        from oxcart.cli.json_input import read_json

        given |= {"data": read_json("--data", data), "has_data": True}
    run_async(_edit(job_id, given, queue, as_json))


async def _edit(job_id: str, given: dict[str, Any], queue_name: str | None, as_json: bool) -> None:
    from oxcart.cli.session import open_queue
    from oxcart.queue.editing import edit
    from oxcart.queue.search import audit

    async with open_queue(queue_name) as queue:
        [job_id] = await whole_ids(queue.channel, (job_id,))
        await edit(queue.channel, job_id, **given)
        await audit(queue.channel, "edit", job_id, 1)
    if as_json:
        say_json({"queue": queue.name, "edited": [job_id], "problems": []})
    else:
        say_wrapped(tr("edited {job}", job=job_id))


# ------------------------------------------------------------------------------------------------ one way for all
def _run(meant: Meant, change: Change, queue: str | None, *, as_json: bool, ask: bool = False) -> None:
    from oxcart.cli.session import run_async
    from oxcart.queue.inspect import check_state

    check_state(meant.state)
    by_choice = meant.every or not meant.wanted.is_empty
    if bool(meant.job_ids) == by_choice:
        raise Refused(
            tr(
                "Name the jobs to {action}: either ids, or --all, or what they are like: --reason TEXT, --name NAME.",
                action=meant.action,
            )
        )
    if meant.job_ids and meant.limit is not None:
        raise Refused(tr("--limit goes with --all or --reason; the ids given are the limit themselves."))
    run_async(_change(meant, change, queue, as_json=as_json, ask=ask))


async def _change(meant: Meant, change: Change, queue_name: str | None, *, as_json: bool, ask: bool) -> None:
    """Change each job; one that cannot be is complained about and does not stop the others."""
    from oxcart.cli.session import open_queue
    from oxcart.queue.search import audit, change_each

    async with open_queue(queue_name) as queue:
        ids = await whole_ids(queue.channel, meant.job_ids) if meant.job_ids else await _find(queue, meant)
        if meant.dry_run:
            _tell_meant(queue.name, ids, as_json)
            return
        if ask and (len(ids) > 1 or (ids and not meant.job_ids)):
            confirm(tr("Remove {count} jobs?", count=len(ids)), yes=False)
        changed = await change_each(ids, partial(change, queue), progress=progress())
        if not meant.job_ids or len(ids) > 1:
            which = f"--state {meant.state} {meant.wanted}".strip() if not meant.job_ids else " ".join(ids[:10])
            await audit(queue.channel, meant.action, which, len(changed.done))
    problems = [harmless(problem) for problem in changed.problems] if meant.job_ids else []
    for problem in problems:
        complain(problem)
    if as_json:
        say_json({"queue": queue.name, meant.word: changed.done, "problems": problems})
    elif meant.job_ids:
        for job_id in changed.done:
            say(f"{tr(meant.word)} {job_id}")
    else:
        say_wrapped(
            tr(
                "{done} {count} {state} jobs of {queue}.",
                done=tr(meant.word).capitalize(),
                count=len(changed.done),
                state=meant.state,
                queue=queue.name,
            )
        )
    if problems:
        raise click.exceptions.Exit(FAILED)


async def _find(queue: Queue, meant: Meant) -> list[str]:
    from oxcart.queue.search import search

    ids: list[str] = []
    async for found in search(queue.channel, meant.state, meant.wanted, oldest_first=True, progress=progress()):
        ids += [job.id for job in found]
        if meant.limit is not None and len(ids) >= meant.limit:
            break
    return ids[: meant.limit]


def _tell_meant(queue: str, ids: list[str], as_json: bool) -> None:
    if as_json:
        say_json({"queue": queue, "dryRun": True, "jobs": ids})
        return
    say_wrapped(tr("{count} jobs of {queue} are meant; nothing was changed.", count=len(ids), queue=queue))
    for job_id in ids[:_MOST_TOLD]:
        say(job_id)
    if len(ids) > _MOST_TOLD:
        say_wrapped(tr("and {count} more", count=len(ids) - _MOST_TOLD))
