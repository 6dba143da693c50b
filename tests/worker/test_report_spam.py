"""Do handlers that report all the time leave the way free for those that seldom do, and for the worker itself?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.pacing import let_pass
from support.proxy import FaultProxy
from support.watched import watched_worker

from oxcart import Job, Oxcart, Queue
from oxcart.testing import wait_until

SPAMMERS = 20
LARGE_REPORT = "x" * 200_000
BYTES_PER_SECOND = 1_000_000
MOST_BYTES_AHEAD = 3 * len(LARGE_REPORT)  # what was on its way, one more, and half as much again for all else
ROUND_TRIP_MS = 20.0


@pytest.fixture
def proxy(server: Any) -> Iterator[FaultProxy]:
    with FaultProxy(server.port, server.host) as started:
        started.delay_ms = ROUND_TRIP_MS / 2
        yield started


def spamming_app(ends: asyncio.Event, ahead: list[int], asked: list[int], proxy: FaultProxy) -> Oxcart:
    app = Oxcart()

    @app.job("spam")
    async def spam(job: Job[str]) -> None:
        while not ends.is_set():
            await asyncio.gather(*(job.log(line) for line in [job.data] * 10))

    @app.job("neighbour")
    async def neighbour(job: Job) -> None:
        for number in range(10):
            await let_pass(0.1)
            before = proxy.bytes_to_server
            await job.progress(number)
            ahead.append(proxy.bytes_to_server - before)
            before = proxy.bytes_to_server
            await job.children_values()  # on the link that the stalled check has, too
            asked.append(proxy.bytes_to_server - before)
        ends.set()

    return app


@pytest.mark.takes_seconds
@pytest.mark.parametrize("line", ["", LARGE_REPORT], ids=["many", "large"])
async def test_a_job_that_seldom_reports_does_not_wait_for_those_that_always_do(
    line: str, redis_url: str, queue_name: str, proxy: FaultProxy, server: Any
) -> None:
    """Counted in bytes that pass between its report and the answer; the same for what the worker itself asks."""
    ends, ahead, asked = asyncio.Event(), list[int](), list[int]()
    url = redis_url.replace(f":{server.port}", f":{proxy.port}")
    app = spamming_app(ends, ahead, asked, proxy)
    async with Queue(queue_name, redis_url) as queue, watched_worker(app, url, queue_name, concurrency=30) as watched:
        spammers = await queue.add_many([("spam", line)] * SPAMMERS)
        await wait_until(lambda: watched.status.jobs_processing == SPAMMERS, describe="all report")
        proxy.up_bytes_per_second = BYTES_PER_SECOND
        await queue.add("neighbour")
        await wait_until(ends.is_set, describe="the neighbour has reported", timeout=60)
        proxy.up_bytes_per_second = None
        for added in spammers:
            await added.result(timeout_seconds=20)
    assert sorted(ahead)[len(ahead) // 2] < MOST_BYTES_AHEAD, ahead
    assert sorted(asked)[len(asked) // 2] < MOST_BYTES_AHEAD, asked
