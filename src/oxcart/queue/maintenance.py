"""How does an operator change what is in a queue? By BullMQ's own scripts."""

from __future__ import annotations

from typing import Any

from oxcart.errors import InvalidInput, JobNotFound, OxcartError, StateConflict
from oxcart.language import tr
from oxcart.protocol.keys import HISTORY_HOURS
from oxcart.protocol.scripts import Command, ScriptCall, carefully, ours, upstream
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import check_state, get, state_of, text

_CLEANABLE = ("completed", "failed", "delayed", "prioritized", "waiting", "active", "paused")
_CLEAN_BATCH = 1000
_CANCELLATION_SECONDS = 3600  # a job of a worker that does not listen must not be cancelled another day
_LONGEST_REASON = 1000
_OBLITERATE_BATCH = 1000
_MISSING_JOB, _MISSING_LOCK, _OTHER_STATE, _LOCK_MISMATCH, _OWNED_BY_SCHEDULER = -1, -2, -3, -6, -8


async def remove(channel: Channel, job_id: str, *, children: bool) -> None:
    """Remove a job, and with `children` those below it. Raises JobNotFound, StateConflict (a worker holds it)."""
    keys = channel.keys
    doing = tr("Removing job {job_id} from queue {name}", job_id=job_id, name=keys.name)
    if not await _is_job(channel, doing, job_id):
        raise _not_found(doing)
    args = (job_id, 1 if children else 0, keys.base)
    code = await channel.run(doing, carefully("removeJob"), (keys.job(job_id), keys.repeat), args, repeatable=True)
    if code == 0:
        raise StateConflict(
            tr("{doing}: it, or one of its children, is being run. Wait for it, or cancel it.", doing=doing)
        )
    if code == _OWNED_BY_SCHEDULER:
        raise StateConflict(tr("{doing}: it is the next run of a schedule. Remove the schedule instead.", doing=doing))
    _check(doing, code)


async def _is_job(channel: Channel, doing: str, job_id: str) -> bool:
    """By what is there, or what is left of one: an id may look like any other key, and the script takes it away."""
    key = channel.keys.job(job_id)
    if text(await channel.command(doing, "TYPE", key)) != "hash":
        return False
    return any(await channel.command(doing, "HMGET", key, "timestamp", "failedReason", "returnvalue", "stacktrace"))


async def cancel(channel: Channel, job_id: str, *, reason: str | None, retry: bool) -> None:
    """Ask the worker that runs a job to stop its handler; it does so when it next renews the lock, within seconds.

    The job ends as failed, "cancelled on request"; with `retry` it is tried again, if it has attempts left. Only
    Oxcart's workers listen. Raises JobNotFound; StateConflict if it is not being run.
    """
    keys = channel.keys
    doing = tr("Cancelling job {job_id} of queue {name}", job_id=job_id, name=keys.name)
    state = await state_of(channel, job_id)
    if state != "active":
        raise StateConflict(
            tr(
                "{doing}: it is {state}, not being run. Remove it instead, if it shall not run.",
                doing=doing,
                state=state,
            )
        )
    how = f"{'retry' if retry else 'fail'}:{(reason or '')[:_LONGEST_REASON]}"
    commands: list[Command] = [
        ("SET", keys.cancellation(job_id), how, "EX", _CANCELLATION_SECONDS),
        ("SADD", keys.cancellations, job_id),
        ("EXPIRE", keys.cancellations, _CANCELLATION_SECONDS),
    ]
    await channel.commands(doing, commands if reason or retry else commands[1:])


