"""Is a job safe in a mixed fleet? Workers of four kinds on one queue, some killed: every job ends, exactly once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from support.server import PrivateServer

from oxcart import Queue
from oxcart.testing import wait_until

from .fleet import Member, NodeMember, oxcart_member, port_member
from .node_driver import NodeDriver, NodeQueue

JOBS = 1200


@pytest.fixture
async def fleet(server: PrivateServer, queue_name: str) -> AsyncIterator[list[Member]]:
    """BullMQ 5, BullMQ 6, the Python port, and two of ours; ended whatever happens."""
    members: list[Member] = [
        NodeMember(server, queue_name, "5"),
        NodeMember(server, queue_name, "6"),
        port_member(server, queue_name),
        oxcart_member(server, queue_name),
        oxcart_member(server, queue_name),
    ]
    for member in members:
        await member.start()
    yield members
    for member in members:
        member.kill()


async def ends_of_jobs(redis: Any, queue_name: str) -> dict[str, Counter[str]]:
    """How often the event stream says of each job that it completed or failed."""
    ends: dict[str, Counter[str]] = {}
    for _, fields in await redis.xrange(f"bull:{queue_name}:events"):
        if fields["event"] in {"completed", "failed"}:
            ends.setdefault(fields["jobId"], Counter())[fields["event"]] += 1
    return ends


@pytest.mark.timeout(110)
async def test_every_job_ends_exactly_once_though_workers_are_killed(
    fleet: list[Member], node6: NodeDriver, redis: Any, redis_url: str, queue_name: str
) -> None:
    theirs = node6.queue(queue_name)
    chance = random.Random(queue_name)
    await until_everybody_has_taken_part(theirs, redis, queue_name)
    data: list[dict[str, Any]] = [{"do": "slow", "ms": chance.choice([1, 10, 40]), "value": n} for n in range(JOBS)]
    async with Queue(queue_name, redis_url) as ours:
        keep_all = {"removeOnComplete": False}
        ids = await theirs.add_bulk([{"name": "job", "data": d, "opts": keep_all} for d in data[: JOBS // 2]])
        added = await ours.add_many([("job", d, {"keep_completed": True}) for d in data[JOBS // 2 :]])
        ids += [job.id for job in added]

        for progress in (0.15, 0.4, 0.65):
            await wait_until(partial(finished, ours, JOBS * progress), describe="a part is finished", timeout=60)
            victim = chance.choice(fleet)
            victim.kill()
            await victim.start()
        await wait_until(lambda: finished(ours, JOBS), describe="every job has finished", timeout=60)

        counts = await ours.counts()
        assert {state: number for state, number in counts.items() if number} == {"completed": JOBS}
    ends = await ends_of_jobs(redis, queue_name)
    assert {job_id: dict(ends.get(job_id, {})) for job_id in ids} == {job_id: {"completed": 1} for job_id in ids}
    results = [await redis.hget(f"bull:{queue_name}:{job_id}", "returnvalue") for job_id in ids]
    assert results == [str(n) for n in range(JOBS)]


async def until_everybody_has_taken_part(theirs: NodeQueue, redis: Any, queue_name: str) -> None:
    """Add jobs until each kind of worker has run one: how many that takes is for the machine to say, not the test."""
    missing, added = {"node5", "node6", "the port", "oxcart"}, 0

    async def all_have_ended() -> bool:
        return bool(await redis.zcard(f"bull:{queue_name}:completed") == added)

    give_up = time.monotonic() + 40
    while missing:
        assert time.monotonic() < give_up, f"{missing} have not taken part"
        jobs = [{"name": "job", "data": {"do": "slow", "ms": 20}, "opts": {"removeOnComplete": False}}] * 50
        ids = await theirs.add_bulk(jobs)
        added += len(ids)
        await wait_until(all_have_ended, describe="these have ended")
        for job_id in ids:
            by = await redis.hget(f"bull:{queue_name}:{job_id}", "pb")
            missing.discard("the port" if by is None else by.partition("-")[0])
    await theirs.call("obliterate", {"force": True})


async def finished(queue: Queue, at_least: float) -> bool:
    counts = await queue.counts()
    return counts["completed"] + counts["failed"] >= at_least
