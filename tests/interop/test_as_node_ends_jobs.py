"""Do jobs end under our worker as under Node's: with the same reasons, and as many stack traces?"""

from __future__ import annotations

from typing import Any

import pytest

from oxcart import Queue
from oxcart.testing import running_worker, wait_until

from .behaviours import behaving_app
from .node_driver import NodeDriver

FAILS = {"do": "fail", "times": 9}


def family(queue: str, data: dict[str, Any], *children: dict[str, Any]) -> dict[str, Any]:
    return {"name": "job", "queueName": queue, "data": data, "children": list(children)}


def child(queue: str, **options: Any) -> dict[str, Any]:
    return {"name": "child", "queueName": f"{queue}-below", "data": FAILS, "opts": options}


async def end_of_parent(node: NodeDriver, redis_url: str, queue: str, tree: dict[str, Any], *, ours: bool) -> Any:
    """What Node shows of the parent when it has failed; our worker runs it, or Node's."""
    made = await node.add_flow(tree)
    parent = made["job"]["id"]
    await node.queue(f"{queue}-below").start_worker("below")

    async def has_failed() -> bool:
        return await node.queue(queue).state(parent) == "failed"

    if ours:
        async with running_worker(behaving_app(), url=redis_url, queue=queue):
            await wait_until(has_failed, describe="the parent has failed")
    else:
        await node.queue(queue).start_worker("above")
        await wait_until(has_failed, describe="the parent has failed")
        await node.queue(queue).stop_worker("above")
    await node.queue(f"{queue}-below").stop_worker("below")
    shown = await node.queue(queue).get(parent)
    first_line = shown["stacktrace"][-1].split("\n")[0].replace(queue, "QUEUE")
    reason = shown["failedReason"].replace(parent, "PARENT").replace(queue, "QUEUE")
    below = made["children"][0]["job"]["id"]
    return {
        "reason": reason.replace(below, "CHILD"),
        "traces": len(shown["stacktrace"]),
        "trace": first_line.replace(parent, "PARENT").replace(below, "CHILD"),
        "attempts": shown["attemptsMade"],
    }


async def test_a_parent_fails_through_a_child_as_under_node(node6: NodeDriver, redis_url: str, queue_name: str) -> None:
    theirs, ours = f"{queue_name}-theirs", f"{queue_name}-ours"
    trees = {name: family(name, {"do": "ok"}, child(name, failParentOnFailure=True)) for name in (theirs, ours)}

    expected = await end_of_parent(node6, redis_url, theirs, trees[theirs], ours=False)
    found = await end_of_parent(node6, redis_url, ours, trees[ours], ours=True)

    reason = "child bull:QUEUE-below:CHILD failed"
    assert (found["reason"], found["traces"], found["trace"]) == (reason, 1, f"UnrecoverableError: {reason}")
    assert found == expected


async def test_a_parent_with_a_pending_child_fails_with_nodes_sentence(
    node6: NodeDriver, redis_url: str, queue_name: str
) -> None:
    """People match on it."""
    made = await node6.add_flow(family(queue_name, {"do": "ok"}, child(queue_name, delay=3_600_000)))
    parent = made["job"]["id"]
    async with Queue(queue_name, redis_url) as queue:
        # As a child that is added while its parent runs.
        await queue._channel.command("Test", "ZREM", queue.keys.waiting_children, parent)
        await queue._channel.command("Test", "LPUSH", queue.keys.wait, parent)
        await queue._channel.command("Test", "ZADD", queue.keys.marker, 0, "0")

        async def has_failed() -> bool:
            return await queue.state(parent) == "failed"

        async with running_worker(behaving_app(), url=redis_url, queue=queue_name):
            await wait_until(has_failed, describe="it has failed")
        stored = await queue.get(parent)

    assert stored is not None
    assert stored.failed_reason == f"Job {parent} has pending dependencies. moveToFinished"
    assert len(stored.stacktrace) == 1


@pytest.mark.parametrize("pending", [True, False])
@pytest.mark.parametrize("by", ["node", "oxcart"])
async def test_a_child_that_has_ended_before_its_flow_comes_releases_nobody_too_early(
    by: str, pending: bool, node6: NodeDriver, redis_url: str, queue_name: str
) -> None:
    """BullMQ 6.7 waits until the whole flow is there; older scripts let the parent run beside its other children."""
    below = f"{queue_name}-below"
    async with Queue(queue_name, redis_url) as queue, Queue(below, redis_url) as children:
        done = await children.add("child", {"value": 7}, job_id="done")
        async with running_worker(behaving_app(), url=redis_url, queue=below):
            assert await done.result(timeout_seconds=10) == 7
        if by == "node":
            nodes = [{"name": "child", "queueName": below, "opts": {"jobId": "done"}}]
            nodes += [{"name": "child", "queueName": below, "data": {"value": 8}}] if pending else []
            made = await node6.add_flow(family(queue_name, {"do": "children"}, *nodes))
            parent = made["job"]["id"]
        else:
            tree: list[dict[str, Any]] = [{"name": "child", "queue": below, "options": {"job_id": "done"}}]
            tree += [{"name": "child", "queue": below, "data": {"value": 8}}] if pending else []
            added = await queue.add_flow({"name": "job", "data": {"do": "children"}, "children": tree})
            parent = added.id

        assert await queue.state(parent) == ("waiting-children" if pending else "waiting")
        async with (
            running_worker(behaving_app(), url=redis_url, queue=queue_name),
            running_worker(behaving_app(), url=redis_url, queue=below),
        ):
            values = await queue.result(parent, timeout_seconds=10)

    assert sorted(values.values()) == ([7, 8] if pending else [7])
