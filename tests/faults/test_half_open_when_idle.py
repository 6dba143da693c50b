"""Are jobs run within 5 s though an idle worker's connections hang, and does it take none with it?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.effects import Effects
from support.pacing import let_pass
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store
from support.watched import watched_worker

from oxcart import Oxcart, Queue
from oxcart.testing import wait_until
from oxcart.worker.waiting import BEHIND_SECONDS, FOLLOW_WITHIN_SECONDS

JOBS = 20
RUN_WITHIN_SECONDS = 5.0  # docs/guarantees.md, 3
LOCK_MS = 30_000

WHICH: dict[str, Callable[[str], bool]] = {
    "the one that waits": lambda last_command: last_command in {"BZPOPMIN", "EVALSHA", "EVAL"},
    "all of them": lambda _last_command: True,
}


@pytest.mark.takes_seconds
@pytest.mark.parametrize("which", WHICH)
@pytest.mark.parametrize("idle_seconds", [0.0, FOLLOW_WITHIN_SECONDS + 1.0], ids=["just now", "idle"])
async def test_what_came_over_a_half_open_connection_is_run(
    idle_seconds: float,
    which: str,
    app: Oxcart,
    effects: Effects,
    proxy: FaultProxy,
    proxied_url: str,
    queue: Queue,
    store: Store,
) -> None:
    """Requests still pass, and what they claim never arrives. New connections are good."""
    async with watched_worker(app, proxied_url, queue.name, lock_duration_ms=LOCK_MS) as watched:
        first = await queue.add("quick")
        await wait_until(lambda: store.ended([first.id]), describe="jobs come")
        await let_pass(idle_seconds)
        await wait_until(store.is_watched, describe="it waits for jobs")
        proxy.mute(WHICH[which])
        ids = [added.id for added in await queue.add_many([("quick", n) for n in range(JOBS)])]
        await wait_until(lambda: store.ended(ids), describe="all have run", timeout=RUN_WITHIN_SECONDS + 0.5)
        await wait_until(lambda: watched.status.healthy, describe="the worker is well")
    assert set(effects.done.values()) == {1}
    store.assert_ended_once(ids)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("idle_seconds", [BEHIND_SECONDS, FOLLOW_WITHIN_SECONDS + 1.0], ids=["just now", "idle"])
async def test_a_worker_that_is_cut_off_takes_no_jobs_with_it(
    idle_seconds: float,
    app: Oxcart,
    effects: Effects,
    fresh_server: PrivateServer,
    proxy: FaultProxy,
    proxied_url: str,
    queue: Queue,
    store: Store,
) -> None:
    """Nothing passes, new connections included, and the server does not know. Others have the jobs."""
    others = Effects()
    async with watched_worker(app, proxied_url, queue.name, lock_duration_ms=LOCK_MS):
        first = await queue.add("quick")
        await wait_until(lambda: store.ended([first.id]), describe="jobs come")
        if idle_seconds > FOLLOW_WITHIN_SECONDS:
            await let_pass(idle_seconds)
        await wait_until(store.is_watched, describe="it waits for jobs")
        proxy.freeze()
        if idle_seconds <= FOLLOW_WITHIN_SECONDS:
            await let_pass(idle_seconds + 0.1)
        ids = [added.id for added in await queue.add_many([("quick", n) for n in range(JOBS)])]
        async with watched_worker(others.app(), fresh_server.url, queue.name, lock_duration_ms=LOCK_MS):
            await wait_until(lambda: store.ended(ids), describe="all have run", timeout=RUN_WITHIN_SECONDS)
        proxy.thaw()
    assert set(others.done) == set(ids)
    store.assert_ended_once(ids)