async def retry(channel: Channel, job_id: str, state: str, *, reset_attempts: bool) -> None:
    """Put a failed or completed job back. Raises JobNotFound, StateConflict."""
    keys = channel.keys
    doing = tr("Retrying job {job_id} of queue {name}", job_id=job_id, name=keys.name)
    if state not in {"failed", "completed"}:
        raise InvalidInput(
            tr('{doing}: state "{state}" cannot be retried; failed and completed can.', doing=doing, state=state)
        )
    job = await get(channel, job_id)
    if job is None:
        raise _not_found(doing)
    try:
        lifo = job.options.lifo
    except InvalidInput:
        lifo = False  # options that nobody can read; the job itself must stay within reach
    push = "RPUSH" if lifo else "LPUSH"
    reset = "1" if reset_attempts else "0"
    named = (
        keys.job(job_id),
        keys.events,
        keys.state(state),
        keys.wait,
        keys.meta,
        keys.active,
        keys.marker,
        keys.prioritized,
        keys.pc,
    )
    result_field = "failedReason" if state == "failed" else "returnvalue"
    args = (job_id, push, result_field, state, reset, reset)
    calls = [ScriptCall(carefully("reprocessJob"), named, args), channel.follow_pause(push, [job_id])]
    code, _ = await channel.run_all(doing, calls)
    _check(doing, code, state)


async def promote(channel: Channel, job_id: str) -> None:
    """Let a delayed job run now. Raises JobNotFound, StateConflict."""
    keys = channel.keys
    doing = tr("Promoting job {job_id} of queue {name}", job_id=job_id, name=keys.name)
    if not await channel.command(doing, "EXISTS", keys.job(job_id)):
        raise _not_found(doing)
    named = (
        keys.delayed,
        keys.wait,
        keys.paused,
        keys.meta,
        keys.prioritized,
        keys.active,
        keys.pc,
        keys.events,
        keys.marker,
    )
    calls = [ScriptCall(carefully("promote"), named, (keys.base, job_id)), channel.follow_pause("LPUSH", [job_id])]
    code, _ = await channel.run_all(doing, calls)
    _check(doing, code, "delayed")


async def pause(channel: Channel) -> None:
    """Stop claiming in every worker, of any language; jobs already running go on."""
    await _switch(channel, f"Pausing queue {channel.keys.name}", "paused")


async def resume(channel: Channel) -> None:
    """Undo pause, whoever made it."""
    await _switch(channel, f"Resuming queue {channel.keys.name}", "resumed")


async def _switch(channel: Channel, doing: str, event: str) -> None:
    keys = channel.keys
    named = (keys.wait, keys.paused, keys.meta, keys.prioritized, keys.events, keys.delayed, keys.marker)
    await channel.run(doing, ours("pause"), named, (event, "1"), repeatable=True)


async def is_paused(channel: Channel) -> bool:
    doing = tr("Reading the state of queue {name}", name=channel.keys.name)
    return bool(await channel.command(doing, "HEXISTS", channel.keys.meta, "paused"))


async def drain(channel: Channel, *, delayed: bool) -> None:
    """Remove every job that waits; with `delayed` those too, but for the next runs of schedules."""
    keys = channel.keys
    named = (keys.wait, keys.paused, keys.delayed, keys.prioritized, keys.repeat)
    args = (keys.base, "1" if delayed else "0")
    await channel.run(f"Draining queue {keys.name}", upstream("drain"), named, args, repeatable=True)


async def clean(channel: Channel, state: str, now_ms: int, *, grace_seconds: float, limit: int) -> list[str]:
    """Remove jobs of a state that are older than `grace_seconds`, at most `limit` (0: all); returns their ids."""
    keys = channel.keys
    doing = tr("Cleaning the {state} jobs of queue {name}", state=state, name=keys.name)
    if check_state(state) not in _CLEANABLE:
        raise InvalidInput(
            tr("{doing}: that state cannot be cleaned; {cleanable} can.", doing=doing, cleanable=", ".join(_CLEANABLE))
        )
    if grace_seconds < 0 or limit < 0:
        raise InvalidInput(tr("{doing}: grace_seconds and limit are numbers from 0 on.", doing=doing))
    wire = "wait" if state == "waiting" else state
    in_a_list = wire in {"wait", "paused", "active"}  # whose ids the script writes over before it removes the jobs
    script = (carefully if in_a_list else upstream)("cleanJobsInSet")
    before = now_ms - int(grace_seconds * 1000)
    removed: list[str] = []
    while not limit or len(removed) < limit:
        batch = min(limit - len(removed), _CLEAN_BATCH) if limit else _CLEAN_BATCH
        named, args = (keys.state(state), keys.events, keys.repeat), (keys.base, before, batch, wire)
        ids = await channel.run(doing, script, named, args, repeatable=True)
        removed += [text(job_id) for job_id in ids]
        if len(ids) < batch:
            break
    return removed


