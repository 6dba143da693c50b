"""What is broken in a queue, and what of it can be mended safely? Each mend is one small script; workers may go on.

A crash of Redis, a restored backup, a tool that deletes keys and versions 5 and 6 side by side leave queues in which
jobs wait for ever. What is sound is not touched: a second repair finds nothing that the first has mended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from oxcart.protocol.scripts import Argument, ours
from oxcart.queue import schedules
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import text
from oxcart.queue.mend_schedules import mend
from oxcart.queue.repair_search import MOST_KEYS, find_strangers, script_keys
from oxcart.shell import in_queue

RepairKind = Literal[
    "ghosts", "pause", "locks", "orphans", "deduplication", "lost", "search", "parents", "children", "strays",
    "stalled", "overdue", "schedules", "marker"
]  # fmt: skip

SHOWN_IDS = 100
BATCH = 1000
"""Ids that one script looks at: a few milliseconds of the server's time."""

QUICK_KEYS = 20_000

PARENTS = 20
"""Parents whose children one script looks at, up to a thousand each."""

OVERDUE_MS = 10_000
"""An idle worker looks at `delayed` at least every ten seconds."""

MARKER_PAUSE_SECONDS = 0.2
"""A worker that has just taken the marker claims at once; only what is missing twice is missing."""

_STATES = ("wait", "paused", "active", "delayed", "prioritized", "waiting-children", "completed", "failed")


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was wrong. `found` and `done` are a sentence each; `job_ids` are the first 100 of `count` jobs.

    `mended` is false in a dry run, and for what is only reported or needs a second pass.
    """

    kind: RepairKind
    found: str
    done: str
    count: int
    job_ids: tuple[str, ...] = ()
    mended: bool = False

    def __str__(self) -> str:
        return f"{self.found} {self.done}"


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """How a repair goes about it. The stalled numbers are the workers' own settings."""

    dry_run: bool = False
    adopt_lost: bool = False
    max_stalled_count: int = 3
    stalled_interval_ms: int = 30_000
    most_keys: int = MOST_KEYS


@dataclass(slots=True)
class _Mender:
    """One repair of one queue, under way."""

    channel: Channel
    plan: RepairPlan
    now_ms: int

    async def run(self, script: str, *args: Argument, place: str | None = None, mend: bool = True) -> Any:
        doing = f"Repairing queue {self.channel.keys.name}"
        named = (*script_keys(self.channel.keys), *((place,) if place else ()))
        flag = "1" if mend and not self.plan.dry_run else "0"
        given = (self.channel.keys.base, flag, *args)
        return await self.channel.run(doing, ours(script), named, given, repeatable=True)

    async def walk(self, script: str, *args: Argument, place: str | None = None) -> list[str]:
        """Run a script over a whole list or set, a batch at a time; returns the ids that it found.

        What is added meanwhile is pushed before our place, so nothing is passed over; a queue that grows faster than
        we read it is left after twice its length.
        """
        found: list[str] = []
        start, end, limit = 0, 1, 0
        while start < end:
            length, ids = await self.run(script, start, BATCH, *args, place=place)
            found += [text(job_id) for job_id in ids]
            start += BATCH - (0 if self.plan.dry_run else len(ids))
            limit = limit or 2 * length + BATCH
            end = min(length, limit)
        return found

    async def judge(self, script: str, ids: list[bytes]) -> list[str]:
        """Run a script over ids that a search has found; returns those that it says are broken."""
        found: list[str] = []
        for at in range(0, len(ids), BATCH):
            found += [text(job_id) for job_id in await self.run(script, *ids[at : at + BATCH])]
        return found

    def told(self, kind: RepairKind, ids: list[str], found: str, *, did: str, would: str) -> Repair:
        done = f"A repair would {would}." if self.plan.dry_run else f"{did}."
        return Repair(kind, found, done, len(ids), tuple(ids[:SHOWN_IDS]), mended=not self.plan.dry_run)


async def repair(channel: Channel, plan: RepairPlan, now_ms: int) -> list[Repair]:
    """Find what is wrong in a queue and mend what can be mended safely, unless it is a dry run.

    Walks through every list and set of the queue in batches, and through all keys of the database up to a bound.
    Raises Unavailable or ServerRefused; what was mended until then stays mended.
    """
    mender = _Mender(channel, plan, now_ms)
    repairs: list[Repair] = []
    for step in (_ghosts, _pause, _strangers, _parents, _stalled, _overdue, _schedules, _marker):
        repairs += [found async for found in step(mender)]
    return repairs


