"""Do jobs that Node adds in bulk run in the order in which Node put them into `wait`?"""

from __future__ import annotations

import pytest
from support.starts import Starts

from oxcart.testing import running_worker, wait_until

from .node_driver import NodeDriver

ROUNDS = 8


@pytest.mark.parametrize("jobs", [10, 30, 100])
async def test_with_one_slot_jobs_of_nodes_add_bulk_start_in_their_order(
    jobs: int, node: NodeDriver, redis_url: str, queue_name: str
) -> None:
    starts, theirs = Starts(), node.queue(queue_name)
    async with running_worker(starts.app(), url=redis_url, queue=queue_name, concurrency=1):
        for round_number in range(ROUNDS):
            starts.order.clear()
            ids = await theirs.add_bulk([{"name": "quick", "data": n} for n in range(jobs)])
            await wait_until(lambda: len(starts.order) >= jobs, describe="all have started")
            assert starts.order == ids, f"round {round_number}"
