"""Are our schedules BullMQ's job schedulers, and do they go on when a worker claims their job?"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from oxcart.errors import InvalidInput, JobNotFound
from oxcart.queue.advance_schedules import advance_schedule
from oxcart.queue.producer import Queue
from oxcart.queue.repeats import Repeat

TIMES = {"timestamp", "delay", "prevMillis", "next"}


def without_times(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Two schedulers made one after the other differ by what the clock said in between."""
    comparable: dict[str, Any] = {}
    for key, value in snapshot.items():
        name = "repeat:ID:TIME" if key.count(":") == 2 else key
        if isinstance(value, dict):
            fields = {field: text for field, text in value.items() if field not in {"timestamp", "delay", "offset"}}
            if isinstance(fields.get("opts"), dict):
                opts = {key: item for key, item in fields["opts"].items() if key not in {*TIMES, "jobId", "attempts"}}
                opts["repeat"] = {key: item for key, item in opts.get("repeat", {}).items() if item}
                fields["opts"] = opts
            comparable[name] = fields
        elif isinstance(value, list):
            comparable[name] = len(value)
        else:
            comparable[name] = value
    return comparable


@pytest.mark.parametrize(
    ("repeat", "theirs"),
    [
        (Repeat(cron="0 0 1 1 *"), {"pattern": "0 0 1 1 *"}),
        (Repeat(cron="0 0 0 1 1 *", tz="Europe/Madrid"), {"pattern": "0 0 0 1 1 *", "tz": "Europe/Madrid"}),
        (Repeat(cron="0 0 1 1 *", limit=3), {"pattern": "0 0 1 1 *", "limit": 3}),
        (Repeat(cron="0 0 1 1 *", end_ms=4_000_000_000_000), {"pattern": "0 0 1 1 *", "endDate": 4_000_000_000_000}),
        (Repeat(every_seconds=3600), {"every": 3_600_000}),
        (Repeat(every_seconds=3600, limit=5), {"every": 3_600_000, "limit": 5}),
        (Repeat(every_seconds=3600, offset_ms=60_000), {"every": 3_600_000, "offset": 60_000}),
    ],
)
async def test_a_schedule_leaves_the_keys_that_bullmq_leaves(
    queue: Queue, reference: Any, snapshot: Any, repeat: Repeat, theirs: dict[str, Any]
) -> None:
    await queue.upsert_schedule("daily", repeat, name="sync", data={"a": 1}, priority=3)
    await reference.upsertJobScheduler("daily", theirs, "sync", {"a": 1}, {"priority": 3})

    assert without_times(await snapshot(queue.name)) == without_times(await snapshot(reference.name))


async def test_a_schedule_is_replaced_not_doubled(queue: Queue) -> None:
    first = await queue.upsert_schedule("tick", Repeat(cron="0 0 1 1 *"))
    second = await queue.upsert_schedule("tick", Repeat(cron="0 0 2 1 *"), data={"new": True})

    assert first != second
    assert [job.id for job in await queue.jobs("delayed")] == [second]
    [schedule] = await queue.schedules()
    assert (schedule.cron, json.loads(schedule.data), schedule.iterations) == ("0 0 2 1 *", {"new": True}, 1)


@pytest.mark.parametrize("repeat", [Repeat(cron="0 0 1 1 *"), Repeat(every_seconds=3600)])
async def test_a_claimed_job_makes_the_next_one_once(queue: Queue, repeat: Repeat) -> None:
    job_id = await queue.upsert_schedule("tick", repeat, data={"a": 1}, attempts=3)
    assert job_id is not None
    stored = await queue.get(job_id)
    assert stored is not None
    [before] = await queue.schedules()
    now_ms = before.next_ms + 5

    async def advance() -> str | None:
        link = queue.channel.link
        return await advance_schedule(link, queue.keys, "tick", job_id, raw_opts=stored.fields["opts"], now_ms=now_ms)

    next_id = await advance()
    again = await advance()

    assert again is None
    assert next_id is not None
    following = await queue.get(next_id)
    assert following is not None
    assert (following.data, following.scheduler_id, following.options.attempts) == ({"a": 1}, "tick", 3)
    assert following.options.other["repeat"]["count"] == 2
    [after] = await queue.schedules()
    assert (after.iterations, after.next_ms > before.next_ms) == (2, True)


