"""Does a stop leave nothing behind, whenever and however often it is asked for?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
from support.effects import Effects
from support.matrix import shares_beside
from support.proxy import FaultProxy
from support.store import Store
from support.watched import watched_worker

from oxcart import Oxcart, Queue
from oxcart.connection.link import Server
from oxcart.connection.target import parse_redis_url
from oxcart.settings import WorkerSettings
from oxcart.telemetry.events import JobAdopted, WorkerStopped
from oxcart.testing import wait_until
from oxcart.worker.runtime import Worker


@pytest.mark.takes_seconds
async def test_claims_that_are_on_their_way_when_the_worker_stops_go_back(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """A job claimed for a worker that is gone would wait for the stalled check, and use one of its lives."""
    proxy.delay_ms = 20
    ids = [added.id for added in await queue.add_many([("quick", n) for n in range(600)])]
    for stops in range(1, 6):
        async with watched_worker(app, proxied_url, queue.name, concurrency=10):
            await wait_until(partial(effects.has_done, stops * 20), describe="jobs are done")
        assert store.ids("active") == []
        assert not store.client.keys(f"{store.base}*:lock")

    async with watched_worker(app, proxied_url, queue.name, concurrency=100, max_stalled_count=0) as watched:
        await wait_until(lambda: store.ended(ids), describe="all have ended")

    assert set(effects.done.values()) == {1}
    store.assert_ended_once(ids)
    assert watched.told(JobAdopted) == []


async def test_a_claim_without_verdicts_is_waited_for(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    async with watched_worker(app, proxied_url, queue.name) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        proxy.delay_ms = 100
        added = await queue.add("quick")
        await wait_until(lambda: store.ids("active") == [added.id], describe="its claim is on its way back")
        await watched.worker.stop()

    assert store.ids("wait") == [added.id]
    assert store.places(added.id) == ["wait"]
    assert store.number(added.id, "stc") == 0
    assert effects.started == {}


async def test_a_stop_while_the_server_is_away_ends_in_time(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """Its job is left to the stalled check, as after a crash: nothing is known to be lost, nothing hangs."""
    async with watched_worker(app, proxied_url, queue.name) as watched:
        added = await queue.add("held")
        await wait_until(lambda: effects.started[added.id] == 1, describe="the job runs")
        proxy.refuse()
        proxy.cut()
        async with asyncio.timeout(2.0):
            await watched.worker.stop()

    (stopped,) = watched.told(WorkerStopped)
    assert stopped.undelivered == 1
    assert store.places(added.id) == ["active"]


@pytest.fixture
async def idle_worker(app: Oxcart, proxied_url: str, queue_name: str) -> AsyncIterator[Worker]:
    settings = WorkerSettings(queues=shares_beside(queue_name), shutdown_grace_seconds=0.0)
    server = Server(parse_redis_url(proxied_url))
    yield Worker(server, app.handlers, settings, lambda _: None, version="test")
    await server.close()


async def test_a_worker_may_be_stopped_before_it_was_started(idle_worker: Worker) -> None:
    async with asyncio.timeout(1):
        await idle_worker.stop()
        await idle_worker.stop()

    assert idle_worker.status().state == "stopped"


async def test_a_worker_may_be_stopped_as_soon_as_it_was_started(idle_worker: Worker) -> None:
    async with asyncio.timeout(3):
        await idle_worker.start()
        await idle_worker.stop()
        await idle_worker.wait()

    assert idle_worker.status().state == "stopped"


async def test_a_worker_may_be_stopped_by_many_at_once(idle_worker: Worker) -> None:
    async with asyncio.timeout(3):
        await idle_worker.start()
        await asyncio.gather(idle_worker.wait(), *(idle_worker.stop() for _ in range(5)))
        await idle_worker.stop()
        await idle_worker.wait()

    assert idle_worker.status().state == "stopped"


async def test_a_worker_that_never_reached_its_server_stops(idle_worker: Worker, proxy: FaultProxy) -> None:
    proxy.refuse()
    async with asyncio.timeout(3):
        await idle_worker.start()
        await wait_until(lambda: idle_worker.status().redis.failure, describe="it has tried")
        await idle_worker.stop()

    assert idle_worker.status().state == "stopped"