async def find_broken(channel: Channel, now_ms: int) -> list[Repair]:
    """What a repair would find, of all that it does not take a walk through the whole queue to see. Changes nothing.

    Raises Unavailable, ServerRefused.
    """
    mender = _Mender(channel, RepairPlan(dry_run=True, most_keys=QUICK_KEYS), now_ms)
    found = [each for step in (_strangers, _parents, _schedules) async for each in step(mender)]
    return [each for each in found if each.kind != "search"]


async def _ghosts(mender: _Mender) -> AsyncIterator[Repair]:
    for state in _STATES:
        ids = await mender.walk("repair_ghosts", place=mender.channel.keys.state(state))
        if ids:
            found = f"`{state}` names {_jobs(len(ids))} whose data is gone."
            yield mender.told("ghosts", ids, found, did="Took those ids out", would="take those ids out")


async def _pause(mender: _Mender) -> AsyncIterator[Repair]:
    is_paused, moved = await mender.run("repair_pause")
    if not moved:
        return
    source, target = ("wait", "paused") if is_paused else ("paused", "wait")
    state = "paused" if is_paused else "not paused"
    done = f"A repair would move them to `{target}`." if mender.plan.dry_run else f"Moved them to `{target}`, in order."
    found = f"The queue is {state}, and `{source}` holds {_jobs(moved)} that would be left behind."
    yield Repair("pause", found, done, moved, mended=not mender.plan.dry_run)


async def _strangers(mender: _Mender) -> AsyncIterator[Repair]:
    """What no list or set leads to: locks that nobody has, and jobs that nobody will run."""
    channel = mender.channel
    search = await find_strangers(channel, mender.plan.most_keys)
    judged = {"repair_locks": search.locked, "repair_orphans": search.orphans}
    judged["repair_deduplication"] = search.deduplication
    found = {script: await mender.judge(script, named) for script, named in judged.items()}
    if locks := found["repair_locks"]:
        said = f"A lock that no worker holds is left on {_jobs(len(locks))}."
        yield mender.told("locks", locks, said, did="Removed those locks", would="remove those locks")
    if orphans := found["repair_orphans"]:
        said = f"Of {_jobs(len(orphans))} only the end is left, and nobody can add one of such an id."
        yield mender.told("orphans", orphans, said, did="Removed what was left", would="remove what is left")
    if freed := found["repair_deduplication"]:
        named_ids = f"{len(freed)} deduplication id{'' if len(freed) == 1 else 's'}"
        said = f"New jobs of {named_ids} are dropped: the job that has it is gone or finished, and will not free it."
        yield mender.told("deduplication", freed, said, did="Freed them", would="free them")

    lost: list[str] = []
    for at in range(0, len(search.unnamed), search.ids_per_call):
        ids = search.unnamed[at : at + search.ids_per_call]
        reply = await mender.run("repair_lost", mender.now_ms, *ids, mend=mender.plan.adopt_lost)
        lost += [text(job_id) for job_id in reply]
    if lost:
        yield _lost(mender, lost)
    if not search.is_complete:
        yield Repair(
            "search",
            f"Lost jobs and locks were looked for among {search.keys_seen} keys; the database has more.",
            "Nothing was changed; give the queue a Redis of its own to have all of it searched.",
            0,
        )


def _lost(mender: _Mender, lost: list[str]) -> Repair:
    found = f"No list or set names {_jobs(len(lost))} in the database: no worker will ever look there."
    if mender.plan.adopt_lost:
        return mender.told("lost", lost, found, did="Put them back", would="put them back")
    done = "Left as they are; --adopt-lost (adopt_lost=True) puts them back, look at them first."
    return Repair("lost", found, done, len(lost), tuple(lost[:SHOWN_IDS]))


async def _parents(mender: _Mender) -> AsyncIterator[Repair]:
    alone: list[str] = []
    bereft: list[str] = []
    start, end, limit = 0, 1, 0
    while start < end:
        length, left, ready, with_gone = await mender.run("repair_parents", start, PARENTS, mender.now_ms)
        alone += [text(job_id) for job_id in ready]
        bereft += [text(job_id) for job_id in with_gone]
        start += PARENTS - left
        limit = limit or 2 * length + BATCH
        end = min(length, limit)
    if alone:
        found = f"`waiting-children` holds {_jobs(len(alone))} without a child left to wait for."
        yield mender.told("parents", alone, found, did="Let them run", would="let them run")
    if bereft:
        found = f"`waiting-children` holds {_jobs(len(bereft))} that wait for children whose data is gone."
        did, would = "They wait for those no longer, and run when no other is left", "let them wait for the others only"
        yield mender.told("children", bereft, found, did=did, would=would)


