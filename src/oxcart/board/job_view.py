"""What is shown of a job, in a list and alone? Also of one whose fields nobody can read."""

from __future__ import annotations

import asyncio
from typing import Any

from oxcart.board.core import Ask, Board
from oxcart.board.family import FamilyReader
from oxcart.board.rows import CutJob, read_job, read_jobs
from oxcart.board.timeline import timeline
from oxcart.errors import InvalidInput, JobNotFound
from oxcart.protocol import codec
from oxcart.protocol.job_options import JobOptions
from oxcart.queue import inspect
from oxcart.queue.channel import Channel

_LINES = 1000  # of a log


def text_of(text: str, size: int) -> dict[str, Any]:
    """A long text as both pages and /api understand it; `cut` where it is not whole."""
    return {"text": text, "bytes": size, "cut": size > len(text.encode("utf-8", "replace")) + 2}


def row_of(cut: CutJob, state: str, ask: Ask) -> dict[str, Any]:
    """A job as a line of a list."""
    job = cut.job
    return {
        "id": job.id,
        "name": job.name,
        "queue": job.queue_name,
        "state": state,
        "data": _field(cut, "data", ask),
        "result": _field(cut, "returnvalue", ask),
        "reason": ask.text(job.failed_reason),
        "progress": _progress(job.fields.get("progress")),
        "attemptsMade": job.attempts_made,
        "attemptsStarted": job.attempts_started,
        "stalled": job.stalled_count,
        "priority": job.priority,
        "addedOn": job.timestamp_ms or None,
        "dueOn": job.timestamp_ms + job.delay_ms if job.delay_ms else None,
        "processedOn": job.processed_on_ms,
        "finishedOn": job.finished_on_ms,
        "ranMs": _between(job.processed_on_ms, job.finished_on_ms),
        "processedBy": job.processed_by,
        "schedule": job.scheduler_id,
        "parent": job.parent_key,
        "isGone": not job.fields,
    }


async def job(board: Board, ask: Ask) -> dict[str, Any]:
    """Everything about one job. Raises JobNotFound."""
    name, job_id = ask.needed("queue"), ask.needed("id")
    channel = board.channel(name)
    cut = await read_job(channel, job_id)
    if cut is None:
        raise JobNotFound(f"There is no job {job_id[:80]} in queue {name}. It may have finished and been removed.")
    state, lines, count, events, family = await asyncio.gather(
        _state(channel, job_id),
        inspect.logs(channel, job_id, -_LINES, -1),
        channel.command("Counting log lines", "LLEN", channel.keys.logs(job_id)),
        timeline(channel, cut.job),
        FamilyReader(channel).read(job_id, cut.job.parent_key),
    )
    return {
        **row_of(cut, state, ask),
        "options": _field(cut, "opts", ask),
        "attempts": _options(cut).attempts or 1,
        "stacktraces": [ask.text(trace) for trace in cut.job.stacktrace] or _raw_traces(cut, ask),
        "logs": [ask.text(line) for line in lines],
        "logCount": count,
        "timeline": [{**event, "note": ask.text(event["note"])} for event in events],
        "family": None if family is None else family.as_json(),
        "deduplication": cut.job.deduplication_id,
        "now": board.now_ms,
    }


async def logs(board: Board, ask: Ask) -> dict[str, Any]:
    """A job's log from a line on."""
    channel, job_id = board.channel(ask.needed("queue")), ask.needed("id")
    start = ask.number("from", 0, 0, 2**31)
    found = await inspect.logs(channel, job_id, start, start + _LINES - 1)
    return {"queue": channel.keys.name, "id": job_id, "from": start, "lines": [ask.text(line) for line in found]}


async def raw(board: Board, ask: Ask) -> tuple[str, str]:
    """One field of a job in full, and its name."""
    channel, job_id, field = board.channel(ask.needed("queue")), ask.needed("id"), ask.needed("field")
    if field not in {"data", "opts", "returnvalue", "failedReason", "stacktrace", "progress"}:
        raise InvalidInput("A job has no such field; data, opts, returnvalue, failedReason and stacktrace can be read.")
    found = await channel.command("Reading a job", "HGET", channel.keys.job(job_id), field)
    if found is None:
        raise JobNotFound(f"Job {job_id[:80]} has no {field}. It may have been removed.")
    veil = ask.text if field in {"failedReason", "stacktrace"} else ask.json_text
    return await asyncio.to_thread(veil, inspect.text(found)), field


async def last_run(channel: Channel, schedule_id: str, next_ms: int, every_ms: int | None) -> dict[str, Any] | None:
    """The newest run of a schedule that is still known: BullMQ names each `repeat:<id>:<its time>`."""
    ids = [f"repeat:{schedule_id}:{next_ms - every_ms * back}" for back in range(3)] if every_ms else []
    if not ids:
        prefix = f"repeat:{schedule_id}:"
        newest = await channel.commands(
            "Reading the runs of a schedule",
            [("ZREVRANGE", key, 0, 199) for key in (channel.keys.completed, channel.keys.failed)],
        )
        named = [inspect.text(job_id) for reply in newest for job_id in reply]
        ids = sorted((each for each in named if each.startswith(prefix)), reverse=True)[:1]
    runs = [cut.job for cut in await read_jobs(channel, ids) if cut.job.processed_on_ms]
    if not runs:
        return None
    run = max(runs, key=lambda job: job.processed_on_ms or 0)
    state = "active" if run.finished_on_ms is None else "failed" if run.failed_reason else "completed"
    ran_ms = _between(run.processed_on_ms, run.finished_on_ms)
    return {"id": run.id, "state": state, "at": run.finished_on_ms or run.processed_on_ms, "ranMs": ran_ms}


def as_plain(value: Any) -> Any:
    """For /api: long texts that are whole JSON as their value, others as text."""
    if isinstance(value, dict):
        if set(value) == {"text", "bytes", "cut"}:
            return value["text"] if value["cut"] else _value(value["text"])
        return {name: as_plain(inner) for name, inner in value.items()}
    return [as_plain(inner) for inner in value] if isinstance(value, list) else value


def _value(text: str) -> Any:
    try:
        return codec.decode(text) if text else None
    except InvalidInput:
        return text


def _field(cut: CutJob, field: str, ask: Ask) -> dict[str, Any]:
    text = cut.job.fields.get(field, "")
    shown = ask.json_text(text)
    return {"text": shown, "bytes": cut.sizes.get(field, 0), "cut": cut.is_cut(field)}


def _options(cut: CutJob) -> JobOptions:
    try:
        return cut.job.options
    except InvalidInput:
        return JobOptions()


def _raw_traces(cut: CutJob, ask: Ask) -> list[str]:
    text = cut.job.fields.get("stacktrace", "")
    return [ask.text(text)] if text not in {"", "[]"} else []


def _progress(text: str | None) -> int | str | None:
    """A number from 0 to 100 where it is one, else its text."""
    if text in (None, "", "0"):
        return None
    try:
        value = codec.decode(text)
    except InvalidInput:
        return text[:100]
    is_share = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100
    return round(value) if is_share else text[:100]


def _between(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None or end < start else end - start


async def _state(channel: Channel, job_id: str) -> str:
    try:
        return await inspect.state_of(channel, job_id)
    except JobNotFound:
        return "unknown"  # its hash is there, but no list or set has it
