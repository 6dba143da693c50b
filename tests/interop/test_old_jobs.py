"""Are jobs of older versions of BullMQ, and of Bull, run to their end when they are taken over half way through?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis.asyncio import Redis

from oxcart import Job, Oxcart, Queue
from oxcart.testing import running_worker, wait_until

from .test_old_recurring import Steps, old

__all__ = ["old"]


def add(queue: str, name: str, data: dict[str, Any], **opts: Any) -> dict[str, Any]:
    return {"do": "repeat", "queue": queue, "name": name, "data": data, "opts": opts}


@pytest.mark.parametrize("package", ["bull4", "bullmq1", "bullmq4", "bullmq5.9"])
async def test_jobs_are_taken_over_half_way(
    package: str, old: Steps, redis_url: str, redis: Redis, queue_name: str
) -> None:
    """Attempts made there count: of three, one was made by the old worker."""
    ran_there = old(
        package,
        add(queue_name, "tried", {"fail": True}, attempts=3, backoff={"type": "fixed", "delay": 300}),
        {"do": "work", "queue": queue_name, "jobs": 1},
        add(queue_name, "later", {"n": 1}, delay=300),
        add(queue_name, "urgent", {"n": 2}, priority=1),
        add(queue_name, "plain", {"n": 3}, jobId="mine", removeOnComplete=True),
        add(queue_name, "last", {"n": 4}, lifo=True),
    )
    assert ran_there == [["tried", {"fail": True}]]
    app, runs = Oxcart(), list[tuple[str, Any, int]]()

    for name in ("tried", "later", "urgent", "plain", "last"):

        @app.job(name)
        async def run(job: Job[Any]) -> None:
            runs.append((job.name, job.data, job.attempts_made))
            if job.data.get("fail"):
                raise RuntimeError("as asked")

    async with Queue(queue_name, redis_url) as queue:

        async def all_have_ended() -> bool:
            counts = await queue.counts()
            return (counts["completed"], counts["failed"]) == (3, 1)

        async with running_worker(app, url=redis_url, queue=queue_name):
            await wait_until(all_have_ended, describe="all have ended", timeout=20)
        (failed,) = await queue.jobs("failed")
    await redis.delete(f"bull:{queue_name}:priority")  # of versions before 4, which nobody reads any more

    assert [attempts for name, _, attempts in runs if name == "tried"] == [1, 2]
    assert sorted(json.dumps(data) for name, data, _ in runs if name != "tried") == [
        f'{{"n": {n}}}' for n in range(1, 5)
    ]
    assert (failed.attempts_made, len(failed.stacktrace)) == (3, 3)
