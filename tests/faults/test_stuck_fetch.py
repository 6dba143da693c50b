"""Is /health red when nobody fetches, though all else is answered; and green when there is only no room?"""

from __future__ import annotations

from typing import Any

import pytest
from support.pacing import let_pass
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.starts import Starts
from support.watched import watched_worker

from oxcart import Queue
from oxcart.testing import wait_until

NOTICED_WITHIN_SECONDS = 26.0  # the longest wait, the margin, and one: as much as a blocked call may take
BEYOND_THE_WAIT_SECONDS = 27.0
ALWAYS = 1_000_000


@pytest.mark.takes_seconds
async def test_a_worker_whose_fetches_are_not_answered_is_not_well(
    proxy: FaultProxy, proxied_url: str, queue: Queue, fresh_server: PrivateServer
) -> None:
    """Its running job's lock is renewed, and a PING is answered: the job that waits does not run for that."""
    starts = Starts()
    async with watched_worker(starts.app(), proxied_url, queue.name) as watched:
        held = await queue.add("held")
        await wait_until(lambda: held.id in starts.at, describe="a job runs, and its lock is renewed")
        await wait_until(lambda: watched.status.healthy, describe="every queue is fetched")
        wait, marker = queue.keys.wait.encode(), queue.keys.marker.encode()
        proxy.lose_replies(lambda command: wait in command or marker in command, ALWAYS, then="hold")
        await wait_until(lambda: not watched.status.healthy, describe="it is noticed", timeout=NOTICED_WITHIN_SECONDS)
        for _ in range(80):
            await let_pass(0.1)
            assert not watched.status.healthy, "it says that it is well, and fetches nothing"
        proxy.faults.clear()
        starts.go.set()
        proxy.cut()
        await wait_until(lambda: watched.status.healthy, describe="the worker is well again", timeout=5)


@pytest.mark.slow
@pytest.mark.takes_seconds
@pytest.mark.parametrize("lock_seconds", [1, 30, 120])
async def test_a_worker_with_no_room_for_longer_than_a_wait_is_well(
    lock_seconds: int, proxy: FaultProxy, proxied_url: str, queue: Queue, fresh_server: PrivateServer
) -> None:
    """Whether or not locks are renewed so often that their answers tell that the server is there."""
    starts = Starts()
    settings: dict[str, Any] = {"concurrency": 2, "lock_duration_ms": lock_seconds * 1000}
    async with watched_worker(starts.app(), proxied_url, queue.name, **settings) as watched:
        await queue.add_many([("held", n) for n in range(4)])
        await wait_until(lambda: len(starts.order) == 2, describe="all slots are taken")
        looks = list[bool]()
        for _ in range(27):
            await let_pass(BEYOND_THE_WAIT_SECONDS / 27)
            looks.append(watched.status.healthy)
        assert all(looks)
        starts.go.set()
        await wait_until(lambda: len(starts.order) == 4, describe="the others have run, too", timeout=3)
