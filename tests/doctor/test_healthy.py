"""What does the doctor say when all is well? And does it leave the server as it found it?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support.examined import examined

from oxcart import Queue
from oxcart.checks import State
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.doctor.scratch import PREFIX, exercise, scratch_queue


@pytest.fixture
def environ(redis_url: str, queue_name: str) -> dict[str, str]:
    return {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}


@pytest.fixture
async def ours(redis_url: str) -> AsyncIterator[Server]:
    server = Server(parse_redis_url(redis_url))
    yield server
    await server.close()


async def leftovers(redis: Redis) -> list[str]:
    return [key async for key in redis.scan_iter(f"*{PREFIX}*")]


async def test_a_healthy_server_is_well(environ: dict[str, str], redis: Redis) -> None:
    """No persistence is a warning; no worker, no queue, no Kommo, no DATABASE_URL are nothing at all."""
    seen = await examined(environ)

    assert seen.diagnosis.ok, seen.text
    assert seen.as_json["verdict"] is None
    assert seen.diagnosis.exit_code == 0
    assert seen.ids(State.WARNING) == ["persistence"]
    assert {"auth", "permissions", "eviction", "lua", "blocking", "scratch", "cost"} <= set(seen.ids(State.OK))
    assert await leftovers(redis) == []
    print(f"\n{sum(result.duration_ms for result in seen.diagnosis.results)} ms in all")


async def test_the_json_has_exactly_these_fields(environ: dict[str, str]) -> None:
    content = (await examined(environ)).as_json

    assert set(content) == {"schema", "ok", "verdict", "checks"}
    assert content["schema"] == 1
    for check in content["checks"]:
        assert set(check) == {"id", "group", "title", "state", "evidence", "hint", "docs", "durationMs"}
        assert check["docs"].startswith("docs/doctor.md#")


async def test_the_embedded_server_is_started_and_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    seen = await examined({})

    assert seen.diagnosis.ok, seen.text
    assert seen["embedded"].finding.evidence.startswith("Valkey")
    assert seen["persistence"].finding.state is State.OK


async def test_with_several_processes_their_number_and_their_idle_cost_are_told(environ: dict[str, str]) -> None:
    alone = await examined(environ, only=["settings", "cost"])
    several = await examined(environ | {"OXCART_PROCESSES": "4"}, only=["settings", "cost"])

    assert several["settings"].finding.evidence.endswith("concurrency 25 in each of 4 processes")
    assert "346 K" in alone["cost"].finding.evidence, "one worker, one queue, 8 commands a minute for 30 days"
    assert "1.4 M" in several["cost"].finding.evidence


async def test_a_job_goes_through_every_step(environ: dict[str, str]) -> None:
    steps = (await examined(environ, only=["scratch"]))["scratch"].finding.evidence

    for step in ("add", "claim", "lock", "renew", "finish", "event", "delayed", "schedule"):
        assert f"{step} " in steps


async def test_the_scratch_queue_leaves_nothing_when_it_breaks_in_the_middle(ours: Server, redis: Redis) -> None:
    async def break_in_the_middle() -> None:
        async with scratch_queue(ours, "bull") as scratch:
            await exercise(scratch)
            await scratch.queue.add("more", {})
            assert await leftovers(redis)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await break_in_the_middle()

    assert await leftovers(redis) == []


async def test_what_a_power_cut_leaves_ends_by_itself(ours: Server, redis: Redis) -> None:
    async with scratch_queue(ours, "bull") as scratch:
        await exercise(scratch)
        lives = {key: await redis.ttl(key) for key in await leftovers(redis)}

    assert lives
    assert all(0 < life <= 120 for life in lives.values()), lives


async def test_looking_at_a_queue_changes_nothing(environ: dict[str, str], redis_url: str, redis: Redis) -> None:
    async with Queue(environ["JOB_QUEUE_NAME"], redis_url) as queue:
        await queue.add("test-job", job_id="keep-1")
        before = sorted([key async for key in redis.scan_iter(f"bull:{queue.name}:*")])

        await examined(environ)

        assert sorted([key async for key in redis.scan_iter(f"bull:{queue.name}:*")]) == before
        assert await redis.lrange(queue.keys.wait, 0, -1) == ["keep-1"]
