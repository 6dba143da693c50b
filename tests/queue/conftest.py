"""What do tests of a queue get? Our Queue, and BullMQ's own Python port on the same server as the reference."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import bullmq
import pytest

from oxcart.queue.producer import Queue

Snapshot = dict[str, Any]


@pytest.fixture
async def queue(redis_url: str, queue_name: str) -> AsyncIterator[Queue]:
    async with Queue(queue_name, redis_url) as opened:
        yield opened


@pytest.fixture
async def reference(redis_url: str, queue_name: str) -> AsyncIterator[Any]:
    """A queue of its own name, added to by the reference."""
    opened = bullmq.Queue(f"{queue_name}-reference", {"connection": redis_url})
    yield opened
    await opened.close()


@pytest.fixture
def snapshot(redis: Any) -> Callable[[str], Any]:
    """All keys of a queue as values that can be compared: names without the queue, events without their ids."""

    async def take(queue_name: str) -> Snapshot:
        base = f"bull:{queue_name}:"
        keys = [key async for key in redis.scan_iter(f"{base}*", count=1000)]
        return {key.removeprefix(base): await _value(redis, key, queue_name) for key in sorted(keys)}

    return take


async def _value(redis: Any, key: str, queue_name: str) -> Any:
    kind = await redis.type(key)
    if kind == "string":
        return await redis.get(key)
    if kind == "list":
        return await redis.lrange(key, 0, -1)
    if kind == "set":
        return sorted(member.replace(queue_name, "QUEUE") for member in await redis.smembers(key))
    if kind == "zset":
        return await redis.zrange(key, 0, -1, withscores=True)
    if kind == "stream":
        return [fields for _, fields in await redis.xrange(key)]
    fields = await redis.hgetall(key)
    named = {name: value.replace(queue_name, "QUEUE") for name, value in fields.items()}
    if "opts" in named:
        # The reference writes options that were not given as zeros and nulls; nobody tells the two apart.
        named["opts"] = {name: value for name, value in json.loads(named["opts"]).items() if value}
    return named
