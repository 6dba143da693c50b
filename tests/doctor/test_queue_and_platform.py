"""Are the odd things in a queue, a server and a platform seen, and named with what to do?"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from support.examined import examined
from support.server import PrivateServer

from oxcart import Queue, Repeat
from oxcart.checks import State
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.names import UnhandledJobs
from oxcart.queue.inspect import client_name
from oxcart.queue.unhandled import publish

RAILWAY = {"RAILWAY_ENVIRONMENT_NAME": "production", "PORT": "3001", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "40"}


@pytest.fixture
def environ(redis_url: str, queue_name: str) -> dict[str, str]:
    return {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name}


@pytest.fixture
async def queue(redis_url: str, queue_name: str) -> AsyncIterator[Queue]:
    async with Queue(queue_name, redis_url) as opened:
        yield opened


# ------------------------------------------------------------------------------------------------ the queue
async def test_a_paused_queue_is_a_warning(environ: dict[str, str], queue: Queue) -> None:
    await queue.add("test-job")
    await queue.pause()

    seen = await examined(environ, only=["queue"])

    assert seen["paused"].finding.code == "QUEUE_PAUSED"
    assert seen.diagnosis.ok


def client_named(redis_url: str, queue: Queue) -> Redis:
    """To the server it is a worker of this queue."""
    return Redis.from_url(redis_url, client_name=client_name(queue.keys), single_connection_client=True)


async def test_a_job_that_waits_long_is_named(environ: dict[str, str], queue: Queue, redis_url: str) -> None:
    added = await queue.add("test-job", timestamp_ms=round((time.time() - 3600) * 1000))

    async with client_named(redis_url, queue):
        finding = (await examined(environ, only=["oldest"]))["oldest"].finding

    assert finding.code == "WAIT_LONG"
    assert added.id in finding.evidence
    assert "60 min" in finding.evidence


async def test_a_wait_whose_cause_is_known_is_told_once(environ: dict[str, str], queue: Queue) -> None:
    await queue.add("test-job", timestamp_ms=round((time.time() - 3600) * 1000))

    seen = await examined(environ, only=["workers", "oldest"])

    assert seen["workers"].finding.code == "NO_WORKER"
    assert seen["oldest"].finding.state is State.SKIPPED, "a green line would be a lie"


async def test_names_without_a_handler_are_listed(environ: dict[str, str], queue: Queue) -> None:
    for name in ("test-job", "agent:run", "agent:run"):
        await queue.add(name)

    finding = (await examined(environ, only=["handlers"]))["handlers"].finding

    assert (finding.code, finding.evidence) == ("NO_HANDLER", "agent:run (2)")


async def test_what_the_running_workers_cannot_do_is_a_warning(
    environ: dict[str, str], queue: Queue, redis_url: str
) -> None:
    """The doctor was given no app, and the workers know their handlers."""
    since_ms = round((time.time() - 600) * 1000)
    seen = [
        UnhandledJobs(queue.name, "agent:run", 40, since_ms),
        UnhandledJobs(queue.name, "crm:x", 2, since_ms, "not possible here", "no DATABASE_URL"),
    ]
    server = Server(parse_redis_url(redis_url))
    await publish(server.link("test"), queue.keys, seen, by="w1")
    await server.close()

    finding = (await examined(environ, only=["unhandled"]))["unhandled"].finding

    assert finding.code == "UNHANDLED_JOBS"
    assert "agent:run (40), crm:x (2), for 10 min." in finding.evidence
    assert finding.summary.endswith("Not possible there: no DATABASE_URL.")


async def test_an_active_job_without_a_lock_is_found(environ: dict[str, str], queue: Queue, redis: Redis) -> None:
    await queue.add("test-job", job_id="lost-1")
    await redis.lmove(queue.keys.wait, queue.keys.active, "RIGHT", "LEFT")

    finding = (await examined(environ, only=["lockless"]))["lockless"].finding

    assert (finding.code, finding.evidence) == ("ACTIVE_LOST", "lost-1")


async def test_a_parent_without_children_is_found(environ: dict[str, str], queue: Queue, redis: Redis) -> None:
    flow = {"name": "parent", "options": {"job_id": "p1"}, "children": [{"name": "child", "options": {"job_id": "c1"}}]}
    await queue.add_flow(flow)
    await redis.delete(queue.keys.dependencies("p1"))

    assert (await examined(environ, only=["parents"]))["parents"].finding.code == "PARENT_STUCK"


async def test_a_repeatable_job_of_the_old_kind_is_found(environ: dict[str, str], queue: Queue, redis: Redis) -> None:
    await redis.zadd(queue.keys.repeat, {"nightly::::0 3 * * *": 1})

    assert (await examined(environ, only=["legacy-repeat"]))["legacy-repeat"].finding.code == "REPEAT_LEGACY"


async def test_jobs_left_in_the_list_of_a_pause_are_found(environ: dict[str, str], queue: Queue, redis: Redis) -> None:
    await redis.lpush(queue.keys.paused, "somebody")

    assert (await examined(environ, only=["mixed"]))["mixed"].finding.code == "PAUSED_LEFT_OVER"


async def test_foreign_data_under_a_key_of_the_queue_fails(environ: dict[str, str], queue: Queue, redis: Redis) -> None:
    await redis.set(queue.keys.wait, "something else")

    seen = await examined(environ)
    await redis.delete(queue.keys.wait)

    assert seen.verdict == "WRONGTYPE"
    assert queue.keys.wait in seen["layout"].finding.evidence
    assert seen["counts"].finding.state is State.SKIPPED


async def test_the_cost_of_a_month_is_told(environ: dict[str, str], queue: Queue, redis: Redis) -> None:
    now = round(time.time() * 1000)
    await redis.zadd(queue.keys.completed, {f"job-{n}": now - n for n in range(100)})

    evidence = (await examined(environ, only=["cost"]))["cost"].finding.evidence

    assert evidence.startswith("at least 100 jobs in the last 24 h"), "older ones may have been removed"


# ------------------------------------------------------------------------------------------------ the server
async def test_memory_that_is_nearly_full_is_a_warning(fresh_server: PrivateServer) -> None:
    with fresh_server.client() as client:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.08))
        seen = await examined({"REDIS_URL": fresh_server.url}, only=["memory"])
        client.config_set("maxmemory", 0)

    assert seen["memory"].finding.code == "MEMORY_NEAR"


async def test_connections_that_are_nearly_taken_are_a_warning(fresh_server: PrivateServer) -> None:
    with fresh_server.client() as client:
        client.config_set("maxclients", 2)
        seen = await examined({"REDIS_URL": fresh_server.url}, only=["clients"])
        client.config_set("maxclients", 1000)

    assert seen["clients"].finding.code == "CLIENTS_NEAR"


# ------------------------------------------------------------------------------------------------ the platform
async def test_a_railway_that_kills_at_once_fails(environ: dict[str, str]) -> None:
    seen = await examined(environ | RAILWAY | {"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": ""}, only=["draining"])

    assert seen.verdict == "DRAINING_ZERO"
    assert "RAILWAY_DEPLOYMENT_DRAINING_SECONDS=30" in seen.action
    assert seen.diagnosis.exit_code == 1


@pytest.mark.parametrize(("seconds", "state"), [("0", State.FAILED), ("5", State.WARNING), ("40", State.OK)])
async def test_the_draining_time_is_judged(environ: dict[str, str], seconds: str, state: State) -> None:
    seen = await examined(environ | RAILWAY | {"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": seconds}, only=["draining"])

    assert seen["draining"].finding.state is state


async def test_a_port_that_railway_does_not_know_is_a_warning(environ: dict[str, str]) -> None:
    seen = await examined(environ | RAILWAY | {"PORT": ""}, only=["port"])

    assert seen["port"].finding.code == "PORT_UNSET"


async def test_a_job_that_takes_longer_than_the_grace_is_named(
    environ: dict[str, str], queue: Queue, redis: Redis
) -> None:
    now = round(time.time() * 1000)
    await redis.hset(queue.keys.job("slow"), mapping={"name": "crm", "processedOn": now - 90_000, "finishedOn": now})
    await redis.zadd(queue.keys.completed, {"slow": now})

    finding = (await examined(environ | RAILWAY, only=["grace"]))["grace"].finding

    assert finding.code == "GRACE_SHORT"
    assert "RAILWAY_DEPLOYMENT_DRAINING_SECONDS=94" in finding.hint


async def test_what_a_repair_would_mend_is_found(environ: dict[str, str], queue: Queue, redis: Redis) -> None:
    job_id = await queue.upsert_schedule("nightly", Repeat(cron="0 3 * * *"))
    await redis.delete(queue.keys.job(str(job_id)))
    await redis.zrem(queue.keys.delayed, str(job_id))
    await redis.set(queue.keys.deduplication("x"), "gone")

    finding = (await examined(environ, only=["broken"]))["broken"].finding

    assert finding.code == "QUEUE_BROKEN"
    assert finding.evidence == f"{queue.name}: deduplication (1); {queue.name}: schedules (1)"
    await queue.repair()
    assert (await examined(environ, only=["broken"]))["broken"].finding.state is State.OK


async def test_producers_under_another_prefix_are_found(
    environ: dict[str, str], queue_name: str, redis_url: str, redis: Redis
) -> None:
    async with Queue(queue_name, redis_url, prefix="bull:other") as other:
        await other.add("x")
        seen = (await examined(environ, only=["prefix"]))["prefix"].finding
        await other.pause()
        await other.obliterate()

    assert (seen.code, seen.evidence) == ("OTHER_PREFIX", f"bull:other:{queue_name}")
    assert (await examined(environ, only=["prefix"]))["prefix"].finding.state is State.OK
