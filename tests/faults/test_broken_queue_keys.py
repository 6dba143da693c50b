"""What if the queue itself is broken for a while? A key of a wrong type, growth refused, a key taken by a job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import bullmq
import pytest
from redis.exceptions import RedisError
from support.effects import Effects
from support.server import PrivateServer
from support.store import Store
from support.watched import watched_worker

from oxcart import Oxcart, Queue
from oxcart.errors import ServerRefused, Unavailable
from oxcart.telemetry.events import JobUnreadable
from oxcart.testing import wait_until

BROKEN_SECONDS = 4.0
GROWTH = "lpush rpush lmove rpoplpush lset zadd sadd hset hmset hincrby incr incrby set xadd"


async def add_until_accepted(queue: Queue, job_id: str) -> None:
    """As a careful producer does: once more, under the same id."""

    async def accepted() -> bool:
        try:
            await queue.add("quick", job_id=job_id)
        except (ServerRefused, Unavailable):
            return False
        return True

    await wait_until(accepted, describe=f"{job_id} is added", timeout=30)


async def under_load(
    queue: Queue, store: Store, jobs: int, begin: Callable[[], Any], end: Callable[[], Any]
) -> list[str]:
    """So many jobs, one each 40 ms; from the tenth on the queue is broken, for four seconds."""
    ids = [f"job-{number}" for number in range(jobs)]
    producers: list[asyncio.Task[None]] = []
    for number, job_id in enumerate(ids):
        producers.append(asyncio.create_task(add_until_accepted(queue, job_id)))
        if number == 10:
            begin()
            broken_at = time.monotonic()
        await asyncio.wait(producers, timeout=0.04)
    await wait_until(lambda: time.monotonic() - broken_at > BROKEN_SECONDS, describe="it is mended", timeout=10)
    end()
    await asyncio.gather(*producers)
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=30)
    return ids


@pytest.mark.takes_seconds
@pytest.mark.parametrize("key", ["wait", "active", "completed", "events", "stalled"])
async def test_a_key_of_a_wrong_type_loses_no_job(
    key: str, app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """Something else took the key away, and gave it back."""
    name, aside = store.base + key, store.base + "oxcart:aside"

    def take() -> None:
        if store.client.exists(name):
            store.client.rename(name, aside)
        store.client.set(name, "not what it should be")

    def give_back() -> None:
        store.client.delete(name)
        if store.client.exists(aside):
            store.client.rename(aside, name)

    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        ids = await under_load(queue, store, 50, take, give_back)
        await wait_until(lambda: watched.status.healthy, describe="the worker is well", timeout=10)

    assert set(effects.done) == set(ids)
    assert max(effects.done.values()) == 1
    store.assert_ended_once(ids)


@pytest.mark.takes_seconds
async def test_growth_that_is_refused_while_deletes_are_allowed_loses_no_job(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """As a full disk does, or a provider's limit of records, or of time for a script."""
    allow = ("ACL", "SETUSER", "worker", "on", ">sesame", "~*", "&*", "+@all")
    store.client.execute_command(*allow)
    url = f"redis://worker:sesame@127.0.0.1:{fresh_server.port}/0"

    def refuse() -> None:
        store.client.execute_command("ACL", "SETUSER", "worker", *(f"-{command}" for command in GROWTH.split()))

    async with watched_worker(app, url, queue.name) as watched:
        ids = await under_load(queue, store, 60, refuse, lambda: store.client.execute_command(*allow))
        await wait_until(lambda: watched.status.healthy, describe="the worker is well", timeout=10)

    assert set(effects.done) == set(ids)
    assert max(effects.done.values()) == 1
    store.assert_ended_once(ids)


MISNAMED = [
    *("wait", "active", "paused", "completed", "failed", "delayed", "prioritized", "waiting-children"),
    *("repeat", "marker", "pc", "limiter", "stalled", "stalled-check", "events"),
]


@pytest.mark.takes_seconds
@pytest.mark.parametrize("name", MISNAMED)
async def test_a_job_of_nodes_that_took_a_key_of_the_queue_is_told_once_and_harms_no_other(
    name: str, app: Oxcart, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    theirs = bullmq.Queue(queue.name, {"connection": fresh_server.url})
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        try:
            await theirs.add("quick", {"precious": 1}, {"jobId": name})
        except RedisError:
            pass  # it has taken the key all the same
        finally:
            await theirs.close()
        ids = [f"job-{number}" for number in range(20)]
        await asyncio.gather(*(add_until_accepted(queue, job_id) for job_id in ids))
        await wait_until(
            lambda: store.client.type(store.base + name) != "hash", describe="it is kept aside", timeout=10
        )
        await wait_until(lambda: store.ended(ids), describe="all others have ended", timeout=20)
        await wait_until(lambda: watched.status.healthy, describe="the worker is well", timeout=10)

    store.assert_ended_once(ids, stalled=None)
    told = [event.job_id for event in watched.told(JobUnreadable)]
    assert told in ([name], [])  # a key that no list leads to is only found when it is in the way
    aside = store.client.hget(f"{store.base}oxcart:misnamed:{name}", "data")
    assert aside == '{"precious":1}' or not told
    store.client.delete(f"{store.base}{name}")
