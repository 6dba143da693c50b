"""Do the patterns of schedules mean what an app's own strategy makes of them, and does one that raises harm nothing?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from support.watched import watched_worker

from oxcart import Job, Oxcart, Queue, Repeat
from oxcart.telemetry.events import WarningRaised
from oxcart.testing import wait_until


async def test_a_strategy_of_the_app_says_when_a_schedule_comes(redis_url: str, queue_name: str) -> None:
    app, runs = Oxcart(), list[str]()

    @app.repeat_strategy
    def by_words(now_ms: int, repeat: Mapping[str, Any], name: str) -> int | None:
        return now_ms + 20 if repeat["pattern"] == "soon and again" and name == "tick" and len(runs) < 2 else None

    @app.job("tick")
    async def tick(job: Job[str]) -> None:
        runs.append(job.data)

    async with Queue(queue_name, redis_url) as queue:
        every = Repeat(cron="soon and again")
        await queue.upsert_schedule("s", every, name="tick", data="x", repeat_strategy=by_words)
        async with watched_worker(app, redis_url, queue_name) as watched:
            await wait_until(lambda: len(runs) == 3, describe="it has come three times")
            await wait_until(lambda: watched.status.jobs_processing == 0, describe="the last one has ended")
            counts = await queue.counts()

    assert (runs, counts["delayed"]) == (["x"] * 3, 0)


async def test_a_strategy_that_raises_frees_the_slot_and_is_told(redis_url: str, queue_name: str, redis: Redis) -> None:
    app = Oxcart()

    @app.repeat_strategy
    def broken(now_ms: int, repeat: Mapping[str, Any], name: str) -> int:
        raise SystemExit(3)

    @app.job("tick")
    async def tick(job: Job[str]) -> None: ...

    async with Queue(queue_name, redis_url) as queue:
        job_id = await queue.upsert_schedule("s", Repeat(cron="* * * * * *"), name="tick")
        async with watched_worker(app, redis_url, queue_name, concurrency=1) as watched:
            await wait_until(lambda: watched.told(WarningRaised), describe="it is told")
            other = await queue.add("tick")
            await other.result(timeout_seconds=10)
            (told,) = watched.told(WarningRaised)
        state = await queue.state(str(job_id))

    assert told.message.startswith(
        "Schedule s could not be advanced, its job comes again in 30 s: "
        "OxcartError: Its repeat strategy raised a SystemExit; see @app.repeat_strategy."
    )
    assert state == "delayed"
