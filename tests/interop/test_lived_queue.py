"""Is a queue that has lived, under BullMQ 4.18 and then 5.81, taken over whole, and given back whole?"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .fleet import OURS, QUICK_RECOVERY
from .node_driver import NodeDriver, NodeQueue
from .old_versions import Steps, abandon, add, flow, node, work

EVERY_MS = 400
SOON_MS, FAR_MS = 300, 3_600_000
NEVER_CHANGES = ("name", "data", "opts", "timestamp", "parent", "parentKey", "rjk", "deid")
WITHOUT_END = {"sync", "fast", "nightly", "monthly"}
"""Jobs that come again and again."""


def ok(value: int) -> dict[str, Any]:
    return {"value": value}


def failing(times: int, value: int) -> dict[str, Any]:
    """Fails so often: `fail` is read by old_versions.mjs, the rest by the others."""
    return {"do": "fail", "times": times, "fail": times, "value": value}


def doomed(value: int) -> dict[str, Any]:
    return {"do": "unrecoverable", "fail": True, "value": value}


def under_4(queue: str, below: str) -> list[dict[str, Any]]:
    retries = {"attempts": 5, "backoff": {"type": "fixed", "delay": SOON_MS}}
    children = [node(below, "child", ok(41)), node(below, "child", ok(42), delay=SOON_MS), node(below, "child", ok(43))]
    return [
        *(add(queue, "job", ok(n)) for n in range(3)),
        work(queue, 3),
        *(add(queue, "job", doomed(n)) for n in (10, 11)),
        work(queue, 2),
        add(queue, "job", failing(2, 12), **retries),
        work(queue, 1),
        flow(queue, "job", *children, data={"do": "children"}),
        work(below, 1),
        *(add(queue, "job", ok(n), delay=SOON_MS) for n in (20, 21)),
        *(add(queue, "job", ok(n), delay=FAR_MS) for n in (22, 23)),
        *(add(queue, "job", ok(30 + n), priority=n) for n in (1, 2, 3)),
        add(queue, "job", ok(34), lifo=True),
        add(queue, "job", ok(35), jobId="contact-7"),
        add(queue, "nightly", ok(90), repeat={"pattern": "0 4 * * *", "tz": "Europe/Madrid"}),
        add(queue, "sync", ok(91), repeat={"every": EVERY_MS}),
    ]


def under_5(queue: str, below: str) -> list[dict[str, Any]]:
    lost = node(below, "child", doomed(51), ignoreDependencyOnFailure=True)
    scheduler = {"do": "schedule", "queue": queue}
    return [
        work(queue, 4),
        flow(queue, "job", node(below, "child", ok(50), delay=SOON_MS), lost, data={"do": "children"}),
        add(queue, "job", doomed(13)),
        *(add(queue, "job", ok(n), delay=FAR_MS) for n in (24, 25)),
        *(add(queue, "job", {"do": "slow", "ms": 30, "value": n}) for n in range(60, 70)),
        abandon(queue),
        {
            **scheduler,
            "id": "monthly",
            "repeat": {"pattern": "0 4 1 * *", "tz": "Europe/Madrid"},
            "template": named(92),
        },
        {**scheduler, "id": "fast", "repeat": {"every": EVERY_MS}, "template": {**named(93), "name": "fast"}},
    ]


def named(value: int) -> dict[str, Any]:
    return {"name": "monthly", "data": ok(value), "opts": {"attempts": 4}}


class Lived:
    """Its jobs, as they are stored."""

    def __init__(self, redis: Any, *queues: str) -> None:
        self._redis, self._queues = redis, queues

    async def jobs(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for queue in self._queues:
            async for key in self._redis.scan_iter(f"bull:{queue}:*", count=1000, _type="HASH"):
                fields = await self._redis.hgetall(key)
                if "timestamp" in fields and "name" in fields:
                    found[key] = fields
        return found

    async def places(self) -> Counter[str]:
        """How often each job is in a state."""
        found: Counter[str] = Counter()
        for queue in self._queues:
            base = f"bull:{queue}:"
            for name in ("wait", "active", "paused"):
                found.update(base + job_id for job_id in await self._redis.lrange(base + name, 0, -1))
            for name in ("delayed", "prioritized", "completed", "failed", "waiting-children"):
                found.update(base + job_id for job_id in await self._redis.zrange(base + name, 0, -1))
        return found

    async def ends_told(self) -> Counter[str]:
        """How many `completed` and `failed` events each job has."""
        found: Counter[str] = Counter()
        for queue in self._queues:
            events = await self._redis.xrange(f"bull:{queue}:events")
            ends = [event["jobId"] for _, event in events if event["event"] in {"completed", "failed"}]
            found.update(f"bull:{queue}:{job_id}" for job_id in ends)
        return found

    async def runs(self, name: str, is_by: Callable[[str], bool]) -> int:
        return sum(
            job["name"] == name and "finishedOn" in job and is_by(job.get("pb", ""))
            for job in (await self.jobs()).values()
        )


def value_of(job: Mapping[str, str]) -> Any:
    return json.loads(job["data"]).get("value")


async def far_schedules(queue: NodeQueue) -> Any:
    """What Node says of those whose time has not come."""
    return [
        {key: one.get(key) for key in ("key", "id", "name", "pattern", "tz", "next", "template")}
        for method in ("getRepeatableJobs", "getJobSchedulers")
        for one in await queue.call(method)
        if one.get("tz")
    ]


@pytest.mark.timeout(110)
async def test_nothing_is_lost_doubled_or_changed(
    old: Steps, node5: NodeDriver, redis: Any, redis_url: str, queue_name: str
) -> None:
    below = f"{queue_name}-below"
    await asyncio.to_thread(old, "bullmq4", *under_4(queue_name, below))
    lived = Lived(redis, queue_name, below)
    of_4 = await lived.jobs()
    await asyncio.to_thread(old, "bullmq5", *under_5(queue_name, below))
    of_5 = await lived.jobs()
    theirs, theirs_below = node5.queue(queue_name), node5.queue(below)
    schedules = await far_schedules(theirs)
    assert {one["name"] for one in schedules} == {"nightly", "monthly"}

    async def both_work() -> bool:
        return all([await lived.runs(name, is_by) >= 1 for name in ("sync", "fast") for is_by in (by_oxcart, by_node)])

    async def nothing_is_left() -> bool:
        counts = [await each.counts() for each in (theirs, theirs_below)]
        delayed = sum(each["delayed"] for each in counts)
        left = sum(each[state] for each in counts for state in ("waiting", "prioritized", "waiting-children"))
        return left == 0 and delayed <= len(far) + len(WITHOUT_END)

    far = [key for key, job in of_5.items() if json.loads(job["opts"]).get("delay") == FAR_MS]
    await theirs.start_worker("here", name="node", **QUICK_RECOVERY)
    await theirs_below.start_worker("below", name="node", **QUICK_RECOVERY)
    app = behaving_app("job", "child", *WITHOUT_END)
    async with (
        running_worker(app, url=redis_url, queue=queue_name, **OURS),
        running_worker(app, url=redis_url, queue=below, **OURS),
    ):
        await wait_until(both_work, describe="both have run each schedule", timeout=30)
        await wait_until(nothing_is_left, describe="all that was due has ended", timeout=20)
    between = await lived.jobs()
    for key in far:
        await theirs.job(key.rpartition(":")[2], "promote")
    done = {name: await lived.runs(name, by_node) for name in ("sync", "fast")}

    async def node_goes_on() -> bool:
        again = [await lived.runs(name, by_node) >= number + 2 for name, number in done.items()]
        return all(again) and all([await redis.hexists(key, "finishedOn") for key in far])

    await wait_until(node_goes_on, describe="Node goes on alone", timeout=20)
    await theirs.stop_worker("here")
    await theirs_below.stop_worker("below")
    after, places, told = await lived.jobs(), await lived.places(), await lived.ends_told()

    for before in (of_4, of_5, between):
        assert before.keys() <= after.keys(), "nothing is lost"
        changed = {
            key: (job[field], after[key].get(field))
            for key, job in before.items()
            for field in NEVER_CHANGES
            if field in job and job[field] != after[key].get(field)
        }
        assert changed == {}
    ended = {key for key, job in after.items() if "finishedOn" in job}
    assert places == dict.fromkeys(after, 1), "each is in one state"
    assert told == dict.fromkeys(ended, 1), "each has ended once"
    assert {key for key in after.keys() - ended if after[key]["name"] not in WITHOUT_END} == set()
    assert Counter(after[key]["name"] for key in after.keys() - ended) == dict.fromkeys(WITHOUT_END, 1), "one is next"
    assert await far_schedules(theirs) == schedules

    values = {value_of(job): job for job in after.values() if job["name"] in {"job", "child"}}
    failed = {value for value, job in values.items() if "failedReason" in job and "returnvalue" not in job}
    assert failed == {10, 11, 13, 51}
    assert {v: job["returnvalue"] for v, job in values.items() if v not in failed and v is not None} == {
        v: str(v) for v in values if v not in failed and v is not None
    }
    parents = [job["returnvalue"] for job in after.values() if json.loads(job["data"]).get("do") == "children"]
    assert sorted(sorted(json.loads(each).values()) for each in parents) == [[41, 42, 43], [50]]
    assert int(values[12]["atm"]) == 3, "one attempt under 4, two after it"
    recurring = {name: {job["data"] for job in after.values() if job["name"] == name} for name in WITHOUT_END}
    assert {name: [json.loads(each) for each in data] for name, data in recurring.items()} == {
        "nightly": [ok(90)],
        "sync": [ok(91)],
        "monthly": [ok(92)],
        "fast": [ok(93)],
    }
    assert not await redis.keys(f"bull:{queue_name}*:lock")
    assert await node5.background_errors() == []


def by_oxcart(worker: str) -> bool:
    return worker.startswith("oxcart-")


def by_node(worker: str) -> bool:
    return worker == "node"
