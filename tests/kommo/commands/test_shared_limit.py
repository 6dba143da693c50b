"""Do three commands at once, each a process of its own, keep to Kommo's limit, its pause and its block together?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from oxcart_sandbox.scenario import change_scenario

KOMMO_S_LIMIT = 7
RETRY_AFTER = 1.0
UNDER_WAY_SECONDS = 0.3
"""Of a request that had left before another one's answer was there."""


async def test_three_syncs_at_once_keep_to_the_limit_the_pause_and_the_block(
    make_crm: Callable[..., Any], sqlite_url: str
) -> None:
    async with make_crm(sqlite_url) as crm:
        await crm.connect("--no-sync")
        limits = {"requests_per_second": KOMMO_S_LIMIT, "retry_after_real_seconds": RETRY_AFTER}
        crm.world.scenario = change_scenario(crm.world.scenario, limits)
        crm.world.faults.plan({"kind": "429", "skip": 4})
        crm.world.faults.plan({"kind": "blocked", "skip": 10, "times": 99})
        crm.world.seen.clear()

        done = await asyncio.gather(
            *(crm.oxcart("kommo", "sync", "--now", "--full", OXCART_KOMMO_REQUESTS_PER_SECOND="5") for _ in range(3))
        )

        seen = list(crm.world.seen)
        times = [one.at for one in seen]
        assert max(sum(start <= at < start + 1.0 for at in times) for start in times) <= KOMMO_S_LIMIT
        (refused,) = [one.at for one in seen if one.status == 429]
        later = [at - refused for at in times if at > refused + UNDER_WAY_SECONDS]
        assert min(later) >= RETRY_AFTER
        blocked = [one.at for one in seen if one.status == 403]
        assert max(times) <= blocked[0] + UNDER_WAY_SECONDS
        assert 1 <= len(blocked) <= 2, "one more may have been under way"
        assert any("blocked this a" in one.err for one in done)
        assert {one.code for one in done} != {0}
