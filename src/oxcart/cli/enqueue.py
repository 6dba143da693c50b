"""How does a person add a job? `enqueue NAME --data JSON`, and with --wait what came of it."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import click

from oxcart.cli.exits import FAILED, TIMED_OUT, Refused
from oxcart.cli.json_input import read_json
from oxcart.cli.options import json_option, queue_option
from oxcart.cli.output import note, say, say_json, shorten
from oxcart.shell import in_queue
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.queue.added_job import AddedJob
from oxcart.queue.producer import Queue


@click.command()
@click.argument("name")
@click.option("--data", metavar="JSON|@FILE|-", help="The job's data; - reads stdin. Else {}.")
@queue_option
@click.option("--delay", metavar="SECONDS", type=click.FloatRange(0), help="Run it so much later.")
@click.option(
    "--priority", metavar="N", type=click.IntRange(0), help="1 is the most urgent; without one it comes first."
)
@click.option("--attempts", metavar="N", type=click.IntRange(1), help="How often to try it.")
@click.option("--backoff", metavar="TEXT", help="How long to wait between attempts: fixed:30s, exponential:5s.")
@click.option("--job-id", metavar="ID", help="An id of your own; a job of this id is not added again.")
@click.option("--lifo", is_flag=True, help="Let it be the next one.")
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="How long it may run.")
@click.option("--keep", metavar="N|all|none", help="How many finished jobs stay, this one among them.")
@click.option("--dedup", metavar="ID", help="Jobs with the same deduplication id count as one, until it has ended.")
@click.option("--dedup-ttl", metavar="SECONDS", type=click.FloatRange(0, min_open=True), help="Or so long.")
@click.option("--parent", metavar="ID", help="The job that waits for this one.")
@click.option("--parent-queue", metavar="NAME", help="The queue of that job, if it is another one.")
@click.option(
    "--on-failure",
    metavar="WHAT",
    type=click.Choice(["fail_parent", "continue_parent", "ignore_dependency", "remove_dependency"]),
    help="What its failure does to its parent: fail_parent, continue_parent, ignore_dependency, remove_dependency.",
)
@click.option("--wait", metavar="SECONDS", type=float, help="Wait for its end, and print its return value as JSON.")
@json_option
def enqueue(
    name: str,
    *,
    data: str | None,
    queue: str | None,
    delay: float | None,
    priority: int | None,
    attempts: int | None,
    backoff: str | None,
    job_id: str | None,
    lifo: bool,
    timeout: float | None,
    keep: str | None,
    dedup: str | None,
    dedup_ttl: float | None,
    parent: str | None,
    parent_queue: str | None,
    on_failure: str | None,
    wait: float | None,
    as_json: bool,
) -> None:
    """Add a job. The last line of stdout is its id, or with --wait its return value.

    Exits 0 when it is stored (with --wait: when it has completed), 1 when it failed, 3 when it did not end in time. If
    nothing was added, as a job of this id exists, it says so, and in what state that is; an old value is not presented.
    """
    from oxcart.cli.session import run_async

    if wait is not None and not 0 < wait < math.inf:
        raise Refused(f"--wait {wait:g}: give a number of seconds above 0.")
    options: dict[str, Any] = {
        "delay_seconds": delay,
        "priority": priority,
        "attempts": attempts,
        "backoff": backoff,
        "job_id": job_id,
        "lifo": lifo or None,
        "timeout_seconds": timeout,
        "keep_completed": _kept(keep),
        "keep_failed": _kept(keep),
        "deduplication": _deduplication(dedup, dedup_ttl),
        "on_failure": on_failure,
    }
    value = {} if data is None else read_json("--data", data)
    given = {option: value for option, value in options.items() if value is not None}

    async def add(open_queue: Queue) -> AddedJob:
        above = {"parent": {"id": parent, "queue": parent_queue or open_queue.name}} if parent else {}
        return await open_queue.add(name, value, **given, **above)  # type: ignore[arg-type]

    run_async(_enqueue(queue, add, wait, as_json))


def _kept(given: str | None) -> bool | int | None:
    if given is None or given.isdecimal():
        return None if given is None else int(given)
    if given not in {"all", "none"}:
        raise Refused(f"--keep {given}: give a number of jobs, all or none.")
    return given == "all"


def _deduplication(dedup: str | None, ttl_seconds: float | None) -> dict[str, Any] | None:
    if dedup is None:
        if ttl_seconds is not None:
            raise Refused("--dedup-ttl needs --dedup ID: how long jobs of that id count as one.")
        return None
    return {"id": dedup} | ({} if ttl_seconds is None else {"ttl": round(ttl_seconds * 1000)})


async def _enqueue(
    queue_name: str | None,
    add: Callable[[Queue], Awaitable[AddedJob]],
    wait: float | None,
    as_json: bool,
) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name, may_be_new=True) as queue:
        added = await add(queue)
        answer: dict[str, Any] = {"id": added.id, "name": added.name, "queue": queue.name}
        if not added.is_new:
            answer |= {"added": False, "state": await _tell_existing(queue, added.id, wait)}
        if not as_json:
            say(added.id)
        if wait is not None and answer.get("state") in {"completed", "failed"}:
            if as_json:
                say_json(answer)
            raise SystemExit(FAILED)
        if wait is not None:
            answer |= await _wait(queue, added, wait, as_json)
        if as_json:
            say_json(answer)


async def _tell_existing(queue: Queue, job_id: str, wait: float | None) -> str:
    """Nothing was added; an old value must not be taken for what came of this."""
    from oxcart.errors import JobNotFound

    try:
        state = await queue.state(job_id)
    except JobNotFound:
        state = "unknown"
    shown = harmless(shorten(job_id, 80))
    has_ended = state in {"completed", "failed"}
    there = in_queue(queue.name, job_id)
    cure = f" Remove it (oxcart jobs remove {there}), or use another id, to have it run." if has_ended else ""
    waits = f" Its result is an old one, and is not shown: oxcart jobs show {there}" if has_ended and wait else ""
    note(f"Nothing was added: the job {shown} of {queue.name} exists, and is {state}.{cure}{waits}")
    return state


async def _wait(queue: Queue, added: AddedJob, seconds: float, as_json: bool) -> dict[str, Any]:
    from oxcart.errors import JobFailed, ResultGone, ResultTimeout

    try:
        result = await added.result(timeout_seconds=seconds)
    except JobFailed as failed:
        if as_json:
            say_json({"id": added.id, "name": added.name, "queue": queue.name, "failedReason": failed.failed_reason})
        raise Refused(harmless(str(failed)), FAILED) from failed
    except ResultTimeout as late:
        if as_json:
            say_json({"id": added.id, "name": added.name, "queue": queue.name})
        raise Refused(f"{late}{await _nobody_there(queue)}", TIMED_OUT) from late
    except ResultGone as gone:
        note(str(gone))
        return {}
    if not as_json:
        say(json.dumps(result, ensure_ascii=True))
    return {"returnvalue": result}


async def _nobody_there(queue: Queue) -> str:
    """The likeliest reason for a job that does not end; some servers do not say who is connected."""
    from oxcart.errors import OxcartError

    try:
        workers = await queue.workers()
    except OxcartError:
        return ""
    return "" if workers else f" No worker is connected to {queue.name}: start one with `oxcart run`."
