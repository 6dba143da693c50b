"""Is a schedule whose next job is gone told and mended, and every other one left as it is?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from oxcart import Oxcart, Queue, Repeat
from oxcart.clock import now_ms
from oxcart.protocol.keys import QueueKeys
from oxcart.testing import running_worker, wait_until

HOURLY = [Repeat(cron="0 * * * *"), Repeat(every_seconds=3600)]


@pytest.fixture
def keys(queue_name: str) -> QueueKeys:
    return QueueKeys(queue_name)


async def lose_next_job(redis: Redis, keys: QueueKeys, job_id: str | None, how: str) -> None:
    """As eviction, `clean`, or a worker that finished it without making the next one."""
    assert job_id is not None
    await redis.lrem(keys.wait, 0, job_id)
    await redis.zrem(keys.delayed, job_id)
    if how == "gone":
        await redis.delete(keys.job(job_id))
    else:
        await redis.zadd(keys.state(how), {job_id: 1})


@pytest.mark.parametrize("how", ["gone", "completed", "failed"])
@pytest.mark.parametrize("repeat", HOURLY)
async def test_a_schedule_whose_next_job_is_gone_is_listed_told_and_mended(
    repeat: Repeat, how: str, queue: Queue, redis: Redis, keys: QueueKeys
) -> None:
    job_id = await queue.upsert_schedule("s", repeat, name="tick", data={"n": 1}, attempts=4)
    await lose_next_job(redis, keys, job_id, how)

    (dead,) = await queue.schedules()
    (told,) = await queue.repair(dry_run=True)
    (mended,) = await queue.repair()
    (after,) = await queue.schedules()
    again = await queue.repair()

    assert (dead.is_dead, after.is_dead, again) == (True, False, [])
    assert str(told) == ("The next job of 1 schedule is gone, and no other would come. A repair would set it anew.")
    assert (told.kind, told.job_ids, told.mended) == ("schedules", ("s",), False)
    assert (mended.kind, mended.job_ids, mended.mended) == ("schedules", ("s",), True)
    assert (after.cron, after.every_ms, after.data) == (dead.cron, dead.every_ms, '{"n":1}')
    job = await queue.get(f"repeat:s:{after.next_ms}")
    assert job is not None
    assert (job.name, job.data, job.options.attempts) == ("tick", {"n": 1}, 4)


async def test_one_that_is_lost_before_its_time_comes_at_its_time(queue: Queue, redis: Redis, keys: QueueKeys) -> None:
    """Not at once: every hour is every hour."""
    first = await queue.upsert_schedule("s", Repeat(every_seconds=3600), name="tick")
    later = now_ms() + 600_000
    await lose_next_job(redis, keys, first, "gone")
    await redis.zadd(keys.repeat, {"s": later})

    await queue.repair()

    (after,) = await queue.schedules()
    assert after.next_ms == later
    assert await queue.state(f"repeat:s:{later}") == "delayed"


@pytest.mark.parametrize(
    "record",
    [{"limit": "1"}, {"endDate": "1000"}, {"pattern": "0 0 29 2 *", "endDate": "4000000000000", "tz": "UTC"}],
)
async def test_a_schedule_that_has_ended_is_not_dead(
    record: dict[str, str], queue: Queue, redis: Redis, keys: QueueKeys, snapshot: Callable[[str], Any]
) -> None:
    job_id = await queue.upsert_schedule("s", HOURLY[0], name="tick")
    await lose_next_job(redis, keys, job_id, "gone")
    if "pattern" in record:
        record = {**record, "endDate": str(now_ms() + 1000)}
    await redis.hset(keys.scheduler("s"), mapping=record)  # type: ignore[arg-type]
    before = await snapshot(queue.name)

    (ended,) = await queue.schedules()

    assert (ended.is_dead, await queue.repair()) == (False, [])
    assert await snapshot(queue.name) == before


@pytest.mark.parametrize("record", ["no template", "no times"])
async def test_what_cannot_be_mended_is_told(record: str, queue: Queue, redis: Redis, keys: QueueKeys) -> None:
    job_id = await queue.upsert_schedule("s", HOURLY[0], name="tick")
    await lose_next_job(redis, keys, job_id, "gone")
    await redis.hdel(keys.scheduler("s"), "ic" if record == "no template" else "pattern")

    (told,) = await queue.repair()

    assert (told.kind, told.mended, told.job_ids) == ("schedules", False, ("s",))
    assert "oxcart schedules remove" in told.done


async def test_a_worker_mends_it_when_it_starts(queue: Queue, redis_url: str, redis: Redis, keys: QueueKeys) -> None:
    job_id = await queue.upsert_schedule("s", Repeat(every_seconds=3600), name="tick")
    await lose_next_job(redis, keys, job_id, "gone")
    await redis.zadd(keys.repeat, {"s": now_ms() - 60_000})

    async def is_mended() -> bool:
        (schedule,) = await queue.schedules()
        return not schedule.is_dead and schedule.next_ms > now_ms()

    async with running_worker(Oxcart(), url=redis_url, queue=queue.name):
        await wait_until(is_mended, describe="it has a next run again")
