"""What is shown of a stored job, as a line, as a page and as JSON? Also of one whose fields nobody can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from oxcart.cli.output import duration, local_time, one_line, say, say_pairs, say_table, shorten, utc_time
from oxcart.errors import InvalidInput
from oxcart.protocol.codec import decode
from oxcart.queue.inspect import StoredJob
from oxcart.telemetry.terminal import harmless

_LINE_CHARACTERS = 60  # of data in a table or on one line


@dataclass(frozen=True, slots=True)
class Details:
    """A job with what is kept beside it. `children` are return values by the keys of finished children."""

    job: StoredJob
    state: str
    logs: list[str]
    children: dict[str, Any]


def job_summary(job: StoredJob, state: str) -> dict[str, Any]:
    """The JSON of one job in a list; BullMQ's names, times in ISO 8601, and what is no JSON as the raw text."""
    return {
        "id": job.id,
        "name": job.name,
        "queue": job.queue_name,
        "state": state,
        "data": _readable(lambda: job.data, job.fields.get("data")),
        "attemptsMade": job.attempts_made,
        "priority": job.priority,
        "delay": job.delay_ms,
        "progress": _readable(lambda: job.progress, job.fields.get("progress")),
        "timestamp": utc_time(job.timestamp_ms or None),
        "processedOn": utc_time(job.processed_on_ms),
        "finishedOn": utc_time(job.finished_on_ms),
        "failedReason": job.failed_reason,
        "returnvalue": _readable(lambda: job.returnvalue, job.fields.get("returnvalue")),
    }


def job_details(details: Details) -> dict[str, Any]:
    job = details.job
    return {
        **job_summary(job, details.state),
        "opts": _json_or_text(job.fields.get("opts", "{}")),
        "attemptsStarted": job.attempts_started,
        "stalledCounter": job.stalled_count,
        "processedBy": job.processed_by,
        "parentKey": job.parent_key,
        "repeatJobKey": job.scheduler_id,
        "deduplicationId": job.deduplication_id,
        "stacktrace": job.stacktrace,
        "logs": details.logs,
        "childrenValues": details.children,
    }


def say_jobs(jobs: Sequence[StoredJob], state: str) -> None:
    heading, describe = _LAST_COLUMN.get(state, ("DATA", _data_text))
    rows = [
        (
            job.id,
            job.name,
            local_time(job.timestamp_ms or None),
            str(job.attempts_made),
            shorten(describe(job), _LINE_CHARACTERS),
        )
        for job in jobs
    ]
    say_table(("ID", "NAME", "ADDED", "ATTEMPTS", heading), rows)


def say_details(details: Details) -> None:
    job = details.job
    ran_ms = (job.finished_on_ms or 0) - (job.processed_on_ms or 0)
    finished = local_time(job.finished_on_ms)
    say_pairs(
        [
            ("id", job.id),
            ("name", job.name),
            ("queue", job.queue_name),
            ("state", details.state),
            ("added", local_time(job.timestamp_ms or None)),
            ("delay", duration(job.delay_ms) if job.delay_ms else ""),
            ("started", local_time(job.processed_on_ms)),
            ("finished", f"{finished} after {duration(ran_ms)}" if finished and ran_ms >= 0 else finished),
            ("attempts", f"{job.attempts_made} made, {job.attempts_started} started"),
            ("lost workers", str(job.stalled_count or "")),
            ("priority", str(job.priority or "")),
            ("progress", _progress_text(job)),
            ("worker", job.processed_by or ""),
            ("parent", job.parent_key or ""),
            ("schedule", job.scheduler_id or ""),
            ("deduplication", job.deduplication_id or ""),
            ("failed with", job.failed_reason or ""),
        ]
    )
    _say_block("data", _pretty(job.fields.get("data", "{}")))
    _say_block("options", _pretty(job.fields.get("opts", "{}")))
    if "returnvalue" in job.fields:
        _say_block("return value", _pretty(job.fields["returnvalue"]))
    for number, trace in enumerate(job.stacktrace, 1):
        _say_block(f"stack trace of attempt {number}" if len(job.stacktrace) > 1 else "stack trace", trace)
    _say_block("log", "\n".join(details.logs))
    _say_block("children", "\n".join(f"{key}  {_compact(value)}" for key, value in details.children.items()))


def _say_block(heading: str, text: str) -> None:
    if text.strip():
        say(f"\n{heading}")
        for line in text.rstrip().splitlines():
            say(f"  {harmless(line)}")


def _data_text(job: StoredJob) -> str:
    return job.fields.get("data", "")


def _due_text(job: StoredJob) -> str:
    return local_time(job.timestamp_ms + job.delay_ms)


def _progress_text(job: StoredJob) -> str:
    return one_line(job.fields.get("progress", "")) if job.fields.get("progress") not in {None, "0"} else ""


_LAST_COLUMN: dict[str, tuple[str, Callable[[StoredJob], str]]] = {
    "failed": ("FAILED WITH", lambda job: job.failed_reason or ""),
    "completed": ("RETURN VALUE", lambda job: job.fields.get("returnvalue", "")),
    "delayed": ("DUE", _due_text),
    "active": ("PROGRESS", _progress_text),
}


def _readable(read: Callable[[], Any], raw: str | None) -> Any:
    try:
        return read()
    except InvalidInput:
        return raw


def _json_or_text(text: str) -> Any:
    try:
        return decode(text)
    except InvalidInput:
        return text


def _pretty(text: str) -> str:
    """Indented if it is JSON and does not fit on a line; else as it is."""
    if len(text) <= _LINE_CHARACTERS:
        return text
    try:
        return json.dumps(decode(text), indent=2, ensure_ascii=False)
    except InvalidInput:
        return text


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
