"""How does a person read the log of a worker that writes JSON? `log` takes it from a pipe."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import IO

import click

from oxcart.cli.exits import Refused
from oxcart.cli.output import is_terminal, say
from oxcart.language import tr
from oxcart.telemetry.lines import Level
from oxcart.telemetry.terminal import harmless

_LEVELS: tuple[Level, ...] = ("debug", "info", "warn", "error")
_TOLD_APART = frozenset({"timestamp", "level", "message", "event", "service"})


@click.command()
@click.option(
    "--level", metavar="LEVEL", type=click.Choice(_LEVELS), default="debug", show_default=True, help="At least."
)
@click.option("--job", "job_id", metavar="ID", help="Only lines about this job.")
@click.option("--event", metavar="NAME", help="Only lines of this event, or of those that begin so: job.")
def log(level: str, job_id: str | None, event: str | None) -> None:
    """Make the JSON lines of a worker's log readable: from stdin, as they come."""
    if sys.stdin is None or sys.stdin.isatty():
        raise Refused(tr("There is nothing to read: pipe a log into it, as in railway logs --json | oxcart log."))
    _read(sys.stdin.buffer, level, job_id, event)


def _read(lines: IO[bytes], level: str, job_id: str | None, event: str | None) -> None:
    from oxcart.telemetry.lines import Line
    from oxcart.telemetry.log_format import Redactor, human_format

    render = human_format(Redactor(), coloured=is_terminal())
    for raw in lines:
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        told = _parse(text)
        if told is None:
            if not (job_id or event):  # not ours, and perhaps the reason why we are asked
                say(harmless(text))
            continue
        shown: Level = next((each for each in _LEVELS if each == told.get("level")), "info")
        is_meant = _LEVELS.index(shown) >= _LEVELS.index(level)
        is_meant &= job_id is None or told.get("jobId") == job_id
        is_meant &= event is None or str(told.get("event", "")).startswith(event)
        if is_meant:
            fields = {name: value for name, value in told.items() if name not in _TOLD_APART}
            line = Line(shown, str(told.get("event", "")), str(told.get("message", "")), fields)
            say(render(line, _epoch(told.get("timestamp"))).decode(), end="", raw=True)


def _parse(text: str) -> dict[str, object] | None:
    """A line of ours, also as Railway's own JSON has it, with ours as its message; None for any other."""
    try:
        found = json.loads(text)
        inner = found.get("message") if isinstance(found, dict) else None
        if isinstance(inner, str) and inner.startswith("{"):
            found = json.loads(inner)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "message" in found else None


def _epoch(timestamp: object) -> float:
    try:
        return datetime.fromisoformat(str(timestamp)).timestamp()
    except ValueError:
        return 0.0
