"""Do declared schedules survive their store? They are created again where a restart has lost them."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from support.server import PrivateServer
from support.store import Store

from oxcart import Job, Oxcart
from oxcart.serving import Service, plan
from oxcart.telemetry.bus import Bus
from oxcart.testing import wait_until


async def test_a_schedule_comes_back_after_the_store_came_back_empty(
    fresh_server: PrivateServer, queue_name: str, store: Store
) -> None:
    app, runs = Oxcart(), list[str]()

    @app.schedule(every_seconds=0.5, queue=queue_name)
    async def often(job: Job) -> None:
        runs.append(job.id)

    environ = {"REDIS_URL": fresh_server.url, "JOB_QUEUE_NAME": queue_name, "OXCART_LOCK_DURATION_SECONDS": "1"}
    async with AsyncExitStack() as stack:
        service = Service(app, plan(environ), Bus())
        await service.start(stack, http=False)
        await wait_until(lambda: len(runs) >= 2, describe="it has run twice")
        fresh_server.restart(keep_data=False)
        before = len(runs)
        await wait_until(lambda: len(runs) >= before + 2, describe="it runs again", timeout=10)

    assert store.client.zrange(store.base + "repeat", 0, -1) == ["often"]
    assert len(set(runs)) == len(runs)


@pytest.mark.takes_seconds
async def test_a_schedule_that_was_refused_is_created_when_the_server_takes_it(
    fresh_server: PrivateServer, queue_name: str, store: Store
) -> None:
    """Memory that was full at the start must not cost the schedule until the next reconnect."""
    app, runs = Oxcart(), list[str]()

    @app.schedule(every_seconds=0.5, queue=queue_name)
    async def often(job: Job) -> None:
        runs.append(job.id)

    store.client.config_set("maxmemory", 1)
    environ = {"REDIS_URL": fresh_server.url, "JOB_QUEUE_NAME": queue_name, "OXCART_LOCK_DURATION_SECONDS": "1"}
    told: list[str] = []
    bus = Bus()
    bus.subscribe(lambda event: told.append(repr(event)))
    async with AsyncExitStack() as stack:
        await Service(app, plan(environ), bus).start(stack, http=False)
        await wait_until(lambda: any("Setting up a schedule" in text for text in told), describe="it is refused")
        store.client.config_set("maxmemory", 0)
        await wait_until(lambda: runs, describe="it runs", timeout=15)
