"""What is kept of a day, by whom, and what does it cost?"""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from support.board import open_visitor

from oxcart import Queue
from oxcart.board.history import HOUR_MS, SLOT_MS, Recorder, ms_of, quantile, step_of
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.telemetry.events import FinishedJob, JobsFinished


def ended(queue: str, *jobs: tuple[str, str, float]) -> JobsFinished:
    return JobsFinished(queue, [FinishedJob("1", name, verdict, ms, 5.0, 1, None, None) for name, verdict, ms in jobs])


async def recorded(url: str, queue: str, worker: str, *jobs: tuple[str, str, float]) -> None:
    server = Server(parse_redis_url(url, {}))
    recorder = Recorder(server, "bull", worker)
    recorder(ended(queue, *jobs))
    await recorder.close()
    await server.close()


async def test_two_workers_make_one_history(redis_url: str, queue_name: str, redis: Redis) -> None:
    good = [("sync", "completed", 100.0)] * 9
    await recorded(redis_url, queue_name, "a", *good, ("sync", "failed", 5000.0), ("mail", "retry_later", 3.0))
    await recorded(redis_url, queue_name, "b", ("sync", "completed", 100.0), ("sync", "snoozed", 1.0))
    async with Queue(queue_name, redis_url), open_visitor(redis_url, queue_name) as visitor:
        found = (await visitor.ask(f"/api/history?queue={queue_name}")).json
        html = (await visitor.ask(f"/board/history?queue={queue_name}")).text
    (key,) = await redis.keys(f"bull:{queue_name}:oxcart:history:*")
    kept_seconds = await redis.ttl(key)

    names = {one["name"]: one for one in found["names"]}
    assert names["sync"]["counts"] == [10, 1, 0]
    assert names["mail"]["counts"] == [0, 0, 1]
    assert 85 < names["sync"]["run50"] < 115
    assert 4300 < names["sync"]["run95"] < 5700
    assert (sum(found["completed"]), sum(found["failed"])) == (10, 1)
    assert len(found["times"]) == 288
    assert 24 * 3600 < kept_seconds <= 26 * 3600
    assert "sync" in html


async def test_nothing_is_written_where_nothing_ends(redis_url: str, queue_name: str, redis: Redis) -> None:
    await recorded(redis_url, queue_name, "a")
    server = Server(parse_redis_url(redis_url, {}))
    recorder = Recorder(server, "bull", "a")
    await recorder.close()

    assert not server.connected
    await server.close()


async def test_names_that_somebody_makes_up_are_bounded(redis_url: str, queue_name: str) -> None:
    await recorded(redis_url, queue_name, "a", *[(f"name-{n}\udce4", "completed", 1.0) for n in range(500)])
    async with open_visitor(redis_url, queue_name) as visitor:
        found = (await visitor.ask(f"/api/history?queue={queue_name}")).json

    assert len(found["names"]) == 51
    assert sum(one["counts"][0] for one in found["names"]) == 500


async def test_what_nodes_workers_have_counted_is_told_too(redis_url: str, queue_name: str, redis: Redis) -> None:
    async with Queue(queue_name, redis_url), open_visitor(redis_url, queue_name) as visitor:
        now = (await visitor.ask("/api/overview")).json["now"]
        await redis.hset(f"bull:{queue_name}:metrics:completed", mapping={"count": 9, "prevTS": now, "prevCount": 9})
        await redis.rpush(f"bull:{queue_name}:metrics:completed:data", *[1, 2, 0, 3])
        found: dict[str, Any] = (await visitor.ask(f"/api/history?queue={queue_name}")).json

    assert sum(found["completed"]) == 6
    assert found["times"][-1] == now // SLOT_MS * SLOT_MS // 1000
    assert HOUR_MS % SLOT_MS == 0


def test_a_time_is_told_to_an_eighth() -> None:
    for ms in (0.0, 0.4, 3.0, 812.0, 61_000.0, 3_600_000.0):
        assert abs(ms_of(step_of(ms)) - ms) <= 0.13 * (ms + 1)
    assert quantile({}, 0.5) is None
    assert quantile({step_of(10): 95, step_of(1000): 5}, 0.95) == round(ms_of(step_of(10)), 1)
