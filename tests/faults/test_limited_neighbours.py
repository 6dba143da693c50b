"""Does a queue that may give no job now hold up the others? One that is limited in some way, with a backlog."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from support.pacing import CommandCount, let_pass
from support.server import PrivateServer
from support.starts import Starts
from support.store import Store
from support.watched import watched_worker

from oxcart import Queue
from oxcart.settings import QueueShare
from oxcart.testing import wait_until

STARTS_WITHIN_SECONDS = 1.0
WINDOW_SECONDS = 0.1
BACKLOG = 50
UNHURRIED: dict[str, Any] = {"lock_duration_ms": 30_000, "stalled_interval_ms": 30_000}
"""As in production: no other loop looks at the queues meanwhile."""


async def limit(queue: Queue, how: str) -> None:
    if how == "rate limit":
        await queue.set_rate_limit(1, duration_seconds=60)
    else:
        await queue.set_global_concurrency(1)


def when_started(job_id: str, *workers: Starts) -> Any:
    """Both serve our own queue."""
    return next((starts.at[job_id] for starts in workers if job_id in starts.at), None)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("how", ["rate limit", "global concurrency"])
@pytest.mark.parametrize("neighbour", ["another user queue", "our own queue"])
@pytest.mark.parametrize("taken_by", ["this worker", "another worker"])
async def test_jobs_beside_a_limited_queue_start_at_once(
    how: str, neighbour: str, taken_by: str, fresh_server: PrivateServer, queue: Queue
) -> None:
    """After a time of quiet, too: what the limited queue says of itself then must not be all that is heard."""
    starts, others = Starts(), Starts()
    limited_name = f"{queue.name}-limited"
    beside_name = queue.name if neighbour == "another user queue" else "oxcart"
    queues = (QueueShare(limited_name, None), QueueShare(queue.name, None))
    async with (
        AsyncExitStack() as stack,
        Queue(limited_name, fresh_server.url) as limited,
        Queue(beside_name, fresh_server.url) as beside,
    ):
        await limit(limited, how)
        first, *_ = await limited.add_many([("held", n) for n in range(BACKLOG)])
        if taken_by == "another worker":
            other = watched_worker(others.app(), fresh_server.url, limited_name, **UNHURRIED)
            stack.push_async_callback((await stack.enter_async_context(other)).worker.stop)
            await wait_until(lambda: first.id in others.at, describe="the limited queue has given its one job")
        async with watched_worker(starts.app(), fresh_server.url, queue.name, queues=queues, **UNHURRIED):
            if taken_by == "this worker":
                await wait_until(lambda: first.id in starts.at, describe="the limited queue has given its one job")
            for gap_seconds in (1.5, 0, 0, 0.1, 0.3):
                await let_pass(gap_seconds)
                asked_at = time.monotonic()
                added = await beside.add("quick")
                started_at: float = await wait_until(
                    partial(when_started, added.id, starts, others), describe="it has started", timeout=3
                )
                assert started_at - asked_at < STARTS_WITHIN_SECONDS
            assert len(starts.order) + len(others.order) == 6
            starts.go.set()
            others.go.set()


@pytest.mark.takes_seconds
async def test_a_backlog_without_room_costs_next_to_nothing(
    fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """`fast,slow:2`: two jobs of `slow` run, more wait, and nobody can take them."""
    starts = Starts()
    slow_name = f"{queue.name}-slow"
    queues = (QueueShare(queue.name, None), QueueShare(slow_name, 2))
    async with Queue(slow_name, fresh_server.url) as slow:
        await slow.add_many([("held", n) for n in range(20)])
        async with watched_worker(starts.app(), fresh_server.url, queue.name, queues=queues, **UNHURRIED):
            await wait_until(lambda: len(starts.order) == 2, describe="two run")
            await let_pass(2)
            count = CommandCount(store.client)
            await let_pass(6)
            asked = count()
            assert sum(asked.values()) <= 20, asked  # three waits of 2 s and a look of three or two, for two queues
            starts.go.set()
            await wait_until(lambda: len(starts.order) == 20, describe="all have run", timeout=3)


async def test_a_limited_queue_gives_its_next_job_when_the_limit_ends(
    fresh_server: PrivateServer, queue: Queue
) -> None:
    """Twenty times, as a timer that is early by a part of a millisecond must not lose what it was set for."""
    starts = Starts()
    await queue.set_rate_limit(1, duration_seconds=WINDOW_SECONDS)
    ids = [job.id for job in await queue.add_many([("quick", n) for n in range(20)])]
    async with watched_worker(starts.app(), fresh_server.url, queue.name, **UNHURRIED):
        await wait_until(lambda: len(starts.order) == 20, describe="all have started", timeout=20)
    times = [starts.at[job_id] for job_id in ids]
    assert max(later - earlier for earlier, later in pairwise(times)) < WINDOW_SECONDS + STARTS_WITHIN_SECONDS
