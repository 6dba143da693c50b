"""Can a program change what is stored of a job, and of a queue, as Node's can?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from oxcart import InvalidInput, JobNotFound, Queue, StateConflict
from oxcart.clock import now_ms
from oxcart.queue.queue_access import QueueEvent
from oxcart.testing import wait_until


async def test_a_delay_and_a_priority_can_be_changed(queue: Queue, redis: Redis) -> None:
    later, waiting = await queue.add("x", delay_seconds=60), await queue.add("x")
    first, urgent = await queue.add("x", priority=5), await queue.add("x", priority=9)

    await queue.job(later.id).change_delay(0)
    await queue.job(urgent.id).change_priority(1)
    await queue.job(first.id).change_priority(0, lifo=True)
    await queue.job(waiting.id).change_priority(3)

    assert (await redis.zscore(queue.keys.delayed, later.id) or 0) / 0x1000 <= now_ms() + 1000
    assert [job.id for job in await queue.jobs("waiting")] == [first.id]
    assert [job.id for job in await queue.jobs("prioritized")] == [urgent.id, waiting.id]
    assert await queue.counts_per_priority([0, 1, 2, 3]) == {0: 1, 1: 1, 2: 0, 3: 1}
    with pytest.raises(StateConflict, match="not delayed any more"):
        await queue.job(waiting.id).change_delay(5)
    with pytest.raises(InvalidInput, match="none from 0"):
        await queue.job(waiting.id).change_priority(-1)


async def test_a_priority_is_changed_where_the_jobs_of_a_paused_queue_wait(queue: Queue, redis: Redis) -> None:
    added = await queue.add("x", priority=5)
    await queue.pause()

    await queue.job(added.id).change_priority(0)
    await queue.resume()

    assert [job.id for job in await queue.jobs("waiting")] == [added.id]


async def test_data_progress_and_log_can_be_changed(queue: Queue) -> None:
    added = await queue.add("x", {"n": 1})
    job = queue.job(added.id)

    await job.update_data({"n": 2})
    await job.update_progress({"done": 5})
    counts = [await job.log(line, keep=2) for line in "abc"]
    lines = await queue.logs(added.id)
    await job.clear_logs(keep=1)
    kept = await queue.logs(added.id)
    await job.clear_logs()

    stored = await queue.get(added.id)
    assert stored is not None
    assert (stored.data, stored.progress, counts) == ({"n": 2}, {"done": 5}, [1, 2, 2])
    assert (lines, kept, await queue.logs(added.id)) == (["b", "c"], ["c"], [])


@pytest.mark.parametrize(
    "change",
    [
        lambda job: job.update_data(1),
        lambda job: job.update_progress(1),
        lambda job: job.log("x"),
        lambda job: job.change_delay(1),
        lambda job: job.change_priority(1),
    ],
)
async def test_a_job_that_is_gone_is_told(queue: Queue, change: Any) -> None:
    with pytest.raises(JobNotFound, match="Job gone of queue"):
        await change(queue.job("gone"))


async def test_a_child_can_leave_its_parent(queue: Queue) -> None:
    tree = {"name": "root", "children": [{"name": "one"}, {"name": "two"}]}
    root = await queue.add_flow(tree)
    one, two = root.children

    assert await queue.job(root.id).dependency_counts() == {"processed": 0, "unprocessed": 2, "ignored": 0, "failed": 0}
    assert await queue.job(one.id).remove_child_dependency()
    assert not await queue.job(one.id).remove_child_dependency()
    assert (await queue.job(root.id).dependencies())["unprocessed"] == [queue.keys.job(two.id)]
    await queue.job(root.id).remove_unprocessed_children()
    assert await queue.get(two.id) is None


async def test_a_flow_is_read_as_a_tree(queue: Queue) -> None:
    below = f"{queue.name}-below"
    flow = {"name": "root", "children": [{"name": "mid", "children": [{"name": "leaf", "queue": below}]}]}
    first, second = await queue.add_flows([flow, {"name": "alone"}])

    tree = await queue.get_flow(first.id)
    shallow = await queue.get_flow(first.id, depth=2)

    assert tree is not None
    assert shallow is not None
    (mid,) = tree.children
    (leaf,) = mid.children
    assert (tree.job.name, mid.job.name, leaf.job.name, leaf.job.queue_name) == ("root", "mid", "leaf", below)
    assert [child.children for child in shallow.children] == [()]
    assert await queue.state(second.id) == "waiting"
    assert await queue.get_flow("gone") is None


async def test_a_node_of_a_flow_may_have_a_prefix_of_its_own(queue: Queue, redis: Redis) -> None:
    root = await queue.add_flow({"name": "root", "children": [{"name": "leaf", "prefix": "bull-other"}]})

    (leaf,) = root.children
    assert await redis.hget(f"bull-other:{queue.name}:{leaf.id}", "name") == "leaf"
    assert await redis.smembers(queue.keys.dependencies(root.id)) == {f"bull-other:{queue.name}:{leaf.id}"}
    await redis.delete(*[key async for key in redis.scan_iter(f"bull-other:{queue.name}:*")])


async def test_jobs_are_put_back_by_state_and_time(queue: Queue, redis: Redis) -> None:
    added = await queue.add_many([("x", number) for number in range(4)])
    await redis.delete(queue.keys.wait)
    for number, job in enumerate(added):
        await redis.zadd(queue.keys.failed, {job.id: 1000 + number})
        await redis.hset(queue.keys.job(job.id), "finishedOn", "1")
    later = await queue.add("x", delay_seconds=60)

    assert await queue.retry_jobs("failed", before_ms=1001) == 2
    assert await queue.retry_jobs("failed", limit=1) == 1
    assert await queue.promote_jobs() == 1
    counts = await queue.counts()
    assert (counts["failed"], counts["waiting"], counts["delayed"]) == (1, 4, 0)
    assert await queue.state(later.id) == "waiting"
    with pytest.raises(InvalidInput, match="cannot be retried"):
        await queue.retry_jobs("active")


async def test_a_deduplication_id_can_be_looked_up_and_freed(queue: Queue) -> None:
    added = await queue.add("x", deduplication="once")

    assert await queue.deduplication_job_id("once") == added.id
    assert not (await queue.add("x", deduplication="once")).is_new
    assert await queue.remove_deduplication_key("once")
    assert not await queue.remove_deduplication_key("once")
    assert (await queue.add("x", deduplication="once")).is_new


async def test_a_queue_can_be_limited_from_outside(queue: Queue, redis: Redis) -> None:
    await queue.rate_limit(60)
    assert await queue.rate_limit_ttl_ms() > 50_000
    assert await queue.remove_rate_limit()
    assert not await queue.remove_rate_limit()

    await queue.set_global_concurrency(1)
    before = await queue.is_maxed()
    await redis.lpush(queue.keys.active, "one")
    assert (before, await queue.is_maxed()) == (False, True)
    assert (await queue.meta())["concurrency"] == "1"
    await redis.delete(queue.keys.active)


async def test_metrics_are_read_as_node_writes_them(queue: Queue, redis: Redis) -> None:
    await redis.hset(f"{queue.keys.base}metrics:completed", mapping={"count": 9, "prevTS": 5, "prevCount": 7})
    await redis.rpush(f"{queue.keys.base}metrics:completed:data", 2, 4)

    found = await queue.metrics("completed")

    assert (found.count, found.previous_ms, found.previous_count, found.per_minute) == (9, 5, 7, (2, 4))
    assert (await queue.metrics("failed")).count == 0


async def test_events_come_one_after_the_other(queue: Queue) -> None:
    before = await queue.add("before")
    seen: list[QueueEvent] = []

    async def follow() -> None:
        async for event in queue.events():
            seen.append(event)

    following = asyncio.create_task(follow())

    async def is_following() -> bool:
        await queue.publish_event("hello", {"n": 1, "who": "me"})
        return bool(seen)

    await wait_until(is_following, describe="the reader hears")
    added = await queue.add("x")
    await wait_until(lambda: [event for event in seen if event.name == "waiting"], describe="the job's event has come")
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)

    assert (seen[0].name, dict(seen[0].fields)) == ("hello", {"n": "1", "who": "me"})
    assert {event.job_id for event in seen if event.name in {"added", "waiting"}} == {added.id}
    old = queue.events("0")
    first = await anext(old)
    await old.aclose()  # type: ignore[attr-defined]
    assert (first.name, first.job_id) == ("added", before.id)


async def test_defaults_are_options_of_every_job(redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url, defaults={"attempts": 7, "keep_completed": 5}) as queue:
        plain, (other,) = await queue.add("x"), await queue.add_many([("x", 1, {"attempts": 2})])
        stored = [await queue.get(job.id) for job in (plain, other)]

    assert [job.options.attempts for job in stored if job] == [7, 2]
    assert [job.options.to_wire()["removeOnComplete"] for job in stored if job] == [5, 5]


async def test_schedules_come_in_pages(queue: Queue) -> None:
    from oxcart import Repeat

    for number in range(3):
        await queue.upsert_schedule(f"s{number}", Repeat(cron=f"0 {number} 1 1 *"), name="tick")

    assert await queue.count_schedules() == 3
    assert len(await queue.schedules(1, 1)) == 1
    one = await queue.schedule("s2")
    assert one is not None
    assert (one.cron, await queue.schedule("none")) == ("0 2 1 1 *", None)
