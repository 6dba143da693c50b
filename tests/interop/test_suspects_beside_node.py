"""Does a job that kills our worker fail alone, also where Node makes the stalled checks and counts by its own limit?"""

from __future__ import annotations

from typing import Any

import pytest
from support.server import PrivateServer

from oxcart import Queue
from oxcart.testing import wait_until

from .fleet import QUICK_RECOVERY, oxcart_member
from .node_driver import NodeDriver

INNOCENTS = 10


@pytest.mark.timeout(110)
async def test_innocents_complete_though_nodes_limit_is_one(
    node: NodeDriver, server: PrivateServer, redis: Any, redis_url: str, queue_name: str
) -> None:
    """Node is busy, so what its checks give up is claimed by us: no job that was not alone is failed."""
    theirs = node.queue(queue_name)
    (busy,) = await theirs.add_bulk([{"name": "job", "data": {"do": "slow", "ms": 100_000}, "opts": {}}])
    await theirs.start_worker(concurrency=1, name="node", **{**QUICK_RECOVERY, "maxStalledCount": 1})
    base = f"bull:{queue_name}:"

    async def is_busy() -> bool:
        return bool(await redis.lrange(f"{base}active", 0, -1) == [busy])

    await wait_until(is_busy, describe="Node is busy", timeout=20)
    ours = oxcart_member(server, queue_name, concurrency=25, max_stalled_count=3)
    async with Queue(queue_name, redis_url) as queue:
        slow = [("job", {"do": "slow", "ms": 700}, {"keep_completed": True})] * (INNOCENTS // 2)
        added = await queue.add_many([*slow, ("job", {"do": "die"}), *slow])
        poison, innocents = added[INNOCENTS // 2].id, [each.id for each in added if each.id != added[INNOCENTS // 2].id]

        async def have_ended() -> bool:
            if ours.has_ended:
                ours.kill()  # closes its pipes
                await ours.start()
            return bool(await redis.zcard(f"{base}completed") == INNOCENTS and await redis.zcard(f"{base}failed") == 1)

        await ours.start()
        try:
            await wait_until(have_ended, describe="all have ended", timeout=80)
        finally:
            ours.kill()

    assert await redis.zrange(f"{base}failed", 0, -1) == [poison]
    assert set(await redis.zrange(f"{base}completed", 0, -1)) == set(innocents)
    reason = await redis.hget(f"{base}{poison}", "failedReason")
    assert reason.startswith("job stalled more than allowable limit: ")
    assert "while it ran alone" in reason
