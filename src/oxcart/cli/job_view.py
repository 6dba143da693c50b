"""What is shown of a stored job, as a line, as a page and as JSON? Also of one whose fields nobody can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from oxcart.cli.output import (
    ago,
    duration,
    is_terminal,
    local_time,
    one_line,
    say,
    say_pairs,
    say_table,
    shorten,
    terminal_width,
    utc_time,
)
from oxcart.errors import InvalidInput
from oxcart.language import tr
from oxcart.protocol.codec import decode
from oxcart.queue.inspect import StoredJob
from oxcart.telemetry.terminal import harmless

_LINE_CHARACTERS = 60  # of data in a table or on one line
_NAME_CHARACTERS, _NARROW_NAME_CHARACTERS = 40, 18  # of a job's name at a terminal
_ID_CHARACTERS, _ID_END = 12, 8  # a longer id is shown by its end where the terminal is not wide
_WIDE = 100


@dataclass(frozen=True, slots=True)
class Details:
    """A job with what is kept beside it. `children` are return values by the keys of finished children."""

    job: StoredJob
    state: str
    logs: list[str]
    children: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """A job in a list. `at_ms`: when it finished or is due, as the set that holds it says; None in other states."""

    job: StoredJob
    at_ms: int | None


def job_summary(listed: Listed, state: str) -> dict[str, Any]:
    """The JSON of one job in a list; BullMQ's names, times in ISO 8601, and what is no JSON as the raw text."""
    job = listed.job
    due = {"due": utc_time(listed.at_ms)} if state == "delayed" else {}
    return {
        **due,
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
        "processedBy": job.processed_by,
        "finishedOn": utc_time(job.finished_on_ms),
        "failedReason": job.failed_reason,
        "returnvalue": _readable(lambda: job.returnvalue, job.fields.get("returnvalue")),
    }


def job_details(details: Details) -> dict[str, Any]:
    job = details.job
    return {
        **job_summary(Listed(job, None), details.state),
        "opts": _json_or_text(job.fields.get("opts", "{}")),
        "attemptsStarted": job.attempts_started,
        "stalledCounter": job.stalled_count,
        "parentKey": job.parent_key,
        "repeatJobKey": job.scheduler_id,
        "deduplicationId": job.deduplication_id,
        "stacktrace": job.stacktrace,
        "logs": details.logs,
        "childrenValues": details.children,
    }


def say_jobs(jobs: Sequence[Listed], state: str) -> None:
    """What the state is about: why and when it failed, when it is due, who runs it since when.

    On a terminal times are relative, and ids that leave no room for the rest are shown by their ends, which commands
    take; in a pipe ids and times are whole.
    """
    when_heading, when, heading, describe = COLUMNS.get(state, WAITING)
    at_terminal = is_terminal()
    shown_at = ago if at_terminal else local_time
    ids = short_ids([listed.job.id for listed in jobs]) if at_terminal else [listed.job.id for listed in jobs]
    name_characters = _NAME_CHARACTERS if terminal_width() >= _WIDE else _NARROW_NAME_CHARACTERS
    rows = [
        (
            job_id,
            shorten(listed.job.name, name_characters) if at_terminal else listed.job.name,
            shown_at(when(listed)),
            str(listed.job.attempts_made),
            shorten(describe(listed.job), _LINE_CHARACTERS),
        )
        for job_id, listed in zip(ids, jobs, strict=True)
    ]
    say_table(("ID", tr("NAME"), tr(when_heading), tr("TRIES"), tr(heading)), rows)


def short_ids(ids: Sequence[str]) -> list[str]:
    """Long ids by their ends, all as long as the longest needs to be told from the others of this list."""
    if max(map(len, ids), default=0) <= _ID_CHARACTERS or terminal_width() >= _WIDE:
        return list(ids)
    length = next(size for size in range(_ID_END, 500) if len({job_id[-size:] for job_id in ids}) == len(set(ids)))
    return [job_id if len(job_id) <= length + 1 else f"…{job_id[-length:]}" for job_id in ids]


def say_details(details: Details) -> None:
    job = details.job
    ran_ms = (job.finished_on_ms or 0) - (job.processed_on_ms or 0)
    finished = local_time(job.finished_on_ms)
    say_pairs(
        [
            ("id", job.id),
            (tr("name"), job.name),
            (tr("queue"), job.queue_name),
            (tr("state"), details.state),
            (tr("added"), local_time(job.timestamp_ms or None)),
            (tr("delay"), duration(job.delay_ms) if job.delay_ms else ""),
            (tr("started"), local_time(job.processed_on_ms)),
            (
                tr("finished"),
                tr("{time} after {span}", time=finished, span=duration(ran_ms))
                if finished and ran_ms >= 0
                else finished,
            ),
            (
                tr("attempts"),
                tr("{made} made, {started} started", made=job.attempts_made, started=job.attempts_started),
            ),
            (tr("lost workers"), str(job.stalled_count or "")),
            (tr("priority"), str(job.priority or "")),
            (tr("progress"), _progress_text(job)),
            (tr("worker"), job.processed_by or ""),
            (tr("parent"), job.parent_key or ""),
            (tr("schedule"), job.scheduler_id or ""),
            (tr("deduplication"), job.deduplication_id or ""),
            (tr("failed with"), job.failed_reason or ""),
        ]
    )
    _say_block(tr("data"), _pretty(job.fields.get("data", "{}")))
    _say_block(tr("options"), _pretty(job.fields.get("opts", "{}")))
    if "returnvalue" in job.fields:
        _say_block(tr("return value"), _pretty(job.fields["returnvalue"]))
    for number, trace in enumerate(job.stacktrace, 1):
        several = len(job.stacktrace) > 1
        heading = tr("stack trace of attempt {number}", number=number) if several else tr("stack trace")
        _say_block(heading, trace)
    _say_block(tr("log"), "\n".join(details.logs))
    _say_block(tr("children"), "\n".join(f"{key}  {_compact(value)}" for key, value in details.children.items()))


def _say_block(heading: str, text: str) -> None:
    if text.strip():
        say(f"\n{heading}")
        for line in text.rstrip().splitlines():
            say(f"  {harmless(line)}")


def _data_text(job: StoredJob) -> str:
    return job.fields.get("data", "")


def _progress_text(job: StoredJob) -> str:
    return one_line(job.fields.get("progress", "")) if job.fields.get("progress") not in {None, "0"} else ""


def _running_text(job: StoredJob) -> str:
    progress = _progress_text(job)
    return " ".join(part for part in (job.processed_by or "", f"({progress})" if progress else "") if part)


# The heading and the time of a state, the heading and the text of the last column.
_Column: TypeAlias = tuple[str, Callable[[Listed], int | None], str, Callable[[StoredJob], str]]
WAITING: _Column = ("ADDED", lambda listed: listed.job.timestamp_ms or None, "DATA", _data_text)
COLUMNS: dict[str, _Column] = {
    "failed": (
        "FAILED",
        lambda listed: listed.at_ms or listed.job.finished_on_ms,
        "FAILED WITH",
        lambda job: job.failed_reason or "",
    ),
    "completed": (
        "FINISHED",
        lambda listed: listed.at_ms or listed.job.finished_on_ms,
        "RETURN VALUE",
        lambda job: job.fields.get("returnvalue", ""),
    ),
    "delayed": ("DUE", lambda listed: listed.at_ms, "DATA", _data_text),
    "active": ("SINCE", lambda listed: listed.job.processed_on_ms, "RUN BY", _running_text),
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
