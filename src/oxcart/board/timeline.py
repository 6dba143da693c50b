"""What has happened to one job, and when? As far as its hash and the queue's event stream still know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from oxcart.queue.channel import Channel
from oxcart.queue.inspect import StoredJob, pairs, text

_SAME_MS = 50
_PAGE, _PAGES = 2000, 6  # of the stream, which keeps about 10 000 events
_ENDS = {"completed", "failed", "delayed", "stalled", "waiting", "waiting-children", "retries-exhausted"}
_TOLD = _ENDS | {"added", "active", "duplicated", "deduplicated", "removed", "progress"}


async def timeline(channel: Channel, job: StoredJob) -> list[dict[str, Any]]:
    """[{"what", "at", "ms", "note"}, …], the oldest first; `ms` is how long an attempt took, or a wait."""
    told = (await _of_stream(channel, job))[::-1]
    events = _added_to(told, _of_hash(job))
    return _with_spans(sorted(events, key=lambda event: event["at"]))


def _of_hash(job: StoredJob) -> Iterator[dict[str, Any]]:
    if job.timestamp_ms:
        yield {"what": "added", "at": job.timestamp_ms, "note": ""}
    if job.processed_on_ms:
        yield {"what": "active", "at": job.processed_on_ms, "note": job.processed_by or ""}
    if job.finished_on_ms:
        yield {"what": "failed" if job.failed_reason else "completed", "at": job.finished_on_ms, "note": ""}


async def _of_stream(channel: Channel, job: StoredJob) -> list[dict[str, Any]]:
    doing = f"Reading the events of job {job.id} in queue {channel.keys.name}"
    found: list[dict[str, Any]] = []
    newest = "+"
    for _ in range(_PAGES):
        oldest = max(0, job.timestamp_ms - 1000)
        entries = await channel.command(doing, "XREVRANGE", channel.keys.events, newest, oldest, "COUNT", _PAGE)
        found += _events(entries, job.id)
        if len(entries) < _PAGE:
            break
        newest = f"({text(entries[-1][0])}"
    return found


def _events(entries: Sequence[Any], job_id: str) -> Iterator[dict[str, Any]]:
    for entry_id, fields in entries:
        event = pairs(fields)
        if event.get("jobId") == job_id and event.get("event") in _TOLD - {"progress"}:
            at, _, _ = text(entry_id).partition("-")
            note = event.get("failedReason", "") if event["event"] == "failed" else ""
            yield {"what": event["event"], "at": int(at), "note": note[:400]}


def _added_to(told: Sequence[dict[str, Any]], known: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stream's events, and what only the hash knows: it tells of the same moment a few milliseconds apart."""
    events = [*told]
    for event in known:
        same = [other for other in told if other["what"] == event["what"] and abs(other["at"] - event["at"]) < _SAME_MS]
        if same:
            same[-1]["note"] = same[-1]["note"] or event["note"]
        else:
            events.append(event)
    return events


def _with_spans(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An end has the time since the start before it, a start the time since the job could have run."""
    started: int | None = None
    waiting_since: int | None = None
    attempt = 0
    for event in events:
        event["ms"], event["attempt"] = None, None
        if event["what"] == "active":
            attempt += 1
            event["attempt"] = attempt
            event["ms"] = None if waiting_since is None else event["at"] - waiting_since
            started, waiting_since = event["at"], None
        elif event["what"] in _ENDS and started is not None:
            event["ms"], event["attempt"] = event["at"] - started, attempt
            started, waiting_since = None, event["at"]
        else:
            waiting_since = event["at"]
    return events
