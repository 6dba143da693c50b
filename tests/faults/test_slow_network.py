"""Does a large result arrive over a slow network, and is nothing else in its way?"""

from __future__ import annotations

import pytest
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store
from support.watched import watched_worker

from oxcart import Job, Oxcart, Queue, clock
from oxcart.telemetry.events import RedisLost
from oxcart.testing import wait_until

BYTES_PER_SECOND = 450 * 1024
RESULT_BYTES = 8 * 1024 * 1024  # 18 s; an exchange may take 15 s without progress
SMALL_WITHIN_SECONDS = 2.0
ARRIVES_WITHIN_SECONDS = 60.0


def app_with_results() -> Oxcart:
    app = Oxcart()

    @app.job("large")
    async def large(job: Job[int]) -> str:
        return "x" * job.data

    @app.job("small")
    async def small(job: Job[int]) -> int:
        return job.data

    return app


@pytest.mark.takes_seconds
@pytest.mark.parametrize(
    "narrow",
    [pytest.param(True, id="slow from us on"), pytest.param(False, id="slow behind a buffer", marks=pytest.mark.slow)],
)
async def test_a_large_result_arrives_and_small_ones_overtake_it(
    narrow: bool, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """Jobs claimed and done meanwhile do not wait for it; its lock is renewed, nothing is sent twice.

    All are kept: it finished before the small ones did, and a thousand of those would push it out as it arrives.
    """
    with FaultProxy(fresh_server.port, narrow=narrow) as proxy:
        url = fresh_server.url.replace(f":{fresh_server.port}/", f":{proxy.port}/")
        async with watched_worker(app_with_results(), url, queue.name, lock_duration_ms=9000) as watched:
            await wait_until(lambda: watched.status.healthy, describe="the worker is well")
            proxy.up_bytes_per_second = BYTES_PER_SECOND
            sent_before = proxy.bytes_to_server
            large = await queue.add("large", RESULT_BYTES, keep_completed=True)
            await wait_until(lambda: watched.status.outbox_verdicts == 1, describe="the result is on its way")
            arrives_until = clock.monotonic() + ARRIVES_WITHIN_SECONDS
            while not store.ended([large.id]):
                assert clock.monotonic() < arrives_until, "it has not arrived"
                small = await queue.add("small", 1, keep_completed=True)
                await wait_until(
                    lambda: store.ended([small.id]),  # noqa: B023
                    describe="a small one has ended meanwhile",
                    timeout=SMALL_WITHIN_SECONDS,
                )
                assert watched.status.healthy
            assert proxy.bytes_to_server - sent_before < RESULT_BYTES * 1.4, "it was sent again"
        assert watched.told(RedisLost) == []
    store.assert_ended_once([large.id])
