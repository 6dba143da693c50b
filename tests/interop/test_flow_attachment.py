"""What becomes of a flow one of whose children another parent holds? BullMQ 6.7 keeps its parent waiting."""

from __future__ import annotations

from typing import Any

import pytest

from oxcart import Queue
from oxcart.errors import OxcartError
from oxcart.testing import running_worker

from .behaviours import behaving_app
from .node_driver import NodeDriver

LATER_MS = 3_600_000


def theirs(queue: str, root: str, *children: str) -> dict[str, Any]:
    nodes = [{"name": "child", "queueName": queue, "opts": {"jobId": one, "delay": LATER_MS}} for one in children]
    return {"name": "job", "queueName": queue, "data": {}, "opts": {"jobId": root}, "children": nodes}


def ours(root: str, *children: str) -> dict[str, Any]:
    nodes = [{"name": "child", "options": {"job_id": one}} for one in children]
    return {"name": "job", "options": {"job_id": root}, "children": nodes}


async def family(redis: Any, queue: str) -> dict[str, Any]:
    """Every key but events, times, and the marker, which a job that was taken back leaves."""
    base, found = f"bull:{queue}:", dict[str, Any]()
    async for key in redis.scan_iter(f"{base}*", count=1000):
        kind = await redis.type(key)
        name = key.removeprefix(base)
        if kind == "hash":
            found[name] = {field: text for field, text in (await redis.hgetall(key)).items() if field != "timestamp"}
        elif kind == "zset" and name != "marker":
            found[name] = await redis.zrange(key, 0, -1)
        elif kind == "set":
            found[name] = await redis.smembers(key)
    return found


async def held_elsewhere(node6: NodeDriver, redis_url: str, queue: Queue) -> None:
    """A child that has ended, and one that waits for another parent."""
    done = await queue.add("child", {"value": 7}, job_id="done", keep_completed=True)
    async with running_worker(behaving_app(), url=redis_url, queue=queue.name):
        await done.result(timeout_seconds=10)
    await node6.add_flow(theirs(queue.name, "holder", "held"))


@pytest.mark.parametrize("by", ["node", "oxcart"])
async def test_a_parent_that_was_there_waits_on(
    by: str, node6: NodeDriver, redis: Any, redis_url: str, queue_name: str
) -> None:
    """Left so by Node, and not let run by a repeated add: not all of its children are its own."""
    async with Queue(queue_name, redis_url) as queue:
        await held_elsewhere(node6, redis_url, queue)
        await node6.add_flow(theirs(queue_name, "root", "done", "held"))
        before = await family(redis, queue_name)

        if by == "node":
            await node6.add_flow(theirs(queue_name, "root", "done", "held"))
        else:
            with pytest.raises(OxcartError, match="has another parent"):
                await queue.add_flow(ours("root", "done", "held"))

        assert await queue.state("root") == "waiting-children"
        assert before["root:processed"] == {f"bull:{queue_name}:done": "7"}
        assert "flowAttachmentFailed" not in before["root"]
        assert await family(redis, queue_name) == before


async def test_of_a_flow_that_is_taken_back_only_what_is_new_goes(
    node6: NodeDriver, redis: Any, redis_url: str, queue_name: str
) -> None:
    """What had ended before is somebody's result, and what another parent holds is its child."""
    async with Queue(queue_name, redis_url) as queue:
        await held_elsewhere(node6, redis_url, queue)
        before = await family(redis, queue_name)

        with pytest.raises(OxcartError, match="has another parent"):
            await queue.add_flow(ours("root", "done", "held", "new"))

        after = await family(redis, queue_name)
        for job in ("parent", "parentKey"):
            after["done"].pop(job)
        assert after == before
        assert await node6.queue(queue_name).state("held") == "delayed"
