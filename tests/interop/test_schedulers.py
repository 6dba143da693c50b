"""Do job schedulers go on, whoever made them and whoever runs them? Each job must bring forth exactly the next one."""

from __future__ import annotations

import pytest

from oxcart import Queue, Repeat
from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .node_driver import NodeDriver, NodeQueue

EVERY_SECOND = "* * * * * *"


async def completed(queue: NodeQueue, at_least: int) -> bool:
    return (await queue.counts())["completed"] >= at_least


async def ticks(queue: NodeQueue) -> list[int]:
    """The slots of a scheduler's finished jobs, which BullMQ writes into their ids, in order."""
    return sorted(int(job["id"].rpartition(":")[2]) for job in await queue.call("getCompleted"))


@pytest.mark.parametrize("repeat", [{"every": 200}, {"pattern": EVERY_SECOND}], ids=["every", "cron"])
async def test_a_scheduler_of_node_goes_on_under_oxcart(
    node: NodeDriver, queue_name: str, redis_url: str, repeat: dict[str, object]
) -> None:
    queue = node.queue(queue_name)
    await queue.call("upsertJobScheduler", "sync", repeat, {"name": "job", "data": {"value": "synced"}})

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
        await wait_until(lambda: completed(queue, 3), describe="the scheduler has run three times")

    slots = await ticks(queue)
    assert len(set(slots)) == len(slots), "one slot ran twice"
    step = int(str(repeat.get("every", 1000)))
    assert {slot % step for slot in slots[1:]} == {slots[1] % step}
    (scheduler,) = await queue.call("getJobSchedulers")
    assert scheduler["key"] == "sync"
    assert scheduler["next"] > slots[-1]
    counts = await queue.counts()
    assert counts["delayed"] + counts["waiting"] + counts["active"] == 1, "exactly one next job waits"
    jobs = await queue.call("getCompleted")
    assert all(job["returnvalue"] == "synced" and job["repeatJobKey"] == "sync" for job in jobs)


async def test_a_scheduler_of_oxcart_goes_on_under_node(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    theirs = node.queue(queue_name)
    async with Queue(queue_name, redis_url) as ours:
        await ours.upsert_schedule("sync", Repeat(every_seconds=0.2), name="job", data={"value": "synced"})
        await theirs.start_worker("beside")
        await wait_until(lambda: completed(theirs, 3), describe="the schedule has run three times")
        await theirs.stop_worker("beside")

        (schedule,) = await ours.schedules()
        assert (schedule.id, schedule.every_ms) == ("sync", 200)
        (scheduler,) = await theirs.call("getJobSchedulers")
        assert (scheduler["key"], scheduler["every"], scheduler["next"]) == ("sync", 200, schedule.next_ms)
        slots = await ticks(theirs)
        assert {slot % 200 for slot in slots[1:]} == {slots[1] % 200}


async def test_workers_of_both_kinds_share_one_scheduler(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    """Whoever claims a job adds the next: with both at work there must still be one job per slot."""
    queue = node.queue(queue_name)
    await queue.call("upsertJobScheduler", "sync", {"every": 100}, {"name": "job", "data": {}})
    await queue.start_worker("beside")

    async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
        await wait_until(lambda: completed(queue, 10), describe="the scheduler has run ten times")

    await queue.stop_worker("beside")
    slots = await ticks(queue)
    assert len(set(slots)) == len(slots)
    counts = await queue.counts()
    assert counts["delayed"] + counts["waiting"] + counts["active"] == 1


async def test_both_sides_see_and_remove_each_others_schedulers(
    node: NodeDriver, queue_name: str, redis_url: str
) -> None:
    theirs = node.queue(queue_name)
    async with Queue(queue_name, redis_url) as ours:
        await ours.upsert_schedule("ours", Repeat(cron="0 9 * * 1", tz="Europe/Madrid"), name="job")
        cron = {"pattern": "30 6 1 * *", "tz": "America/New_York"}
        await theirs.call("upsertJobScheduler", "theirs", cron, {"name": "job", "data": {"n": 1}})

        seen_by_us = {s.id: (s.cron, s.tz, s.next_ms) for s in await ours.schedules()}
        seen_by_node = {s["key"]: (s["pattern"], s["tz"], s["next"]) for s in await theirs.call("getJobSchedulers")}
        assert seen_by_us == seen_by_node
        assert set(seen_by_us) == {"ours", "theirs"}

        assert await theirs.call("removeJobScheduler", "ours") is True
        assert await ours.remove_schedule("theirs") is True
        assert await ours.schedules() == []
        assert (await theirs.counts())["delayed"] == 0


async def test_the_same_cron_gives_the_same_next_time(node: NodeDriver, queue_name: str, redis_url: str) -> None:
    """Over the end of summer time, on the last day of a month, with seconds."""
    theirs = node.queue(queue_name)
    patterns = [
        ("*/5 * * * *", "Europe/Madrid"),
        ("30 2 * * *", "Europe/Berlin"),
        ("0 0 1 1 *", "Asia/Kolkata"),
        ("15 10 9-17 * * 1-5", "UTC"),
        ("0 12 28-31 * *", "America/Sao_Paulo"),
    ]
    async with Queue(queue_name, redis_url) as ours:
        for number, (pattern, tz) in enumerate(patterns):
            await theirs.call("upsertJobScheduler", f"node-{number}", {"pattern": pattern, "tz": tz}, {"name": "job"})
            await ours.upsert_schedule(f"ours-{number}", Repeat(cron=pattern, tz=tz), name="job")

        next_ms = {schedule.id: schedule.next_ms for schedule in await ours.schedules()}
    for number in range(len(patterns)):
        assert next_ms[f"ours-{number}"] == next_ms[f"node-{number}"], patterns[number]
