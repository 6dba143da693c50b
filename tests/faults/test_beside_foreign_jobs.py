"""Does a worker beside foreign jobs run what is its own, after an outage and without a permission?"""

from __future__ import annotations

from support.effects import Effects
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store
from support.watched import watched_worker

from oxcart import Oxcart, Queue
from oxcart.testing import wait_until


async def test_a_replica_that_lacks_the_last_writes_hides_nothing(
    app: Oxcart, effects: Effects, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """The counter of urgent jobs goes back with it, and our own job gets the number of a foreign one that is lost."""
    await queue.add("foreign", priority=9)
    lost = await queue.add("foreign", priority=1)
    async with watched_worker(app, proxied_url, queue.name) as watched:
        first = await queue.add("quick")
        await wait_until(lambda: effects.done[first.id] == 1, describe="the foreign ones have been looked at")

        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: not watched.status.redis.connected, describe="the outage has been noticed")
        store.client.delete(store.base + lost.id)
        store.client.zrem(f"{store.base}prioritized", lost.id)
        store.client.set(f"{store.base}pc", 1)
        second = await queue.add("quick", priority=1)
        proxy.accept()
        await wait_until(lambda: effects.done[second.id] == 1, describe="the second one has run", timeout=10)


async def test_a_permission_that_lacks_at_the_end_of_a_claim_strands_no_job(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store
) -> None:
    """The newest event is read when the jobs are locked already."""
    store.client.execute_command("ACL", "SETUSER", "u", "on", ">p", "~*", "&*", "+@all", "-xrevrange")
    await queue.add("foreign")
    url = f"redis://u:p@{fresh_server.host}:{fresh_server.port}/0"
    async with watched_worker(app, url, queue.name, lock_duration_ms=30_000) as watched:
        added = await queue.add("quick")
        await wait_until(lambda: effects.done[added.id] == 1, describe="it has run", timeout=10)
        assert watched.failure_code == "PERM" or watched.status.refused_queues
