"""How do events and library messages become the log? `configure_logging` sets it up; the bus feeds its result."""

from __future__ import annotations

import atexit
import io
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Literal, TextIO

from oxcart import clock
from oxcart.secret import Secret
from oxcart.telemetry.events import Event, JobsFinished, JobsStarted
from oxcart.telemetry.in_hand import fields_of_job
from oxcart.telemetry.job_lines import JobLines
from oxcart.telemetry.lines import MAX_STACK, RULES, SEVERITY, Level, Line, Rule, clip, started_line
from oxcart.telemetry.log_format import Redactor, human_format, json_format
from oxcart.telemetry.log_writer import LineWriter

_STANDARD = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})

# Libraries whose info lines tell an operator nothing that our own events do not.
_CHATTY = ("aiohttp", "alembic", "asyncio", "pebble", "redis", "sqlalchemy", "urllib3", "uvicorn")


def configure_logging(
    *,
    level: str = "info",
    format: Literal["json", "human"] | None = None,  # noqa: A002 - the setting's own word
    stream: TextIO | None = None,
    service: str = "worker",
    secrets: Iterable[Secret] = (),
    coloured: bool = True,
    process: int | None = None,
    turns: int | None = None,
    clock: Callable[[], float] = clock.wall_seconds,
) -> EventLog:
    """Start the log of this process on `stream` (stdout), and route stdlib logging and warnings into it.

    Without `format`: human on a terminal, else JSON. `coloured` matters on a terminal only. Subscribe the result to
    the bus, and close it at the end; the end of the process closes it too. Commands that print an answer pass
    level="warn", stream=sys.stderr. Processes that share the stream pass their number, which each line then has, and
    `turns`: see LineWriter.
    """
    target = sys.stdout if stream is None else stream
    redact = Redactor()
    redact.hide(secrets)
    about = {} if process is None else {"process": process}
    terminal = target is not None and not target.closed and target.isatty()
    if format == "human" or (format is None and terminal):
        render = human_format(redact, coloured=coloured and terminal, about=about)
    else:
        render = json_format(service, redact, about)
    log = EventLog(target, render, redact, level=parse_level(level), clock=clock, turns=turns)
    log.attach_stdlib()
    return log


def parse_level(text: str) -> Level:
    """LOG_LEVEL as people write it: Node's and Python's names, any case. Raises ValueError for anything else."""
    name = text.strip().lower()
    names: dict[str, Level] = {"trace": "debug", "warning": "warn", "fatal": "error", "critical": "error"}
    if name in names:
        return names[name]
    for level in SEVERITY:
        if level == name:
            return level
    raise ValueError(f"The log level {text!r} is not known. Use debug, info, warn or error.")


class EventLog:
    """The subscriber that writes the log. Costs a dict look-up for events that its level leaves out."""

    def __init__(
        self,
        stream: TextIO | None,
        render: Callable[[Line, float], bytes],
        redact: Redactor,
        *,
        level: Level,
        clock: Callable[[], float],
        turns: int | None = None,
    ) -> None:
        self._render = render
        self._redact = redact
        self._clock = clock
        self._threshold = SEVERITY[level]
        self._stdlib: _RecordHandler | None = None
        self._writer = LineWriter(stream, self._flush_due, self._lost_line, turns=turns)
        self._jobs = JobLines(self._put, self._writer.wake, level, clock)
        self._subscribers = self._choose_subscribers()

    def __call__(self, event: Event) -> None:
        subscriber = self._subscribers.get(type(event))
        if subscriber is not None:
            subscriber(event)

    def hide(self, secrets: Iterable[Secret]) -> None:
        """Blank these out from now on as well: a secret that was read again from its file."""
        self._redact.hide(secrets)

    def write(self, line: Line) -> None:
        if SEVERITY[line.level] >= self._threshold:
            self._put(line, self._clock())

    def attach_stdlib(self) -> None:
        """Make this log the one handler of ours on the root logger; a log attached before is detached."""
        if self._stdlib is None:
            self._stdlib = _RecordHandler(self)
            self._stdlib.attach(self._threshold)
            atexit.register(self.close)

    def close(self) -> None:
        """Write the last summary and what waits, for one second at most, and let go of stdlib logging."""
        if self._stdlib is not None:
            self._stdlib.detach()
            self._stdlib = None
            atexit.unregister(self.close)
        self._jobs.flush()
        self._writer.close()

    def _choose_subscribers(self) -> dict[type, Callable[[Any], None]]:
        chosen: dict[type, Callable[[Any], None]] = {}
        for kind, rule in RULES.items():
            highest: Level = "error" if rule.error_if is not None else rule.level
            if SEVERITY[highest] >= self._threshold:
                chosen[kind] = self._subscriber_for(rule)
        chosen[JobsFinished] = self._jobs.finished
        if JobsStarted in chosen:
            chosen[JobsStarted] = self._started
        return chosen

    def _subscriber_for(self, rule: Rule) -> Callable[[Any], None]:
        if rule.per_job:
            return lambda event: self._jobs.other(rule, event)
        return lambda event: self.write(rule.line(event))

    def _started(self, event: JobsStarted) -> None:
        now = self._clock()
        for job_id, name in event.jobs:
            self._put(started_line(event.queue, job_id, name), now)

    def _put(self, line: Line, epoch_seconds: float) -> None:
        self._writer.put(self._render(line, epoch_seconds))

    def _flush_due(self) -> float | None:
        return self._jobs.flush_due()

    def _lost_line(self, number: int) -> bytes:
        message = f"{number} log lines were lost: whatever reads this log was stuck or away"
        return self._render(Line("warn", "log.lines_lost", message, {"lines": number}), self._clock())


class Printed(io.TextIOBase):
    """A stdout for handlers: each line that is printed becomes a line of the log, with its job."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._begun: dict[int, str] = {}

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        thread = threading.get_ident()
        *whole, begun = (self._begun.pop(thread, "") + text).split("\n")
        if begun:
            self._begun[thread] = begun[:MAX_STACK]
        for line in filter(str.strip, whole):
            self._log.write(Line("info", "log.printed", clip(line), fields_of_job()))
        return len(text)


class _RecordHandler(logging.Handler):
    """Writes stdlib log records, our own libraries' and the handlers', as lines of the same log."""

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log
        self._previous_level = logging.WARNING

    def attach(self, threshold: int) -> None:
        root = logging.getLogger()
        for handler in root.handlers[:]:
            if isinstance(handler, _RecordHandler):
                handler.detach()
        self._previous_level = root.level
        root.addHandler(self)
        root.setLevel(threshold)
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.captureWarnings(capture=True)

    def detach(self) -> None:
        root = logging.getLogger()
        if self in root.handlers:
            root.removeHandler(self)
            root.setLevel(self._previous_level)
            logging.captureWarnings(capture=False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.write(_line_of(record))
        except Exception:  # noqa: BLE001 - a library's broken log call is its bug, not the caller's
            self.handleError(record)


def _line_of(record: logging.LogRecord) -> Line:
    extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    shown: dict[str, Any] = {**{name: _kept(value) for name, value in extra.items()}, "logger": record.name}
    shown |= fields_of_job()
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        shown["error"] = clip(f"{type(error).__name__}: {error}")
        shown["stack"] = clip("".join(traceback.format_exception(error)), MAX_STACK)
    return Line(_level_of(record.levelno), "log.message", clip(record.getMessage()), shown)


def _kept(value: Any) -> Any:
    """What somebody gave as `extra`, in a form that JSON has, and cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return clip(value if isinstance(value, str) else repr(value))


def _level_of(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"
