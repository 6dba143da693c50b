"""Is nothing lost while BullMQ 5 has paused the queue? It renames `wait`, and renames it back over what is there."""

from __future__ import annotations

import pytest
from support.effects import Effects
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store
from support.watched import watched_worker

from oxcart import Job, Oxcart, Queue
from oxcart.testing import wait_until


def pause_as_5(store: Store) -> None:
    """Source: BullMQ 5, pause-7.lua."""
    if store.client.exists(store.base + "wait"):
        store.client.rename(store.base + "wait", store.base + "paused")
    store.client.hset(store.base + "meta", "paused", 1)
    store.client.delete(store.base + "marker")


def resume_as_5(store: Store) -> None:
    if store.client.exists(store.base + "paused"):
        store.client.rename(store.base + "paused", store.base + "wait")
    store.client.hdel(store.base + "meta", "paused")
    store.client.zadd(store.base + "marker", {"0": 0})


@pytest.fixture
async def waiting(queue: Queue) -> list[str]:
    return [added.id for added in await queue.add_many([("quick", n) for n in range(3)])]


async def test_a_shutdown_puts_running_jobs_where_the_resume_finds_them(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    running = [added.id for added in await queue.add_many([("held", n) for n in range(3)])]
    async with watched_worker(app, fresh_server.url, queue.name, concurrency=3, prefetch=False):
        await wait_until(lambda: len(effects.started) == 3, describe="three run")
        waiting = [added.id for added in await queue.add_many([("quick", n) for n in range(3)])]
        pause_as_5(store)

    assert store.ids("wait") == []
    assert store.ids("paused") == [*running, *waiting]
    resume_as_5(store)
    assert store.ids("wait") == [*running, *waiting]
    assert [store.number(job_id, "stc") for job_id in running] == [0] * 3


async def test_what_is_added_while_the_queue_is_paused_waits_behind(
    queue: Queue, store: Store, waiting: list[str]
) -> None:
    pause_as_5(store)
    added = [await queue.add("quick"), *await queue.add_many([("quick", n) for n in range(3)])]
    first = await queue.add("quick", lifo=True)

    assert store.ids("wait") == []
    resume_as_5(store)
    assert store.ids("wait") == [first.id, *waiting, *(job.id for job in added)]


async def test_retries_and_due_jobs_wait_where_the_resume_finds_them(
    effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store, waiting: list[str]
) -> None:
    app = effects.app()

    @app.job("retried", attempts=2)
    async def retried(job: Job) -> None:
        effects.started[job.id] += 1
        if effects.started[job.id] == 1:
            await effects.go.wait()
            raise RuntimeError("once")

    retry = await queue.add("retried", lifo=True)
    async with watched_worker(app, fresh_server.url, queue.name, concurrency=1, prefetch=False):
        await wait_until(lambda: effects.started[retry.id] == 1, describe="it runs")
        due = await queue.add("quick", delay_seconds=0.1)
        pause_as_5(store)
        effects.go.set()
        await wait_until(lambda: store.places(retry.id) == ["paused"], describe="it waits for its next attempt")
        await wait_until(lambda: store.places(due.id) == ["paused"], describe="the delayed one waits too")
        assert store.ids("wait") == []
        resume_as_5(store)
        ids = [retry.id, due.id, *waiting]
        await wait_until(lambda: store.ended(ids), describe="all have ended")

    store.assert_ended_once([due.id, *waiting])
    store.assert_ended_once([retry.id], attempts=2)


@pytest.mark.takes_seconds
async def test_jobs_of_a_vanished_worker_wait_where_the_resume_finds_them(
    app: Oxcart,
    effects: Effects,
    fresh_server: PrivateServer,
    proxy: FaultProxy,
    proxied_url: str,
    queue: Queue,
    store: Store,
) -> None:
    added = await queue.add("held")
    async with watched_worker(app, proxied_url, queue.name, concurrency=1, prefetch=False):
        await wait_until(lambda: effects.started[added.id] == 1, describe="it runs")
        waiting = [job.id for job in await queue.add_many([("held", n) for n in range(5)])]
        proxy.refuse()
        proxy.cut()
    pause_as_5(store)
    async with watched_worker(Effects().app(), fresh_server.url, queue.name):
        await wait_until(lambda: store.ids("active") == [], describe="its job was put back")

    assert store.ids("wait") == []
    resume_as_5(store)
    assert sorted(store.ids("wait")) == sorted([added.id, *waiting])
