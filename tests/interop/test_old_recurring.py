"""Do recurring jobs of older versions of BullMQ, or of Bull, go on with their data, under us and back there?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from oxcart import Job, Oxcart, Queue
from oxcart.testing import running_worker, wait_until

from .old_versions import Steps

EVERY_MS = 400
DATA = {"account": 42}

PACKAGES = ["bull4", "bullmq1", "bullmq4", "bullmq5.9", "bullmq5.10", "bullmq5.16"]
RUNS = 3


def repeat(queue: str, **opts: Any) -> dict[str, Any]:
    return {"do": "repeat", "queue": queue, "name": "sync", "data": DATA, "opts": {"repeat": opts}}


def recording_app(runs: list[Any]) -> Oxcart:
    app = Oxcart()

    @app.job("sync")
    async def sync(job: Job) -> None:
        runs.append(job.data)

    return app


@pytest.mark.parametrize("kind", ["every", "cron", "custom key"])
@pytest.mark.parametrize("package", PACKAGES)
async def test_a_recurring_job_goes_on_with_its_data_here_and_there(
    package: str, kind: str, old: Steps, redis_url: str, queue_name: str
) -> None:
    pattern = "cron" if package in {"bull4", "bullmq1"} else "pattern"
    opts: dict[str, Any] = {"every": EVERY_MS}
    if kind == "cron":
        opts = {pattern: "* * * * * *", "tz": "Europe/Madrid"}
    elif kind == "custom key":
        opts["key"] = "mine"
    old(package, repeat(queue_name, **opts))
    runs: list[Any] = []

    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(recording_app(runs), url=redis_url, queue=queue_name),
    ):
        (schedule,) = await queue.schedules()
        await wait_until(lambda: len(runs) >= RUNS, describe="it has come several times", timeout=20)

    assert runs == [DATA] * len(runs)
    assert schedule.name == "sync"
    assert json.loads(schedule.data) == DATA
    assert (schedule.every_ms, schedule.cron) == ((None, "* * * * * *") if kind == "cron" else (EVERY_MS, None))
    back = old(package, {"do": "work", "queue": queue_name, "jobs": 2})
    assert back == [["sync", DATA]] * len(back)


async def test_a_scheduler_that_has_no_template_keeps_its_data(old: Steps, redis_url: str, queue_name: str) -> None:
    template = {"name": "sync", "data": DATA}
    scheduler = {"do": "schedule", "queue": queue_name, "id": "nightly", "repeat": {"every": EVERY_MS}}
    old("bullmq5.16", {**scheduler, "template": template})
    runs: list[Any] = []

    async with running_worker(recording_app(runs), url=redis_url, queue=queue_name):
        await wait_until(lambda: len(runs) >= RUNS, describe="it has come several times", timeout=20)

    assert runs == [DATA] * len(runs)


@pytest.mark.parametrize("package", PACKAGES)
async def test_a_recurring_job_ends_at_its_limit(package: str, old: Steps, redis_url: str, queue_name: str) -> None:
    old(package, repeat(queue_name, every=EVERY_MS, limit=2))
    runs: list[Any] = []

    async with (
        Queue(queue_name, redis_url) as queue,
        running_worker(recording_app(runs), url=redis_url, queue=queue_name),
    ):
        await wait_until(lambda: len(runs) == 2, describe="it has come twice", timeout=20)
        counts = await queue.counts()

    assert (counts["delayed"], counts["waiting"]) == (0, 0)


@pytest.mark.parametrize("limit", [1, 3])
async def test_migrating_leaves_as_many_runs_as_were_left(
    limit: int, old: Steps, redis_url: str, queue_name: str
) -> None:
    """Also the last one: it must not become one without an end."""
    old("bullmq4", repeat(queue_name, every=3_600_000, limit=limit))

    async with Queue(queue_name, redis_url) as queue:
        await queue.migrate_schedules()
        (after,) = await queue.schedules()

    assert after.limit == limit


@pytest.mark.parametrize("kind", ["every", "cron"])
@pytest.mark.parametrize("package", PACKAGES)
async def test_migrating_keeps_times_data_and_options(
    package: str, kind: str, old: Steps, redis_url: str, queue_name: str
) -> None:
    pattern = "cron" if package in {"bull4", "bullmq1"} else "pattern"
    times = {"every": 3_600_000} if kind == "every" else {pattern: "0 4 * * *", "tz": "Europe/Madrid"}
    added = repeat(queue_name, **times)
    added["opts"]["attempts"] = 4
    old(package, added)

    async with Queue(queue_name, redis_url) as queue:
        (before,) = await queue.schedules()
        would = await queue.migrate_schedules(dry_run=True)
        (unchanged,) = await queue.schedules()
        done = await queue.migrate_schedules()
        (after,) = await queue.schedules()
        again = await queue.migrate_schedules()
        (job,) = await queue.jobs("delayed")

    assert unchanged == before
    assert would == done
    assert (after.legacy, after.has_template, again) == (False, True, [])
    assert (after.name, json.loads(after.data), after.cron, after.every_ms, after.tz) == (
        *("sync", DATA),
        *(before.cron, before.every_ms, before.tz),
    )
    assert after.next_ms == before.next_ms
    assert (job.name, job.data, job.options.attempts) == ("sync", DATA, 4)


@pytest.mark.parametrize("package", PACKAGES)
async def test_an_operator_sees_runs_and_removes_it(package: str, old: Steps, redis_url: str, queue_name: str) -> None:
    old(package, repeat(queue_name, every=3_600_000))

    async with Queue(queue_name, redis_url) as queue:
        (schedule,) = await queue.schedules()
        added = await queue.run_schedule_now(schedule.id)
        job = await queue.get(added.id)
        removed = await queue.remove_schedule(schedule.id)
        counts = await queue.counts()
        left = await queue.schedules()

    assert (schedule.name, schedule.every_ms, json.loads(schedule.data)) == ("sync", 3_600_000, DATA)
    assert schedule.legacy is (package not in {"bullmq5.10", "bullmq5.16"})
    assert job is not None
    assert (job.name, job.data) == ("sync", DATA)
    assert (removed, left, counts["delayed"]) == (True, [], 0)
