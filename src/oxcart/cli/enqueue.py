"""How does a person add a job? `enqueue NAME --data JSON`, and with --wait what came of it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from oxcart.cli.exits import FAILED, TIMED_OUT, Refused
from oxcart.cli.options import json_option, queue_option
from oxcart.cli.output import note, say, say_json
from oxcart.telemetry.terminal import harmless

if TYPE_CHECKING:
    from oxcart.queue.producer import AddedJob, Queue

_SHOWN_CHARACTERS = 100


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
    wait: float | None,
    as_json: bool,
) -> None:
    """Add a job. The last line of stdout is its id, or with --wait its return value.

    Exits 0 when it is stored (with --wait: when it has completed), 1 when it failed, 3 when it did not end in time.
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
    }
    value = {} if data is None else _parse(_read(data))
    given = {option: value for option, value in options.items() if value is not None}

    async def add(open_queue: Queue) -> AddedJob:
        return await open_queue.add(name, value, **given)

    run_async(_enqueue(queue, add, wait, as_json))


async def _enqueue(
    queue_name: str | None, add: Callable[[Queue], Awaitable[AddedJob]], wait: float | None, as_json: bool
) -> None:
    from oxcart.cli.session import open_queue

    async with open_queue(queue_name, may_be_new=True) as queue:
        added = await add(queue)
        answer = {"id": added.id, "name": added.name, "queue": queue.name}
        if not as_json:
            say(added.id)
        if wait is not None:
            answer |= await _wait(queue, added, wait, as_json)
        if as_json:
            say_json(answer)


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


def read_data(given: str) -> Any:
    """The value of JSON, @FILE or - for stdin. Raises Refused."""
    return _parse(_read(given))


def _read(given: str) -> str:
    if given != "-" and not given.startswith("@"):
        return given
    source = "stdin" if given == "-" else given[1:]
    try:
        content = sys.stdin.buffer.read() if given == "-" else Path(source).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise Refused(f"--data {given}: the file cannot be read ({error.strerror}). Look at its path.") from error
    except UnicodeDecodeError as error:
        raise Refused(f"--data {given}: {source} is not UTF-8 text; JSON always is.") from error


def _parse(text: str) -> Any:
    """Raises Refused, which shows where the JSON breaks."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise Refused(_where_it_breaks(text, error)) from error
    except RecursionError as error:
        raise Refused("--data: it is nested too deeply for a job. Flatten it.") from error
    except ValueError as error:
        raise Refused(f"--data: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON. Use null, or a text.")


def _where_it_breaks(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return '--data: it is empty. Give JSON such as \'{"name": "Ann"}\', or leave it out.'
    lines = text.split("\n")
    line = lines[error.lineno - 1]
    start = max(0, error.colno - 1 - _SHOWN_CHARACTERS // 2)
    shown = harmless(line[start : start + _SHOWN_CHARACTERS].replace("\t", " "))
    caret = " " * len(harmless(line[start : error.colno - 1].replace("\t", " "))) + "^"
    cure = "Write names and texts in double quotes, and the whole in single quotes for the shell."
    return f"--data is no JSON at line {error.lineno}, column {error.colno} ({error.msg}). {cure}\n  {shown}\n  {caret}"
