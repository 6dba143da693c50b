"""Whatever the ids of a queue are: does a repair find what is broken, and only that, and leave all else as it is?

BullMQ takes ids that look like any other key of a queue: `door:17:lock` may be a job that waits.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from oxcart.protocol.job_options import JobOptions
from oxcart.queue.adding import NewJob, upstream_call
from oxcart.queue.producer import Queue

PARTS = st.sampled_from(
    [
        "lock",
        "failed",
        "processed",
        "logs",
        "dependencies",
        "unsuccessful",
        "order",
        "de",
        "al",
        "repeat",
        "dn",
        "oxcart",
    ]
) | st.text(st.characters(exclude_characters=":", codec="utf-8"), min_size=1, max_size=5)
IDS = st.lists(PARTS, min_size=2, max_size=3).map(":".join) | PARTS.map("j{}".format)
STATES = ("wait", "delayed", "prioritized", "completed", "failed", "active")
DAMAGES = ("none", "ghost", "lost", "orphan", "lock", "deduplication", "child")
OPTIONS = {"delayed": JobOptions(delay_ms=3_600_000), "prioritized": JobOptions(priority=3)}

Snapshot = dict[str, Any]


READ = {
    "string": ("GET",),
    "list": ("LRANGE", 0, -1),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", 0, -1),
    "hash": ("HGETALL",),
}


async def redis_value(redis: Redis, kind: str, key: Any) -> Any:
    name, *rest = READ[kind]
    value = await redis.execute_command(name, key, *rest)  # type: ignore[no-untyped-call]
    return sorted(value) if kind == "set" else value


class World:
    """One queue with a job of each id, in turn in each state, and with what jobs have beside them."""

    def __init__(self, queue: Queue, redis: Redis, ids: list[str]) -> None:
        self.queue, self.redis, self.ids = queue, redis, ids
        self.keys = queue.keys

    async def build(self) -> None:
        for number, job_id in enumerate(self.ids):
            state = STATES[number % len(STATES)]
            await self.add(job_id, OPTIONS.get(state, JobOptions()))
            if state in {"active", "completed", "failed"}:
                await self.redis.lrem(self.keys.wait, 1, job_id)
            if state == "active":
                await self.redis.lpush(self.keys.active, job_id)
                if not await self.redis.exists(self.keys.lock(job_id)):
                    await self.redis.set(self.keys.lock(job_id), "token", px=3_600_000)
            elif state in {"completed", "failed"}:
                await self.redis.hset(self.keys.job(job_id), mapping={"finishedOn": "5", "returnvalue": "1"})
                await self.redis.zadd(self.keys.state(state), {job_id: 5})
            if not await self.redis.exists(self.keys.logs(job_id)):
                await self.redis.rpush(self.keys.logs(job_id), "a line")
        await self.redis.set(self.keys.deduplication(self.ids[-1]), self.ids[1], nx=True)
        await self.redis.zadd(self.keys.marker, {"0": 0})
        schedule = f"{self.ids[-1]}:lock"
        record = {"name": "s", "every": "3600000", "ic": "1"}
        await self.redis.hset(self.keys.scheduler(schedule), mapping=record)  # type: ignore[arg-type]

    async def add(self, job_id: str, options: JobOptions) -> None:
        job = NewJob(job_id, "x", b"{}", b"{}", options, 1_700_000_000_000 + 3_600_000 * 24 * 10_000, 0)
        call = upstream_call(self.keys, job)
        await self.queue._channel.run("Adding", call.script, call.keys, call.args, repeatable=False)

    async def snapshot(self, but: str = "\0") -> Snapshot:
        """Every key but the events and those of one job, and where it is named."""
        found: Snapshot = {}
        async for key in self.redis.scan_iter(f"{self.keys.base}*", count=1000):
            kind = await self.redis.type(key)
            if kind == "stream" or key in {self.keys.job(but), self.keys.lock(but), self.keys.deduplication(but)}:
                continue
            value: Any = await redis_value(self.redis, str(kind), key)
            found[key] = [part for part in value if part != but] if kind in {"list", "zset"} else value
        return found

    async def break_it(self, damage: str) -> dict[str, tuple[str, ...]]:
        """What a repair is to find."""
        victim, keys, redis = self.ids[0], self.keys, self.redis
        if damage == "ghost":
            await redis.delete(keys.job(victim), keys.logs(victim))
            return {"ghosts": (victim,)}
        if damage in {"lost", "orphan"}:
            await redis.lrem(keys.wait, 0, victim)
        if damage == "lost":
            return {"lost": (victim,)}
        if damage == "orphan":
            await redis.delete(keys.job(victim), keys.logs(victim))
            await redis.hset(keys.job(victim), mapping={"failedReason": "why", "stacktrace": "[]"})
            return {"orphans": (victim,)}
        if damage == "lock":
            await redis.set(keys.lock(victim), "token")
            return {"locks": (victim,)}
        if damage == "deduplication":
            await redis.set(keys.deduplication(victim), "gone")
            return {"deduplication": (victim,)}
        if damage == "child":
            await redis.lrem(keys.wait, 0, victim)
            await redis.zadd(keys.waiting_children, {victim: 1})
            await redis.sadd(keys.dependencies(victim), f"{keys.base}gone")
            return {"children": (victim,)}
        return {}


def can_be_kept_apart(ids: list[str]) -> bool:
    """BullMQ itself cannot, where one job is named as a key of another."""
    beside = {f"{job_id}:{end}" for job_id in ids for end in ("lock", "logs", "dependencies")}
    return not (beside | {f"de:{job_id}" for job_id in ids}) & set(ids)


REPORTED = ["order:42:failed", "de:al:1", "hook:9:processed", "import:3:logs", "order:42", "a:b:unsuccessful", "de:al"]


@pytest.mark.parametrize("damage", DAMAGES)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much])
@given(ids=st.lists(IDS, min_size=7, max_size=10, unique=True).filter(can_be_kept_apart))
@example(ids=["door:17:lock", *REPORTED])
@example(ids=[*REPORTED, "door:17:lock"])
@example(ids=["order:42", "order:42:failed", "order:42:processed", *(f"j{number}" for number in range(5))])
def test_a_repair_finds_what_is_broken_and_only_that(ids: list[str], damage: str, redis_url: str) -> None:
    async def tried() -> None:
        redis = Redis.from_url(redis_url, decode_responses=True, protocol=2)
        async with redis, Queue("q", redis_url, prefix=f"repair-{uuid.uuid4().hex}") as queue:
            world = World(queue, redis, ids)
            try:
                await world.build()
                victim = "\0" if damage == "none" else ids[0]
                sound = await world.snapshot(victim)
                expected = await world.break_it(damage)
                logs = {world.keys.logs(victim), world.keys.dependencies(victim)}

                found = await queue.repair(adopt_lost=True)
                again = await queue.repair(adopt_lost=True)
                after = await world.snapshot(victim)
            finally:
                names = [key async for key in redis.scan_iter(f"{queue.keys.base}*", count=1000)]
                await redis.delete(*names)
        assert {each.kind: each.job_ids for each in found if each.mended} == expected
        assert again == []
        for key in logs:
            sound.pop(key, None)
            after.pop(key, None)
        assert {key: value for key, value in after.items() if value} == {
            key: value for key, value in sound.items() if value
        }

    asyncio.run(tried())