async def obliterate(channel: Channel, *, force: bool) -> None:
    """Remove the queue and all its jobs. It must be paused; with `force` running jobs are removed too."""
    keys = channel.keys
    doing = tr("Obliterating queue {name}", name=keys.name)
    args = (_OBLITERATE_BATCH, "force" if force else "")
    left = 1
    while left == 1:
        left = await channel.run(doing, upstream("obliterate"), (keys.meta, keys.base), args, repeatable=True)
    if left == _MISSING_JOB:
        raise StateConflict(tr("{doing}: it is not paused. Pause it first.", doing=doing))
    if left == _MISSING_LOCK:
        raise StateConflict(tr("{doing}: jobs are running. Wait for them, or use force.", doing=doing))
    hour = channel.server.clock.now_ms() // 3_600_000
    histories = (keys.history(hour - back) for back in range(HISTORY_HOURS + 1))
    await channel.command(doing, "DEL", keys.cancellations, keys.unhandled, keys.deploy, keys.audit, *histories)


async def set_global_concurrency(channel: Channel, concurrency: int | None) -> None:
    """How many jobs of this queue run at once in all workers together; None: no limit."""
    await _set_meta(channel, f"Limiting queue {channel.keys.name}", {"concurrency": concurrency})


async def set_rate_limit(channel: Channel, limit: int | None, duration_seconds: float) -> None:
    """At most `limit` jobs per `duration_seconds` in all workers together; None: no limit."""
    duration = None if limit is None else round(duration_seconds * 1000)
    doing = tr("Limiting the rate of queue {name}", name=channel.keys.name)
    await _set_meta(channel, doing, {"max": limit, "duration": duration})


async def _set_meta(channel: Channel, doing: str, values: dict[str, int | None]) -> None:
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidInput(
                tr("{doing}: {name} is a whole number from 1 on; use None for no limit.", doing=doing, name=name)
            )
    if given:
        await channel.command(doing, "HSET", channel.keys.meta, *(part for pair in given.items() for part in pair))
    else:
        await channel.command(doing, "HDEL", channel.keys.meta, *values)


async def limits(channel: Channel) -> dict[str, int | None]:
    """`concurrency`, `max` and `duration` (milliseconds) as every worker reads them; None where there is no limit."""
    names = ("concurrency", "max", "duration")
    values = await channel.command(
        f"Reading the limits of queue {channel.keys.name}", "HMGET", channel.keys.meta, *names
    )
    return {name: int(value) if value is not None else None for name, value in zip(names, values, strict=True)}


async def rate_limit_ttl_ms(channel: Channel) -> int:
    """Milliseconds until the rate limit lets the next job through; 0 or below: now."""
    keys = channel.keys
    doing = tr("Reading the rate limit of queue {name}", name=keys.name)
    ttl: int = await channel.run(doing, upstream("getRateLimitTtl"), (keys.limiter, keys.meta), ("0",), repeatable=True)
    return ttl


async def trim_events(channel: Channel, keep: int) -> int:
    """Shorten the event stream to about `keep` entries; returns how many were removed."""
    doing = tr("Trimming the events of queue {name}", name=channel.keys.name)
    removed: int = await channel.command(doing, "XTRIM", channel.keys.events, "MAXLEN", "~", keep)
    return removed


def _not_found(doing: str) -> JobNotFound:
    return JobNotFound(tr("{doing}: it is not there. It may have been removed; look at its id and queue.", doing=doing))


def _check(doing: str, code: Any, state: str = "expected") -> None:
    """Raises the error for a negative answer of one of BullMQ's scripts."""
    if not isinstance(code, int) or code >= 0:
        return
    if code == _MISSING_JOB:
        raise _not_found(doing)
    if code in {_OTHER_STATE, _MISSING_LOCK, _LOCK_MISMATCH}:
        raise StateConflict(
            tr(
                "{doing}: it is not in state {state}. Look at its state; it may have moved on.",
                doing=doing,
                state=state,
            )
        )
    raise OxcartError(
        tr(
            "{doing}: the server answered code {code}, which this version does not know. Update oxcart.",
            doing=doing,
            code=code,
        )
    )
