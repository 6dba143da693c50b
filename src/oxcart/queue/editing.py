"""How does an operator change one job, or take it to another queue? By BullMQ's own scripts, where it has one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oxcart.errors import InvalidInput, JobNotFound, StateConflict
from oxcart.language import tr
from oxcart.protocol import codec
from oxcart.protocol.scripts import upstream
from oxcart.queue import inspect, maintenance
from oxcart.queue.adding import NewJob, make_job_id
from oxcart.queue.channel import DEADLINE_SECONDS, Channel
from oxcart.queue.inspect import StoredJob
from oxcart.queue.sending import add_job

_DUE_FACTOR = 4096
_CLAIMS = {"parent", "de", "deduplication", "debounce", "repeat", "repeatJobKey", "prevMillis", "timestamp"}


async def edit(
    channel: Channel,
    job_id: str,
    *,
    data: Any = None,
    has_data: bool = False,
    priority: int | None = None,
    delay_ms: int | None = None,
) -> None:
    """Replace what is given. Raises JobNotFound; StateConflict for a job that runs or has completed, and for a delay
    of one that is not delayed.
    """
    keys = channel.keys
    doing = tr("Changing job {job_id} of queue {name}", job_id=job_id, name=keys.name)
    state = await inspect.state_of(channel, job_id)
    if state in {"active", "completed"}:
        raise StateConflict(
            tr("{doing}: it is {state}. Add another one instead: oxcart enqueue.", doing=doing, state=state)
        )
    if delay_ms is not None and state != "delayed":
        raise StateConflict(
            tr("{doing}: it is {state}, and only a delayed job has a time to change.", doing=doing, state=state)
        )
    if has_data:
        await _run(channel, doing, "updateData", (keys.job(job_id),), (codec.encode(data, f"{doing}: data"),))
    if priority is not None:
        named = (keys.wait, keys.paused, keys.meta, keys.prioritized, keys.active, keys.pc, keys.marker)
        await _run(channel, doing, "changePriority", named, (priority, keys.base, job_id, "0"))
        await channel.run_all(doing, [channel.follow_pause("LPUSH", [job_id])], repeatable=True)
    if delay_ms is not None:
        of_delay = (keys.delayed, keys.meta, keys.marker, keys.events)
        now_ms = channel.server.clock.now_ms()
        await _run(channel, doing, "changeDelay", of_delay, (delay_ms, now_ms, job_id, keys.job(job_id)))


async def _run(channel: Channel, doing: str, script: str, named: tuple[str, ...], args: tuple[Any, ...]) -> None:
    code = await channel.run(doing, upstream(script), named, args, repeatable=True)
    if code == -1:
        raise JobNotFound(tr("{doing}: it is not there any more.", doing=doing))
    if code == -3:
        raise StateConflict(tr("{doing}: it is not delayed any more.", doing=doing))


async def move(channel: Channel, target: Channel, job_id: str) -> str:
    """Add a job to another queue with its id, name, data and options, then remove it from this one; returns the new id.

    A number is not kept as an id: the other queue counts, too, and would take the job whose turn it is for this one.

    If that breaks off between the two, the job is in both queues, in neither never: move it again. Its attempts begin
    anew. Raises JobNotFound; StateConflict for one that runs, belongs to a flow or a schedule, or whose id the other
    queue has.
    """
    doing = tr(
        "Moving job {job_id} from queue {name} to {target}",
        job_id=job_id,
        name=channel.keys.name,
        target=target.keys.name,
    )
    job, state = await inspect.get(channel, job_id), await inspect.state_of(channel, job_id)
    if job is None:
        raise JobNotFound(tr("{doing}: it is not there. Look at its id and queue.", doing=doing))
    if state in {"active", "completed", "waiting-children"}:
        raise StateConflict(tr("{doing}: it is {state}.", doing=doing, state=state))
    if job.parent_key is not None or job.scheduler_id is not None:
        raise StateConflict(tr("{doing}: it belongs to a flow or a schedule of its queue.", doing=doing))
    new_id = f"moved-{channel.keys.name}-{job_id}" if job_id.isdecimal() else job_id
    present = await inspect.get(target, new_id)
    if present is not None and present.fields.get("data") != job.fields.get("data"):
        raise StateConflict(tr("{doing}: that queue has another job of this id.", doing=doing))
    if present is None:
        stored = await add_job(target, await _copy(channel, job, state, new_id), DEADLINE_SECONDS)
        if not stored.is_new:  # somebody has just added one
            raise StateConflict(tr("{doing}: that queue has another job of this id.", doing=doing))
    await maintenance.remove(channel, job_id, children=False)
    return new_id


async def duplicate(channel: Channel, job_id: str, *, data: Any = None) -> str:
    """Add one more job with the same name and options, to run now, and the same data unless some are given.

    Returns its id. Raises JobNotFound.
    """
    doing = tr("Duplicating job {job_id} of queue {name}", job_id=job_id, name=channel.keys.name)
    job = await inspect.get(channel, job_id)
    if job is None:
        raise JobNotFound(tr("{doing}: it is not there. Look at its id and queue.", doing=doing))
    new = await _copy(channel, replace(job, fields=_without_claims(job)), "waiting", make_job_id())
    if data is not None:
        text = codec.encode(data, f"{doing}: data")
        new = replace(new, data=text, size=len(text) + len(new.opts))
    return (await add_job(channel, new, DEADLINE_SECONDS)).id


async def _copy(channel: Channel, job: StoredJob, state: str, new_id: str) -> NewJob:
    """A delayed job keeps its time."""
    now_ms, delay_ms = channel.server.clock.now_ms(), 0
    doing = tr("Copying job {id} of queue {name}", id=job.id, name=channel.keys.name)
    if state == "delayed":
        due = await channel.command(doing, "ZSCORE", channel.keys.delayed, job.id)
        delay_ms = max(0, int(float(due or 0)) // _DUE_FACTOR - now_ms)
    options = replace(job.options, delay_ms=delay_ms, priority=job.priority, job_id=new_id)
    data, opts = job.fields.get("data", "{}").encode(), codec.encode(options.to_wire(), "options")
    return NewJob(new_id, job.name, data, opts, options, now_ms, len(data) + len(opts))


def _without_claims(job: StoredJob) -> dict[str, str]:
    """Its fields without the options by which others know it: a flow, a schedule, a deduplication."""
    try:
        opts = codec.decode(job.fields.get("opts", "{}"), "options")
    except InvalidInput:
        opts = {}
    kept = {name: value for name, value in opts.items() if name not in _CLAIMS} if isinstance(opts, dict) else {}
    return {**job.fields, "opts": codec.encode(kept, "options").decode()}
