"""Do two thousand connections that say nothing, or say it slowly, stop the jobs, the probes or the way to Redis?"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median

import pytest
from support.http_site import Answer, ask
from support.processes import Fleet, WorkerProcess
from support.programs import free_port
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store
from support.strangers import crowd, descriptors

from oxcart import Queue
from oxcart.testing import wait_until

CROWD = 2000
DESCRIPTORS = 1024  # what most systems and images give a process


@dataclass
class Besieged:
    worker: WorkerProcess
    port: int
    proxy: FaultProxy

    async def ask(self, path: str) -> tuple[Answer, float]:
        began = time.monotonic()
        answer = await asyncio.to_thread(ask, self.port, path)
        return answer, time.monotonic() - began


@pytest.fixture
async def besieged(fleet: Fleet, fresh_server: PrivateServer) -> AsyncIterator[Besieged]:
    with FaultProxy(fresh_server.port) as proxy:
        port = free_port()
        url = fresh_server.url.replace(f":{fresh_server.port}", f":{proxy.port}")
        with descriptors(DESCRIPTORS):
            worker = fleet.start(PORT=str(port), REDIS_URL=url)
        await wait_until(lambda: fleet.is_running(worker), describe="the worker is ready", timeout=20)
        yield Besieged(worker, port, proxy)


@asynccontextmanager
async def crowded(place: Besieged, words: bytes) -> AsyncIterator[None]:
    with crowd(place.port, CROWD, words):
        await wait_until(lambda: place.worker.events("http.crowded"), describe="it is full", timeout=20)
        yield


SILENT = b""
SLOW_HEAD = b"GET /health HTTP/1.1\r\nX-Slow: " + b"a" * 1000


@pytest.mark.parametrize("words", [SILENT, SLOW_HEAD], ids=["silent", "slow"])
async def test_probes_are_answered_and_jobs_go_on(besieged: Besieged, queue: Queue, store: Store, words: bytes) -> None:
    _, calm_seconds = await besieged.ask("/health/live")
    async with crowded(besieged, words):
        waits = []
        for _ in range(5):
            ids = [added.id for added in await queue.add_many([("quick", n) for n in range(20)])]
            answer, seconds = await besieged.ask("/health/live")
            assert answer.status == 200
            waits.append(seconds)
            await wait_until(partial(store.ended, ids), describe="jobs go on", timeout=5)
        answer, _ = await besieged.ask("/health")

    assert median(waits) < 1 + 10 * calm_seconds, f"{waits}, without a crowd {calm_seconds}"
    assert answer.status == 200
    assert len(besieged.worker.events("http.crowded")) <= 2, "once a minute"
    assert len(besieged.worker.output) < 20_000


async def test_redis_is_reached_again_beside_a_crowd(besieged: Besieged, queue: Queue, store: Store) -> None:
    """Its descriptors are its own: a crowd that fills the rest meanwhile does not get them."""
    besieged.proxy.refuse()
    besieged.proxy.reset()
    await wait_until(lambda: besieged.worker.events("redis.lost"), describe="the outage is noticed")
    async with crowded(besieged, SILENT):
        answer, _ = await besieged.ask("/health/live")
        assert answer.status == 200
        besieged.proxy.accept()
        added = await queue.add("quick")
        await wait_until(lambda: store.ended([added.id]), describe="jobs are claimed again", timeout=5)

    levels = [json.loads(line)["level"] for line in besieged.worker.output.splitlines()]
    assert len(levels) < 100
