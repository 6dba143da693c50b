"""What does a worker process tell its supervisor? One JSON object a line, over a socket that both inherit.

The supervisor passes on what an operator wants (worker/controls.py), one command a line, and mostly says nothing: that
the socket is open tells the process that its supervisor lives.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Any, get_args

import msgspec

from oxcart.telemetry.events import Event, FinishedJob, JobsFinished
from oxcart.telemetry.metrics import Counts
from oxcart.worker.status import WorkerStatus

REPORT_SECONDS = 0.5

# Whoever adds jobs chooses their names, ids and queues: a message is bounded by us, not by them.
LONGEST_NAME = 200  # of what a list or a table has many of
LONGEST_TEXT = 2000  # of all else, as the advice of a failure
MOST_ENTRIES = 10_000
LONGEST_LINE_BYTES = 16 * 1024 * 1024  # more than MOST_ENTRIES of LONGEST_NAME, whatever their letters

_Number = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Report(msgspec.Struct, tag="report", frozen=True):
    """How the process is, and all that it has counted since it began. `worker`: its name, as in a job's `pb`."""

    status: WorkerStatus
    counts: Counts
    worker: str = ""


class Noticed(msgspec.Struct, tag="event", frozen=True):
    """An event that the alerts want to know of."""

    name: str
    fields: dict[str, Any]


class JobsEnded(msgspec.Struct, tag="jobs", frozen=True):
    """What the alerts want to know of JobsFinished: how many, and the last of those that failed."""

    queue: str
    failed: _Number
    others: _Number
    last_id: str = ""
    last_name: str = ""


Message = Report | Noticed | JobsEnded

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
_events: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}


def encode(message: Message) -> bytes:
    """A line. A lone surrogate in a job's name, as Node writes it, becomes a question mark: it has no UTF-8."""
    told = _bounded(msgspec.to_builtins(message))
    try:
        return msgspec.json.encode(told) + b"\n"
    except UnicodeEncodeError:
        return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> Message:
    """Raises ValueError for what `encode` has not written."""
    try:
        message = _decoder.decode(line)
        if isinstance(message, Noticed):
            event_of(message)
    except (RecursionError, KeyError) as error:
        raise ValueError(f"Invalid value: {type(error).__name__}") from error
    return message


def _bounded(value: Any, longest: int = LONGEST_TEXT) -> Any:
    if isinstance(value, str):
        return _shortened(value, longest)
    if isinstance(value, dict):
        return {_shortened(name, LONGEST_NAME): _bounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(each, LONGEST_NAME) for each in value[:MOST_ENTRIES]]
    return value


def _shortened(text: str, longest: int) -> str:
    """Two texts that begin alike stay two."""
    if len(text) <= longest:
        return text
    mark = hashlib.blake2s(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{text[: longest - 9]}…{mark}"


class Lines:
    """Puts lines together from what arrives, piece by piece. One that is too long is left out, and counted."""

    def __init__(self) -> None:
        self.left_out = 0
        self._line: bytearray | None = bytearray()  # None: the rest of one that is too long

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends."""
        begun, *others = data.split(b"\n")
        self._add(begun)
        whole: list[bytes] = []
        for piece in others:
            if self._line is not None:
                whole.append(bytes(self._line))
            self._line = bytearray()
            self._add(piece)
        return whole

    def _add(self, piece: bytes) -> None:
        if self._line is None:
            return
        self._line += piece
        if len(self._line) > LONGEST_LINE_BYTES:
            self._line = None
            self.left_out += 1


def message_of(event: Event) -> Noticed | JobsEnded:
    if not isinstance(event, JobsFinished):
        return Noticed(type(event).__name__, asdict(event))
    failed = [job for job in event.jobs if job.verdict == "failed"]
    others = len(event.jobs) - len(failed)
    if not failed:
        return JobsEnded(event.queue, 0, others)
    return JobsEnded(event.queue, len(failed), others, failed[-1].job_id, failed[-1].name)


def event_of(message: Noticed | JobsEnded) -> Event:
    """The event again; of the jobs that ended, as many, without what told them apart."""
    if isinstance(message, Noticed):
        return msgspec.convert(message.fields, _events[message.name])
    failed = FinishedJob(message.last_id, message.last_name, "failed", 0.0, 0.0, 1, None, None)
    other = FinishedJob("", "", "completed", 0.0, 0.0, 1, None, None)
    return JobsFinished(message.queue, [other] * message.others + [failed] * message.failed)
