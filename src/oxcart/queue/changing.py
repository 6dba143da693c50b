"""How does an operator change one job: its delay, its priority, its data, its queue? And how does it get a double?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oxcart.errors import InvalidInput, JobNotFound, StateConflict
from oxcart.protocol import codec
from oxcart.protocol.job_options import JobOptions, from_wire
from oxcart.protocol.scripts import ScriptCall, carefully, upstream
from oxcart.queue import inspect, maintenance
from oxcart.queue.adding import LARGEST_JOB_BYTES, NewJob, make_job_id
from oxcart.queue.channel import DEADLINE_SECONDS, Channel
from oxcart.queue.inspect import StoredJob
from oxcart.queue.sending import add_job

_HIGHEST_PRIORITY = 2**21  # BullMQ's own limit
_LONGEST_DELAY_MS = 2**41  # 70 years; the delayed set's scores have no room for more
_MOVABLE = frozenset({"waiting", "paused", "prioritized", "delayed", "completed", "failed"})
_OF_ONE_RUN = {"jobId", "repeat", "repeatJobKey", "prevMillis", "parent", "de", "deduplication", "debounce", "rjk"}
_OF_ONE_RUN |= {"delay", "timestamp"}


async def change_delay(channel: Channel, job_id: str, delay_ms: int) -> None:
    """A delayed job runs `delay_ms` from now. Raises JobNotFound, StateConflict (not delayed), InvalidInput."""
    keys = channel.keys
    doing = f"Changing the delay of job {job_id} of queue {keys.name}"
    if not 0 <= delay_ms < _LONGEST_DELAY_MS:
        raise InvalidInput(f"{doing}: a delay is a time from 0 to 70 years.")
    named = (keys.delayed, keys.meta, keys.marker, keys.events)
    args = (delay_ms, channel.server.clock.now_ms(), job_id, keys.job(job_id))
    code = await channel.run(doing, carefully("changeDelay"), named, args, repeatable=True)
    maintenance.check(doing, code, "delayed")


async def change_priority(channel: Channel, job_id: str, priority: int) -> None:
    """0 is none, 1 the highest. One that does not wait keeps it for its next turn. Raises JobNotFound, InvalidInput."""
    keys = channel.keys
    doing = f"Changing the priority of job {job_id} of queue {keys.name}"
    if not 0 <= priority <= _HIGHEST_PRIORITY:
        raise InvalidInput(f"{doing}: a priority is a whole number from 0 (none) to {_HIGHEST_PRIORITY}.")
    named = (keys.wait, keys.paused, keys.meta, keys.prioritized, keys.active, keys.pc, keys.marker)
    call = ScriptCall(carefully("changePriority"), named, (priority, keys.base, job_id, "0"))
    calls = [call] if priority else [call, channel.follow_pause("LPUSH", [job_id])]
    code, *_ = await channel.run_all(doing, calls)
    maintenance.check(doing, code)


async def change_data(channel: Channel, job_id: str, data: Any) -> None:
    """Replace a job's data; an attempt that runs keeps what it has read. Raises JobNotFound, InvalidInput."""
    doing = f"Changing the data of job {job_id} of queue {channel.keys.name}"
    text = codec.encode(data)
    if len(text) > LARGEST_JOB_BYTES:
        raise InvalidInput(f"{doing}: it takes {len(text)} bytes, {LARGEST_JOB_BYTES} are the limit.")
    code = await channel.run(doing, upstream("updateData"), (channel.keys.job(job_id),), (text,), repeatable=True)
    maintenance.check(doing, code)


async def duplicate(channel: Channel, job_id: str, *, data: Any = None) -> str:
    """Add one more job with the same name, options and data, or with `data`; returns its id. Raises JobNotFound."""
    doing = f"Duplicating job {job_id} of queue {channel.keys.name}"
    job = await _stored(channel, doing, job_id)
    return await add_job(channel, _double(channel, job, make_job_id(), data), DEADLINE_SECONDS)


async def move(channel: Channel, job_id: str, other: Channel) -> str:
    """Take a job that nobody runs to another queue; returns its id there.

    It is added there first, so that a fault between the two steps leaves it twice, and never not at all. Raises
    JobNotFound, StateConflict: it runs, it belongs to a flow or a schedule, or `other` has a job of that id.
    """
    doing = f"Moving job {job_id} of queue {channel.keys.name} to queue {other.keys.name}"
    if other.keys.base == channel.keys.base:
        raise InvalidInput(f"{doing}: it is there. Name another queue.")
    job, state = await _stored(channel, doing, job_id), await inspect.state_of(channel, job_id)
    if state not in _MOVABLE:
        raise StateConflict(f"{doing}: it is {state}. Wait until it has ended, or cancel it.")
    if job.parent_key or job.scheduler_id or await channel.command(doing, "EXISTS", channel.keys.processed(job_id)):
        raise StateConflict(f"{doing}: it belongs to a flow or a schedule, which would lose it. Duplicate it.")
    new_id = make_job_id() if job_id.isdecimal() else job_id  # a number is the next one of the other queue's own, too
    if await other.command(doing, "EXISTS", other.keys.job(new_id)):
        raise StateConflict(f"{doing}: that queue has a job of this id. Remove one of them.")
    new = _double(other, job, new_id, None)
    left_ms = job.timestamp_ms + job.delay_ms - channel.server.clock.now_ms() if state == "delayed" else 0
    if left_ms > 0:
        new = replace(new, options=replace(new.options, delay_ms=left_ms))
        new = replace(new, opts=codec.encode(new.options.to_wire(), "options"))
    await add_job(other, new, DEADLINE_SECONDS)
    await maintenance.remove(channel, job_id, children=False)
    return new_id


async def _stored(channel: Channel, doing: str, job_id: str) -> StoredJob:
    job = await inspect.get(channel, job_id)
    if job is None or "name" not in job.fields:
        raise JobNotFound(f"{doing}: it is not there. It may have been removed; look at its id and queue.")
    return job


def _double(channel: Channel, job: StoredJob, new_id: str, data: Any) -> NewJob:
    text = job.fields.get("data", "{}").encode() if data is None else codec.encode(data)
    options = _reusable(job)
    opts = codec.encode(options.to_wire(), "options")
    now, size = channel.server.clock.now_ms(), len(text) + len(opts)
    return NewJob(new_id, job.name, text, opts, options, now, size)


def _reusable(job: StoredJob) -> JobOptions:
    """The options without those that are about one run only; none if nobody can read them."""
    try:
        wire = codec.decode(job.fields.get("opts", "{}"), "options")
    except InvalidInput:
        wire = {}
    given: Mapping[str, Any] = wire if isinstance(wire, dict) else {}
    return from_wire({name: value for name, value in given.items() if name not in _OF_ONE_RUN})
