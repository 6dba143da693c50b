"""Is a worker whose clock is wrong harmless, and does it say so?"""

from __future__ import annotations

import time
from typing import Any

import pytest
from support.effects import Effects
from support.server import PrivateServer
from support.store import Store
from support.watched import Watched, watched_worker

from oxcart import Job, Oxcart, Queue
from oxcart.clock import ServerClock, now_ms
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.queue.repeats import Repeat
from oxcart.settings import KeepPolicy
from oxcart.telemetry.events import WarningRaised
from oxcart.testing import wait_until

DAYS_30_MS = 30 * 86_400_000
WEEK_SECONDS = 7 * 86_400
NEARLY_NOW_MS = 60_000


class Wall:
    """The clock of our machine, so much off."""

    def __init__(self, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms


def warnings(watched: Watched, code: str) -> list[str]:
    return [event.message for event in watched.told(WarningRaised) if event.code == code]


@pytest.mark.parametrize("ahead_ms", [DAYS_30_MS, -DAYS_30_MS], ids=["ahead", "behind"])
async def test_a_worker_with_a_wrong_clock_writes_right_times_and_says_so_once(
    ahead_ms: int, app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    clock = ServerClock(Wall(ahead_ms))
    async with watched_worker(app, fresh_server.url, queue.name, clock=clock) as watched:
        added = await queue.add("quick")
        delayed = await queue.add("quick", delay_seconds=0.5)
        await wait_until(lambda: store.ended([added.id, delayed.id]), describe="both have run")
        await wait_until(lambda: warnings(watched, "CLOCK_SKEW"), describe="it is told")
        skew = watched.status.redis.clock_skew_seconds
        assert skew is not None
        assert abs(skew * 1000 - ahead_ms) < NEARLY_NOW_MS
    for field in ("processedOn", "finishedOn"):
        assert abs(store.number(added.id, field) - time.time() * 1000) < NEARLY_NOW_MS
    assert len(warnings(watched, "CLOCK_SKEW")) == 1


async def test_a_clock_that_is_ahead_deletes_no_dead_letters(
    fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """They are kept for a week, and the worker believes that a month has passed."""
    app = Oxcart()

    @app.job("fails")
    async def fails(_job: Job) -> None:
        raise ValueError("no")

    keep: dict[str, Any] = {"keep_failed": KeepPolicy(5000, WEEK_SECONDS)}
    async with watched_worker(app, fresh_server.url, queue.name, **keep):
        first = await queue.add("fails")
        await wait_until(lambda: store.ended([first.id], "failed"), describe="it has failed")
    async with watched_worker(app, fresh_server.url, queue.name, clock=ServerClock(Wall(DAYS_30_MS)), **keep):
        second = await queue.add("fails")
        await wait_until(lambda: store.ended([second.id], "failed"), describe="the next one, too")

    assert store.ended([first.id], "failed")


async def test_a_clock_that_is_set_while_the_worker_runs_is_told_each_time(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    wall = Wall()
    async with watched_worker(app, fresh_server.url, queue.name, clock=ServerClock(wall)) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker is well")
        for times, ahead_ms in enumerate((3_600_000, -3_600_000), 1):
            wall.ahead_ms = ahead_ms
            await wait_until(lambda: len(warnings(watched, "CLOCK_SKEW")) == times, describe="it is told")  # noqa: B023
            added = await queue.add("quick", delay_seconds=0.3)
            await wait_until(lambda: store.ended([added.id]), describe="a delayed job has run in time")  # noqa: B023
            wall.ahead_ms = 0
            await wait_until(lambda: not watched.server.is_clock_off, describe="the clock is right again")


@pytest.mark.parametrize(
    "repeat", [Repeat(cron="*/5 * * * *"), Repeat(every_seconds=300.0), Repeat(cron="0 4 * * *", tz="Europe/Madrid")]
)
async def test_a_schedule_that_a_wrong_clock_sent_away_gets_its_right_time(
    repeat: Repeat, app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    server = Server(parse_redis_url(fresh_server.url), clock=ServerClock(Wall(DAYS_30_MS)))
    async with Queue(queue.name, server=server) as sent_away:
        await sent_away.upsert_schedule("far", repeat, name="quick", data={"n": 1})
    await server.close()
    if repeat.every_seconds:  # its first run is at once: as if that had been
        far = now_ms() + DAYS_30_MS
        store.client.zadd(store.base + "repeat", {"far": far})
    right = await queue.upsert_schedule("right", repeat, name="quick")
    assert right is not None

    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await wait_until(lambda: warnings(watched, "SCHEDULE_MENDED"), describe="it is mended, and told")

    [mended] = [found for found in await queue.schedules() if found.id == "far"]
    assert mended.next_ms - now_ms() <= (86_400_000 if repeat.tz else 300_000) + NEARLY_NOW_MS
    assert mended.data == '{"n":1}'
    assert len(warnings(watched, "SCHEDULE_MENDED")) == 1
    assert f"repeat:far:{mended.next_ms}" in store.client.zrange(store.base + "delayed", 0, -1)
