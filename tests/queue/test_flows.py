"""Does a tree of jobs arrive as BullMQ's FlowProducer would have added it?"""

from __future__ import annotations

from typing import Any

import bullmq
import pytest
from bullmq import FlowProducer
from redis.asyncio import Redis

from oxcart.errors import InvalidInput, ServerRefused
from oxcart.queue.producer import Queue

NOW = 1_790_000_000_000


def options(job_id: str, **more: Any) -> dict[str, Any]:
    return {"job_id": job_id, "timestamp_ms": NOW, **more}


def reference_options(job_id: str, **more: Any) -> dict[str, Any]:
    return {"jobId": job_id, "timestamp": NOW, **more}


async def test_a_flow_leaves_the_keys_that_bullmq_leaves(
    queue: Queue, reference: Any, redis_url: str, snapshot: Any
) -> None:
    other, their_other = f"{queue.name}-other", f"{reference.name}-other"

    await queue.add_flow(
        {
            "name": "root",
            "options": options("root"),
            "children": [
                {"name": "a", "data": {"n": 1}, "queue": other, "options": options("a", priority=2)},
                {
                    "name": "b",
                    "options": options("b", on_failure="fail_parent"),
                    "children": [{"name": "leaf", "options": options("leaf", delay_seconds=5)}],
                },
            ],
        }
    )
    producer = FlowProducer(redis_url)
    await producer.add(
        {
            "name": "root",
            "data": {},
            "queueName": reference.name,
            "opts": reference_options("root"),
            "children": [
                {"name": "a", "data": {"n": 1}, "queueName": their_other, "opts": reference_options("a", priority=2)},
                {
                    "name": "b",
                    "data": {},
                    "queueName": reference.name,
                    "opts": reference_options("b", failParentOnFailure=True),
                    "children": [
                        {
                            "name": "leaf",
                            "data": {},
                            "queueName": reference.name,
                            "opts": reference_options("leaf", delay=5000),
                        }
                    ],
                },
            ],
        }
    )
    await producer.close()

    assert await snapshot(queue.name) == await snapshot(reference.name)


async def test_a_parent_runs_after_its_children_and_reads_their_values(queue: Queue, redis_url: str) -> None:
    async def run(job: bullmq.Job, _token: str) -> Any:
        return {"ran": job.name}

    flow = await queue.add_flow({"name": "root", "children": [{"name": "a"}, {"name": "b"}]})
    worker = bullmq.Worker(queue.name, run, {"connection": redis_url})
    try:
        assert await queue.result(flow.id, timeout_seconds=30) == {"ran": "root"}
    finally:
        await worker.close(force=True)

    values = await queue.children_values(flow.id)
    assert sorted(value["ran"] for value in values.values()) == ["a", "b"]


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({}, 'at least "name"'),
        ({"name": "x", "child": []}, "has no 'child'"),
        ({"name": "x", "children": [{"name": ""}]}, "its name is a string that is not empty"),
        ({"name": "x", "children": [{"name": "y", "options": {"parent": {"id": "1", "queue": "q"}}}]}, "in the tree"),
        ({"name": "x", "options": {"deduplication": "d"}, "children": [{"name": "y"}]}, "cannot be deduplicated"),
    ],
)
async def test_a_flow_that_cannot_work_is_refused_before_anything_is_sent(
    queue: Queue, tree: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        await queue.add_flow(tree)

    assert sum((await queue.counts()).values()) == 0


@pytest.mark.parametrize("root_id", [None, "own-root"])
async def test_of_a_flow_with_a_refused_job_nothing_stays(queue: Queue, redis: Redis, root_id: str | None) -> None:
    """Its parent would wait for ever for a child that is not there. Of several in one call nothing stays either."""
    broken = f"{queue.name}-broken"
    await redis.set(f"bull:{broken}:wait", "of a wrong type")
    children = [
        {"name": "good", "children": [{"name": "leaf", "options": {"job_id": "own-leaf"}}]},
        {"name": "bad", "queue": broken},
    ]
    halves: dict[str, Any] = {"name": "root", "options": {"job_id": root_id} if root_id else {}, "children": children}
    whole: dict[str, Any] = {"name": "root", "children": [{"name": "good"}]}

    for flows in ([halves], [whole, halves], [halves, whole]):
        with pytest.raises(ServerRefused):
            await queue.add_flows(flows)

        assert {state: number for state, number in (await queue.counts()).items() if number} == {}
    assert await redis.keys(f"bull:{queue.name}:o*") == []
    await redis.delete(f"bull:{broken}:wait")


async def test_what_was_there_before_a_refused_flow_stays(queue: Queue, redis: Redis) -> None:
    broken = f"{queue.name}-broken"
    await redis.set(f"bull:{broken}:wait", "of a wrong type")
    await queue.add("mine", {"n": 1}, job_id="there")
    await queue.add_flow({"name": "root", "options": {"job_id": "tree"}, "children": [{"name": "first"}]})
    more = [{"name": "mine", "options": {"job_id": "there"}}, {"name": "second"}, {"name": "bad", "queue": broken}]

    with pytest.raises(ServerRefused):
        await queue.add_flow({"name": "root", "options": {"job_id": "tree"}, "children": more})

    left = {state: number for state, number in (await queue.counts()).items() if number}
    assert left == {"waiting": 2, "waiting-children": 1}
    assert (await queue.jobs("waiting"))[0].name == "mine"
    await redis.delete(f"bull:{broken}:wait")
