"""What does a worker process tell its supervisor? One JSON object a line, over a socket that both inherit.

The supervisor says nothing: that the socket is open tells the process that its supervisor lives.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import msgspec

from oxcart.telemetry import events
from oxcart.telemetry.events import Event, FinishedJob, JobsFinished
from oxcart.telemetry.metrics import Counts
from oxcart.worker.status import WorkerStatus

REPORT_SECONDS = 0.5
LONGEST_LINE_BYTES = 64 * 1024 * 1024  # a hundred job names, of whatever length their producer chose


class Report(msgspec.Struct, tag="report", frozen=True):
    """How the process is, and all that it has counted since it began."""

    status: WorkerStatus
    counts: Counts


class Noticed(msgspec.Struct, tag="event", frozen=True):
    """An event that the alerts want to know of."""

    name: str
    fields: dict[str, Any]


class JobsEnded(msgspec.Struct, tag="jobs", frozen=True):
    """What the alerts want to know of JobsFinished: how many, and the last of those that failed."""

    queue: str
    failed: int
    others: int
    last_id: str = ""
    last_name: str = ""


Message = Report | Noticed | JobsEnded

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """A line. A lone surrogate in a job's name, as Node writes it, becomes a question mark: it has no UTF-8."""
    try:
        return msgspec.json.encode(message) + b"\n"
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(message), ensure_ascii=False)
        return text.encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> Message:
    """Raises ValueError for what `encode` has not written."""
    return _decoder.decode(line)


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
        return msgspec.convert(message.fields, getattr(events, message.name))  # type: ignore[no-any-return]
    failed = FinishedJob(message.last_id, message.last_name, "failed", 0.0, 0.0, 1, None, None)
    other = FinishedJob("", "", "completed", 0.0, 0.0, 1, None, None)
    return JobsFinished(message.queue, [other] * message.others + [failed] * message.failed)