async def _stalled(mender: _Mender) -> AsyncIterator[Repair]:
    unlocked, strays = ([text(job_id) for job_id in ids] for ids in await mender.run("repair_stalled"))
    if strays:
        found = f"`stalled` names {_jobs(len(strays))} no longer active."
        yield mender.told("strays", strays, found, did="Took those ids out", would="take those ids out")
    if not unlocked:
        return
    back = [] if mender.plan.dry_run else await _check_stalled(mender)
    if back:
        yield Repair(
            "stalled",
            f"`active` held {_jobs(len(back))} without a lock since an earlier check: the worker has vanished.",
            "Put back at the head of the queue, with one more stall counted.",
            len(back),
            tuple(back[:SHOWN_IDS]),
            mended=True,
        )
        unlocked = [job_id for job_id in unlocked if job_id not in set(back)]
    if unlocked:
        yield _unlocked(mender.plan, unlocked)


def _unlocked(plan: RepairPlan, ids: list[str]) -> Repair:
    """A lock may be missing for a moment only: its worker comes back and renews it. Hence two passes."""
    found = f"`active` holds {_jobs(len(ids))} without a lock: the worker has vanished, or is late with its renewal."
    if plan.dry_run:
        done = "A repair would run BullMQ's stalled check, which needs two passes."
    else:
        done = (
            "BullMQ's stalled check needs two passes: it has marked what is active, and puts back what still has no "
            f"lock at the next pass, by a worker or by a repair {plan.stalled_interval_ms / 1000:g} s from now."
        )
    return Repair("stalled", found, done, len(ids), tuple(ids[:SHOWN_IDS]))


async def _check_stalled(mender: _Mender) -> list[str]:
    """BullMQ's own check; does nothing, as for every worker, within the interval of another one's."""
    channel, keys, plan = mender.channel, mender.channel.keys, mender.plan
    named = (
        keys.stalled,
        keys.wait,
        keys.active,
        keys.stalled_check,
        keys.meta,
        keys.paused,
        keys.marker,
        keys.events,
        keys.repeat,
    )
    args = (plan.max_stalled_count, keys.base, mender.now_ms, plan.stalled_interval_ms)
    doing = f"Repairing queue {keys.name}"
    back, *_ = await channel.run(doing, ours("check_stalled"), named, args, repeatable=True)
    return [text(job_id) for job_id in back]


async def _overdue(mender: _Mender) -> AsyncIterator[Repair]:
    due = mender.now_ms - OVERDUE_MS
    total, batch = await mender.run("repair_overdue", due, BATCH)
    ids = [text(job_id) for job_id in batch]
    while not mender.plan.dry_run and len(batch) == BATCH:
        _, batch = await mender.run("repair_overdue", due, BATCH)
        ids += [text(job_id) for job_id in batch]
    if ids:
        count = max(total, len(ids))
        found = f"`delayed` holds {_jobs(count)} due for more than {OVERDUE_MS // 1000} s."
        told = mender.told("overdue", ids, found, did="Let them run", would="let them run")
        yield replace(told, count=count)


async def _schedules(mender: _Mender) -> AsyncIterator[Repair]:
    channel, plan = mender.channel, mender.plan
    dead = [schedule for schedule in await schedules.find_all(channel) if schedule.is_dead]
    mended: list[str] = []
    for schedule in dead:
        outcome = await mend(channel.link, channel.keys, schedule.id, mender.now_ms, dry_run=plan.dry_run)
        if outcome is not None and outcome.is_mended:
            mended.append(schedule.id)
    if mended:
        found = f"The next job of {_schedule_count(mended)} is gone, and no other would come."
        yield mender.told("schedules", mended, found, did="Set it anew", would="set it anew")
    left = [schedule.id for schedule in dead if schedule.id not in mended]
    if left:
        found = f"The next job of {_schedule_count(left)} is gone, and its data or its times cannot be found elsewhere."
        remove = f"oxcart schedules remove {in_queue(channel.keys.name, left[0])}"
        done = f"Nothing can be done here: remove it ({remove}), and make it again."
        yield Repair("schedules", found, done, len(left), tuple(left[:SHOWN_IDS]))


def _schedule_count(ids: list[str]) -> str:
    return f"{len(ids)} schedule{'' if len(ids) == 1 else 's'}"


async def _marker(mender: _Mender) -> AsyncIterator[Repair]:
    if not await mender.run("repair_marker", mend=False):
        return
    await asyncio.sleep(MARKER_PAUSE_SECONDS)
    claimable = await mender.run("repair_marker")
    if claimable:
        found = f"Idle workers are not told of {_jobs(claimable)} to be claimed: the marker is missing."
        done = "A repair would set it." if mender.plan.dry_run else "Set it."
        yield Repair("marker", found, done, claimable, mended=not mender.plan.dry_run)


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
