"""What is so in a queue right now, for conditions to judge? One script, of ten commands where nothing waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from oxcart.conditions import LATE_SCHEDULE_SECONDS, MANY_RETURNS, QueueFacts, Returning
from oxcart.names import short
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Requester, ours, run_script
from oxcart.queue.inspect import pairs, text, workers_in
from oxcart.queue.unhandled import unhandled_in

_STATES = ("waiting", "paused", "active", "prioritized", "delayed", "failed", "completed", "waiting-children")


async def read_facts(link: Requester, keys: QueueKeys, now_ms: int, *, before: QueueFacts | None = None) -> QueueFacts:
    """The facts of one queue, without those that only workers know.

    With `before` the schedules and the jobs that come back are taken from there, and not looked at: they change slowly.
    Raises Unavailable, ServerRefused.
    """
    deep = before is None
    named = (keys.wait, keys.paused, keys.active, keys.prioritized, keys.delayed, keys.failed)
    others = (keys.completed, keys.waiting_children, keys.meta, keys.limiter, keys.repeat)
    late_ms = round(LATE_SCHEDULE_SECONDS * 1000)
    args = (keys.base, now_ms, 1 if deep else 0, late_ms, MANY_RETURNS)
    lengths, meta, ttl_ms, oldest, schedules, returning = await run_script(
        link, ours("queue_facts"), (*named, *others), args
    )
    counts = {state: int(number) for state, number in zip(_STATES, lengths, strict=True)}
    paused, concurrency, most, duration_ms = (text(value) for value in meta)
    facts = QueueFacts(keys.name, now_ms, counts, is_paused=bool(paused))
    facts = replace(facts, limit=_limit(counts["active"], concurrency, most, duration_ms, ttl_ms))
    if oldest:
        job_id, name, since = map(text, oldest)
        facts = replace(facts, oldest_id=job_id, oldest_name=short(name), oldest_since_ms=int(since))
    if before is not None:
        return replace(
            facts,
            schedules=before.schedules,
            late_schedules=before.late_schedules,
            next_schedule_ms=before.next_schedule_ms,
            stopped_schedules=before.stopped_schedules,
            returning=before.returning,
        )
    count, late, next_ms, stopped = schedules
    return replace(
        facts,
        schedules=count,
        late_schedules=late,
        next_schedule_ms=int(next_ms) or None,
        stopped_schedules=tuple(map(text, stopped)),
        returning=tuple(_by_name(returning)),
    )


async def whole_facts(link: Requester, keys: QueueKeys, now_ms: int) -> QueueFacts:
    """With what only workers know, as they publish it, and how many are connected; for whoever is none.

    Raises Unavailable, ServerRefused.
    """
    facts = await read_facts(link, keys, now_ms)
    published, clients = await link.requests([("HGETALL", keys.unhandled), ("CLIENT", "LIST")])
    unhandled = () if isinstance(published, Exception) else unhandled_in(keys, pairs(published))
    if isinstance(clients, Exception):
        return replace(facts, unhandled=unhandled)
    seen = workers_in(keys, text(clients))
    return replace(facts, unhandled=unhandled, workers=len(seen), paused_workers=sum(each.is_paused for each in seen))


def _limit(active: int, concurrency: str, most: str, duration_ms: str, ttl_ms: int) -> str | None:
    """What holds claims back at this moment, as `oxcart limit` would have it; None: nothing."""
    if ttl_ms > 0:
        return f"{most}/{int(duration_ms) / 1000:g}s" if most.isdigit() and duration_ms.isdigit() else "rate"
    if concurrency.isdigit() and 0 < int(concurrency) <= active:
        return f"{concurrency} at once"
    return None


def _by_name(found: Iterable[Any]) -> Iterable[Returning]:
    names: dict[str, list[tuple[int, str]]] = {}
    for job_id, name, starts in found:
        names.setdefault(short(text(name)), []).append((int(starts), text(job_id)))
    for name, jobs in names.items():
        started, example = max(jobs)
        yield Returning(name, len(jobs), started, example)