async def test_a_job_whose_options_cannot_be_read_is_advanced_by_the_schedules_record(queue: Queue) -> None:
    job_id = await queue.upsert_schedule("tick", Repeat(cron="0 0 1 1 *", tz="Europe/Madrid"))
    assert job_id is not None
    [schedule] = await queue.schedules()

    next_id = await advance_schedule(
        queue.channel.link, queue.keys, "tick", job_id, raw_opts="{broken", now_ms=schedule.next_ms + 1
    )

    assert next_id is not None
    assert next_id != job_id


async def test_a_schedule_that_has_reached_its_limit_makes_no_further_job(queue: Queue) -> None:
    job_id = await queue.upsert_schedule("once", Repeat(cron="0 0 1 1 *", limit=1))
    assert job_id is not None
    stored = await queue.get(job_id)
    assert stored is not None

    next_id = await advance_schedule(
        queue.channel.link, queue.keys, "once", job_id, raw_opts=stored.fields["opts"], now_ms=int(time.time() * 1000)
    )

    assert next_id is None


async def test_a_schedule_of_a_queue_paused_by_bullmq_5_joins_the_paused_jobs(queue: Queue, redis: Any) -> None:
    base = f"bull:{queue.name}:"
    await queue.add("before")
    await redis.rename(f"{base}wait", f"{base}paused")
    await redis.hset(f"{base}meta", "paused", "1")

    job_id = await queue.upsert_schedule("now", Repeat(every_seconds=60))

    assert job_id in await redis.lrange(f"{base}paused", 0, -1)
    assert await redis.exists(f"{base}wait") == 0


async def test_a_schedule_runs_now_and_is_removed(queue: Queue) -> None:
    await queue.upsert_schedule("tick", Repeat(cron="0 0 1 1 *"), name="sync", data={"a": 1}, attempts=4)

    added = await queue.run_schedule_now("tick")

    stored = await queue.get(added.id)
    assert stored is not None
    assert (stored.name, stored.data, stored.options.attempts) == ("sync", {"a": 1}, 4)
    assert await queue.remove_schedule("tick")
    assert not await queue.remove_schedule("tick")
    assert await queue.schedules() == []
    with pytest.raises(JobNotFound, match="there is no such schedule"):
        await queue.run_schedule_now("tick")


@pytest.mark.parametrize(
    ("repeat", "sentence"),
    [
        (Repeat(), "give either cron"),
        (Repeat(cron="* * * * *", every_seconds=1), "give either cron"),
        (Repeat(cron="61 * * * *"), 'The cron pattern "61'),
        (Repeat(cron="* * * * *", tz="Europe/Nowhere"), 'The time zone "Europe/Nowhere" is not known'),
        (Repeat(cron="* * * * *", end_ms=1), "is in the past"),
        (Repeat(cron="* * * * *", limit=0), "lets no job run"),
        (Repeat(every_seconds=float("nan")), "no time that a calendar has"),
        (Repeat(every_seconds=float("inf")), "no time that a calendar has"),
        (Repeat(every_seconds=10, start_ms=10**18), "no time that a calendar has"),
        (Repeat(every_seconds=10, offset_ms=-(10**20)), "no time that a calendar has"),
        (Repeat(cron="* * * * *", immediately=True, start_ms=1), "contradict each other"),
        (Repeat(every_seconds=0), "too short"),
    ],
)
async def test_a_schedule_that_cannot_work_is_refused(queue: Queue, repeat: Repeat, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        await queue.upsert_schedule("bad", repeat)

    assert await queue.schedules() == []
