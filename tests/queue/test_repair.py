"""Is what is broken in a queue found and mended, and what is sound left alone, with and without workers at work?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from oxcart import Job, Oxcart
from oxcart.protocol.keys import QueueKeys
from oxcart.queue.producer import Queue
from oxcart.queue.repair import BATCH, Repair
from oxcart.queue.repair_search import find_strangers
from oxcart.testing import running_worker, wait_until

Snapshot = Callable[[str], Any]


@pytest.fixture
def keys(queue_name: str) -> QueueKeys:
    return QueueKeys(queue_name)


async def repaired(queue: Queue, **options: Any) -> dict[str, Repair]:
    """One repair by kind, after a dry run that found the same and a second one that finds nothing that was mended."""
    looked = await queue.repair(dry_run=True, **options)
    mended = await queue.repair(**options)
    again = await queue.repair(**options)

    assert {(each.kind, each.found, each.job_ids) for each in looked if each.kind != "marker"} == {
        (each.kind, each.found, each.job_ids) for each in mended if each.kind != "marker"
    }
    assert not any(each.mended for each in (*looked, *again))
    return {each.kind: each for each in mended}


async def test_a_sound_queue_is_left_as_it_is(queue: Queue, redis: Any, snapshot: Snapshot) -> None:
    await queue.add_many([("w", 1), ("d", 2, {"delay_seconds": 60}), ("p", 3, {"priority": 1})])
    await queue.add_flow({"name": "root", "children": [{"name": "leaf"}]})
    await queue.add("once", deduplication="x")
    await redis.hset(f"bull:{queue.name}:repeat:tick", mapping={"name": "tick", "data": "{}", "ic": "1"})
    before = await snapshot(queue.name)

    assert await queue.repair(adopt_lost=True) == []

    assert await snapshot(queue.name) == before


async def test_a_missing_marker_is_set(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    await queue.add("x")
    await redis.delete(keys.marker)

    found = await repaired(queue)

    assert found["marker"].count == 1
    assert str(found["marker"]) == ("Idle workers are not told of 1 job to be claimed: the marker is missing. Set it.")
    assert await redis.zscore(keys.marker, "0") == 0


@pytest.mark.parametrize("reason", ["paused", "maxed", "limited", "busy"])
async def test_no_marker_is_missed_where_nothing_can_be_claimed_now(
    queue: Queue, redis: Any, keys: QueueKeys, reason: str
) -> None:
    await queue.add("x")
    await redis.delete(keys.marker)
    if reason == "paused":
        await redis.hset(keys.meta, "paused", "1")
    elif reason == "limited":
        await redis.hset(keys.meta, mapping={"max": 1, "duration": 60_000})
        await redis.set(keys.limiter, 1, px=60_000)
    else:
        held = await queue.add("held")
        await redis.delete(keys.marker)
        await redis.lmove(keys.wait, keys.active, "LEFT", "LEFT")
        await redis.set(keys.lock(held.id), "token", px=60_000)
        if reason == "maxed":
            await redis.hset(keys.meta, "concurrency", 1)

    assert await queue.repair() == []

    assert await redis.exists(keys.marker) == 0


async def test_ids_without_a_job_are_taken_out_of_every_state(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    kept = await queue.add("x")
    for state in ("wait", "active"):
        await redis.lpush(keys.state(state), f"gone-{state}")
    for state in ("delayed", "prioritized", "waiting-children", "completed", "failed"):
        await redis.zadd(keys.state(state), {f"gone-{state}": 2**50})
    await redis.rpush(keys.logs("gone-failed"), "its log")
    await redis.sadd(keys.stalled, "gone-active")

    found = [each for each in await queue.repair() if each.kind == "ghosts"]

    assert [each.job_ids for each in found] == [
        (f"gone-{state}",)
        for state in ("wait", "active", "delayed", "prioritized", "waiting-children", "completed", "failed")
    ]
    assert str(found[0]) == "`wait` names 1 job whose data is gone. Took those ids out."
    assert await queue.counts() == {**dict.fromkeys(await queue.counts(), 0), "waiting": 1}
    assert await redis.lrange(keys.wait, 0, -1) == [kept.id]
    assert await redis.exists(keys.logs("gone-failed"), keys.stalled) == 0
    assert await queue.repair() == []


async def test_many_ghosts_are_found_between_many_jobs_in_batches(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    added = await queue.add_many([("x", number) for number in range(2 * BATCH + 500)])
    gone = [job.id for job in added[::3]]
    await redis.delete(*(keys.job(job_id) for job_id in gone))

    found = (await repaired(queue))["ghosts"]

    assert (found.count, len(found.job_ids)) == (len(gone), 100)
    left = [job.id for job in added if job.id not in set(gone)]
    assert [job.id for job in await queue.jobs("waiting")] == left


async def test_a_ghost_that_a_worker_holds_is_left_to_it(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    await redis.lpush(keys.active, "held")
    await redis.set(keys.lock("held"), "token", px=60_000)

    assert await queue.repair() == []

    assert await redis.lrange(keys.active, 0, -1) == ["held"]


@pytest.mark.parametrize("has_waiting", [True, False])
async def test_jobs_in_paused_come_back_when_the_queue_is_not_paused(
    queue: Queue, redis: Any, keys: QueueKeys, has_waiting: bool
) -> None:
    old = await queue.add_many([("x", number) for number in range(BATCH + 10)])
    await redis.rename(keys.wait, keys.paused)
    new = [await queue.add("new")] if has_waiting else []
    await redis.delete(keys.marker)

    found = await repaired(queue)

    assert found["pause"].count == len(old)
    assert [job.id for job in await queue.jobs("waiting")] == [job.id for job in (*old, *new)]
    assert await redis.exists(keys.paused) == 0
    assert await redis.zscore(keys.marker, "0") == 0


async def test_what_waits_beside_a_pause_of_bullmq_5_goes_to_paused(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    """Its resume renames `paused` over `wait`: what is in there would be lost."""
    old = await queue.add("old")
    await redis.rename(keys.wait, keys.paused)
    new = await queue.add_many([("new", 1), ("new", 2)])
    await redis.hset(keys.meta, "paused", "1")

    found = await repaired(queue)

    assert found["pause"].count == 2
    assert (await redis.lrange(keys.paused, 0, -1))[::-1] == [old.id, *(job.id for job in new)]


async def test_jobs_of_a_queue_paused_by_bullmq_6_stay_in_wait(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    added = await queue.add("x")
    await redis.hset(keys.meta, "paused", "1")

    assert await queue.repair() == []

    assert [job.id for job in await queue.jobs("waiting")] == [added.id]


@pytest.mark.parametrize(("options", "state"), [({}, "waiting"), ({"priority": 3}, "prioritized")])
async def test_a_parent_without_children_to_wait_for_runs(
    queue: Queue, redis: Any, keys: QueueKeys, options: dict[str, Any], state: str
) -> None:
    stuck = await queue.add_flow({"name": "root", "options": options, "children": [{"name": "leaf"}]})
    sound = await queue.add_flow({"name": "root", "children": [{"name": "leaf"}]})
    await redis.delete(keys.dependencies(stuck.id))

    found = await repaired(queue)

    assert found["parents"].job_ids == (stuck.id,)
    assert await queue.state(stuck.id) == state
    assert await queue.state(sound.id) == "waiting-children"


async def test_a_job_of_a_vanished_worker_needs_two_passes(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    added = await queue.add("x")
    await redis.lmove(keys.wait, keys.active, "RIGHT", "LEFT")

    first = (await repaired(queue))["stalled"]
    assert (first.mended, first.job_ids) == (False, (added.id,))
    assert "needs two passes" in first.done
    assert await queue.state(added.id) == "active"

    await redis.delete(keys.stalled_check)
    [second] = [each for each in await queue.repair() if each.kind == "stalled"]
    assert (second.mended, second.job_ids) == (True, (added.id,))
    assert await queue.state(added.id) == "waiting"
    stored = await queue.get(added.id)
    assert stored is not None
    assert stored.stalled_count == 1


async def test_only_locks_that_no_worker_holds_are_removed(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    stuck, held = await queue.add("stuck"), await queue.add("held")
    await redis.lmove(keys.wait, keys.active, "LEFT", "LEFT")
    await redis.set(keys.lock("gone"), "token", px=60_000)
    await redis.set(keys.lock(stuck.id), "token")
    await redis.set(keys.lock(held.id), "token", px=60_000)

    found = await repaired(queue)

    assert set(found["locks"].job_ids) == {"gone", stuck.id}
    assert await redis.exists(keys.lock("gone"), keys.lock(stuck.id)) == 0
    assert await redis.get(keys.lock(held.id)) == "token"


async def test_lost_jobs_are_reported_and_put_back_on_request(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    plain, urgent = await queue.add("plain"), await queue.add("urgent", priority=2)
    later, done = await queue.add("later", delay_seconds=3600), await queue.add("done")
    root = await queue.add_flow({"name": "root", "children": [{"name": "leaf"}]})
    await redis.hset(keys.job(done.id), mapping={"finishedOn": "5", "returnvalue": "1"})
    await redis.delete(keys.wait, keys.prioritized, keys.delayed, keys.waiting_children)
    ids = {job.id for job in (plain, urgent, later, done, root, root.children[0])}

    [reported] = [each for each in await queue.repair() if each.kind == "lost"]
    assert (set(reported.job_ids), reported.mended) == (ids, False)
    assert "--adopt-lost" in reported.done
    assert (await queue.counts())["waiting"] == 0

    adopted = (await repaired(queue, adopt_lost=True))["lost"]
    assert set(adopted.job_ids) == ids
    states = {name: await queue.state(job.id) for name, job in (("plain", plain), ("urgent", urgent), ("later", later))}
    assert states == {"plain": "waiting", "urgent": "prioritized", "later": "delayed"}
    assert await queue.state(done.id) == "completed"
    assert await queue.state(root.id) == "waiting-children"


async def test_ids_that_stalled_names_for_nothing_are_taken_out(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    added = await queue.add("x")
    await redis.sadd(keys.stalled, added.id, "gone")

    found = await repaired(queue)

    assert set(found["strays"].job_ids) == {added.id, "gone"}
    assert await redis.exists(keys.stalled) == 0


async def test_overdue_jobs_run(queue: Queue, redis: Any, keys: QueueKeys) -> None:
    late, urgent = await queue.add("x", delay_seconds=60), await queue.add("x", delay_seconds=60, priority=1)
    soon = await queue.add("x", delay_seconds=60)
    long_ago = (int(time.time() * 1000) - 60_000) * 0x1000
    await redis.zadd(keys.delayed, {late.id: long_ago, urgent.id: long_ago + 1})

    found = await repaired(queue)

    assert found["overdue"].job_ids == (late.id, urgent.id)
    assert [await queue.state(job.id) for job in (late, urgent, soon)] == ["waiting", "prioritized", "delayed"]
    stored = await queue.get(late.id)
    assert stored is not None
    assert stored.delay_ms == 0


async def test_the_search_for_lost_jobs_is_bounded(queue: Queue) -> None:
    await queue.add_many([("x", number) for number in range(3000)])

    some = await find_strangers(queue.channel, 1000)
    everything = await find_strangers(queue.channel, 10_000_000)

    assert (some.is_complete, some.keys_seen) == (False, 1000)
    assert (everything.is_complete, everything.unnamed) == (True, [])


async def test_a_queue_with_a_name_full_of_wildcards_is_searched_alone(redis_url: str, queue_name: str) -> None:
    async with Queue(f"{queue_name}*[a]?", redis_url) as odd, Queue(f"{queue_name}-other", redis_url) as other:
        lost, foreign = await odd.add("x"), await other.add("x")

        assert await odd.repair(adopt_lost=True) == []
        assert (await lost.state(), await foreign.state()) == ("waiting", "waiting")


async def test_repairs_beside_a_busy_worker_change_nothing_and_lose_nothing(
    queue: Queue, redis_url: str, redis: Any, keys: QueueKeys
) -> None:
    app, runs = Oxcart(), dict[str, int]()

    @app.job("x", keep_completed=100)
    async def run(job: Job[Any]) -> None:
        runs[job.id] = runs.get(job.id, 0) + 1
        await asyncio.sleep(0)

    added = await queue.add_many([("x", number, {"priority": number % 3}) for number in range(3000)])
    await redis.lpush(keys.wait, "gone-1", "gone-2")
    mended: list[Repair] = []
    async with running_worker(app, url=redis_url, queue=queue.name, concurrency=10):
        while len(runs) < len(added):
            mended += await queue.repair(adopt_lost=True)

        async def all_completed() -> bool:
            counts = await queue.counts()
            return counts["completed"] == 100 and not counts["active"] and not counts["waiting"]

        await wait_until(all_completed, describe="all jobs have completed")

    assert set(runs.values()) == {1}
    assert len(runs) == len(added)
    assert {each.kind for each in mended} <= {"ghosts", "marker"}
    assert await queue.repair() == []


async def test_a_worker_runs_what_a_repair_has_mended(
    queue: Queue, redis_url: str, redis: Any, keys: QueueKeys
) -> None:
    app, done = Oxcart(), asyncio.Event()

    @app.job("lost")
    async def run(job: Job[Any]) -> None:
        done.set()

    async with running_worker(app, url=redis_url, queue=queue.name):
        await queue.pause()
        lost = await queue.add("lost")
        await redis.delete(keys.wait)
        await queue.resume()

        await queue.repair(adopt_lost=True)

        assert await lost.result(timeout_seconds=20) is None
    assert done.is_set()
