"""Are jobs claimed soon after a server that took no more connections takes some again?"""

from __future__ import annotations

import pytest
from support.effects import Effects
from support.pacing import let_pass
from support.proxy import FaultProxy
from support.store import Store
from support.watched import watched_worker

from oxcart import Oxcart, Queue
from oxcart.testing import wait_until

FULL_SECONDS = 12.0  # with a quota's patience the next attempt would be up to a minute away by then
RESUMES_WITHIN_SECONDS = 5.0  # docs/guarantees.md, 6


@pytest.mark.takes_seconds
async def test_claims_resume_soon_after_the_server_takes_connections_again(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """Nobody bills a connection that is refused: there is no reason to be patient."""
    async with watched_worker(app, proxied_url, queue.name) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker is well")
        first = await queue.add("quick")
        await wait_until(lambda: store.ended([first.id]), describe="a job has run")
        most = store.client.config_get("maxclients")["maxclients"]
        store.client.config_set("maxclients", 1)
        proxy.cut()
        added = await queue.add("quick")  # over a connection that it had before
        await wait_until(lambda: watched.failure_code == "Q_CONN", describe="the status says why")
        await let_pass(FULL_SECONDS)
        assert watched.failure_code == "Q_CONN"
        store.client.config_set("maxclients", most)
        await wait_until(lambda: store.ended([added.id]), describe="it has run", timeout=RESUMES_WITHIN_SECONDS)
    store.assert_ended_once([first.id, added.id])
