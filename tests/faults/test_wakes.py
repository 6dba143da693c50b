"""Is a job seen that comes while the worker is busy asking? At a distance, where an exchange takes its time."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import Any

import pytest
from support.pacing import let_pass
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.starts import Starts
from support.watched import watched_worker

from oxcart import Queue
from oxcart.testing import wait_until

ROUND_TRIP_SECONDS = 0.1
STARTS_WITHIN_SECONDS = 1.5  # a few round trips: handing in, asking, being woken, asking again
ROUNDS = 5


@pytest.mark.takes_seconds
@pytest.mark.parametrize("seed", range(3))
async def test_a_job_that_comes_while_an_exchange_is_on_its_way_starts(
    seed: int, fresh_server: PrivateServer, proxy: FaultProxy, proxied_url: str, queue: Queue
) -> None:
    """At any moment of it, on its queue or on another, with slots free or the last one taken."""
    chance, starts = random.Random(seed), Starts()
    proxy.delay_ms = ROUND_TRIP_SECONDS * 500
    beside_name = f"{queue.name}-beside"
    added_at: dict[str, float] = {}
    settings: dict[str, Any] = {"concurrency": (1, 2, 25)[seed], "prefetch": seed != 1}
    async with (
        Queue(beside_name, fresh_server.url) as beside,
        watched_worker(starts.app(), proxied_url, queue.name, **settings) as watched,
    ):
        served = [queue, queue, beside] if len(watched.status.queue_names) > 1 else [queue]
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        for _ in range(ROUNDS):
            for _ in range(chance.randint(1, 4)):
                into = chance.choice(served)
                name, data = chance.choice([("quick", None), ("slow", 0.02), ("slow", chance.random() * 0.2)])
                added = await into.add(name, data)
                added_at[added.id] = time.monotonic()
                await let_pass(chance.random() * 1.5 * ROUND_TRIP_SECONDS)
            await wait_until(
                lambda: added_at.keys() <= starts.at.keys(), describe="all have started", timeout=STARTS_WITHIN_SECONDS
            )


@pytest.mark.takes_seconds
@pytest.mark.parametrize("prefetch", [True, False])
async def test_a_delayed_job_that_falls_due_while_a_claim_is_on_its_way_starts(
    prefetch: bool, fresh_server: PrivateServer, proxy: FaultProxy, proxied_url: str, queue: Queue
) -> None:
    """The server has looked before it was due, and the answer comes after."""
    starts = Starts()
    proxy.delay_ms = ROUND_TRIP_SECONDS * 500
    settings: dict[str, Any] = {"prefetch": prefetch, "lock_duration_ms": 30_000, "stalled_interval_ms": 30_000}
    async with watched_worker(starts.app(), proxied_url, queue.name, **settings) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        for before_due_seconds in (0.14, 0.12, 0.10):
            due_at = time.monotonic() + 0.6
            delayed = await queue.add("quick", delay_seconds=0.6)
            await let_pass(due_at - before_due_seconds - time.monotonic())
            await queue.add("held")
            await wait_until(partial(starts.at.get, delayed.id), describe="it has started", timeout=2)
            assert starts.at[delayed.id] - due_at < STARTS_WITHIN_SECONDS
        starts.go.set()
