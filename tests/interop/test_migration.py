"""Can a platform move over, and back? Node, then both, then Oxcart, then Node again; docs/migrate-from-node.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from support.server import PrivateServer

from oxcart import Queue
from oxcart.testing import wait_until

from .fleet import NodeMember, oxcart_member
from .node_driver import NodeDriver

JOBS = 5000
NODE, BOTH, OXCART = 1000, 2000, 3500
"""How many jobs are finished when the next step of the move is taken."""

DELAYED_MS = 3000


@pytest.fixture(params=["5", "6"], ids=["bullmq5", "bullmq6"])
def major(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def node_worker(server: PrivateServer, queue_name: str, major: str) -> AsyncIterator[NodeMember]:
    """The platform's worker, before and after, running."""
    member = NodeMember(server, queue_name, major)
    await member.start()
    yield member
    member.kill()


def work(number: int) -> dict[str, Any]:
    """What a platform's queue holds: quick and slow jobs, some that fail at first."""
    if number % 50 == 7:
        return {"do": "fail", "times": 1, "value": number}
    return {"do": "slow", "ms": (0, 1, 5, 20)[number % 4], "value": number}


def options(number: int) -> dict[str, Any]:
    """All kept, to be counted. Some later, some urgent, some with an id of the platform's own."""
    chosen: dict[str, Any] = {"removeOnComplete": False, "attempts": 3}
    if number % 100 == 3:
        chosen["delay"] = DELAYED_MS
    if number % 100 == 4:
        chosen["priority"] = 1
    if number % 100 == 5:
        chosen["jobId"] = f"contact-{number}"
    return chosen


@pytest.mark.timeout(110)
async def test_no_job_is_lost_from_node_to_oxcart_and_back(
    node_worker: NodeMember,
    server: PrivateServer,
    node5: NodeDriver,
    node6: NodeDriver,
    major: str,
    redis: Any,
    redis_url: str,
    queue_name: str,
) -> None:
    """Node ends by kill -9, as a platform without a draining time ends it: its active jobs come back."""
    producer = (node5 if major == "5" else node6).queue(queue_name)
    oxcart_worker = oxcart_member(server, queue_name, shutdown_grace_seconds=5)
    try:
        async with Queue(queue_name, redis_url) as queue:
            jobs = [{"name": "job", "data": work(n), "opts": options(n)} for n in range(JOBS)]
            ids = [
                job_id for start in range(0, JOBS, 500) for job_id in await producer.add_bulk(jobs[start : start + 500])
            ]

            await wait_until(partial(completed, queue, NODE), describe="Node works alone", timeout=60)
            await oxcart_worker.start()
            await wait_until(partial(completed, queue, BOTH), describe="both work side by side", timeout=60)
            node_worker.kill()
            await wait_until(partial(completed, queue, OXCART), describe="Oxcart works alone", timeout=60)
            await node_worker.start()
            await oxcart_worker.stop()
            await wait_until(partial(completed, queue, JOBS), describe="Node finishes the rest", timeout=60)

            counts = await queue.counts()
        assert {state: number for state, number in counts.items() if number} == {"completed": JOBS}
        stored = [await redis.hgetall(f"bull:{queue_name}:{job_id}") for job_id in ids]
        assert [job["returnvalue"] for job in stored] == [str(number) for number in range(JOBS)]
        by = Counter("oxcart" if job.get("pb", "").startswith("oxcart-") else "node" for job in stored)
        assert by["node"] > NODE, f"Node worked before and after: {by}"
        assert by["oxcart"] > OXCART - BOTH, f"Oxcart worked between: {by}"
        assert not await redis.keys(f"bull:{queue_name}:*:lock")
    finally:
        oxcart_worker.kill()


@pytest.mark.timeout(110)
async def test_a_fixed_id_that_node_has_finished_is_not_added_again_by_either_side(
    node_worker: NodeMember, node5: NodeDriver, node6: NodeDriver, major: str, redis_url: str, queue_name: str
) -> None:
    """What swallows a re-sync after the move: the old job of that id is still kept, and must be removed first."""
    producer = (node5 if major == "5" else node6).queue(queue_name)
    async with Queue(queue_name, redis_url) as queue:
        await producer.add("job", {"value": "first"}, jobId="sync-crm", removeOnComplete=False)
        await wait_until(partial(completed, queue, 1), describe="Node has finished it")
        node_worker.kill()

        await queue.add("job", {"value": "second"}, job_id="sync-crm")
        swallowed = await queue.get("sync-crm")
        await queue.remove("sync-crm")
        await queue.add("job", {"value": "third"}, job_id="sync-crm")
        again = await queue.get("sync-crm")

    assert swallowed is not None
    assert again is not None
    assert (swallowed.data["value"], again.data["value"]) == ("first", "third")


async def completed(queue: Queue, at_least: int) -> bool:
    return (await queue.counts())["completed"] >= at_least
