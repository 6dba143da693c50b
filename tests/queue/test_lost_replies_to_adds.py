"""Is a job added once, whatever happens to the reply? (docs/guarantees.md, 3)"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.proxy import FaultProxy

from oxcart.errors import AddFailed, Unavailable
from oxcart.protocol import scripts
from oxcart.queue.producer import Queue
from oxcart.testing import wait_until


@pytest.fixture
def proxy(server: Any) -> Iterator[FaultProxy]:
    with FaultProxy(server.port, server.host) as started:
        yield started


@pytest.fixture
def proxied_url(server: Any, proxy: FaultProxy) -> str:
    return str(server.url).replace(f":{server.port}", f":{proxy.port}")


def adding(command: bytes) -> bool:
    """An add by our script or BullMQ's, known to the server or sent whole."""
    sent = [scripts.ours("add_many"), scripts.adding("addStandardJob"), scripts.adding("addParentJob")]
    return any(script.sha.encode() in command or script.source.encode()[:400] in command for script in sent)


async def added_events(redis: Any, queue_name: str) -> list[str]:
    entries = await redis.xrange(f"bull:{queue_name}:events")
    return [fields["jobId"] for _, fields in entries if fields["event"] == "added"]


@pytest.mark.parametrize("then", ["cut", "reset"])
@pytest.mark.parametrize("options", [{}, {"deduplication": "x"}, {"job_id": "mine"}])
async def test_an_add_whose_reply_was_lost_is_not_added_twice(
    proxy: FaultProxy, proxied_url: str, queue_name: str, redis: Any, then: Any, options: dict[str, Any]
) -> None:
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first")
        proxy.lose_replies(adding, then=then)
        added = await queue.add("second", **options)

    assert (await added_events(redis, queue_name)).count(added.id) == 1
    assert (await redis.lrange(f"bull:{queue_name}:wait", 0, -1)).count(added.id) == 1
    assert added.is_new


@pytest.mark.parametrize("options", [{}, {"deduplication": "x"}])
async def test_an_id_that_was_there_is_not_new_when_the_reply_was_lost(
    proxy: FaultProxy, proxied_url: str, queue_name: str, options: dict[str, Any]
) -> None:
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first", job_id="mine")
        await queue.trim_events(0)
        proxy.lose_replies(adding, then="cut")
        added = await queue.add("second", job_id="mine", **options)

    assert (added.id, added.is_new) == ("mine", False)


async def test_a_job_run_and_removed_before_the_second_try_is_not_added_again(
    proxy: FaultProxy, proxied_url: str, queue_name: str, redis: Any
) -> None:
    """Only its own `added` event tells that it was there."""
    base = f"bull:{queue_name}:"
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first", job_id="first")
        proxy.lose_replies(adding, then="hold")
        adds = asyncio.create_task(queue.add("second"))

        async def is_stored() -> bool:
            return bool(await redis.llen(f"{base}wait") == 2)

        await wait_until(is_stored, describe="the second job is stored")

        job_id = await redis.lpop(f"{base}wait")
        await redis.delete(base + job_id)
        proxy.cut()
        added = await adds

    assert added.id == job_id
    assert (await added_events(redis, queue_name)).count(job_id) == 1
    assert await redis.lrange(f"{base}wait", 0, -1) == ["first"]


async def test_many_jobs_whose_reply_was_lost_are_added_once(
    proxy: FaultProxy, proxied_url: str, queue_name: str, redis: Any
) -> None:
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first")
        proxy.lose_replies(adding, times=2)
        added = await queue.add_many([("n", number) for number in range(700)])

    events = await added_events(redis, queue_name)
    assert sorted(events[1:]) == sorted(job.id for job in added)
    assert await redis.llen(f"bull:{queue_name}:wait") == 701


async def test_a_flow_whose_reply_was_lost_is_added_once(
    proxy: FaultProxy, proxied_url: str, queue_name: str, redis: Any
) -> None:
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first")
        proxy.lose_replies(adding)
        flow = await queue.add_flow({"name": "root", "children": [{"name": "a"}, {"name": "b"}]})

    events = await added_events(redis, queue_name)
    assert sorted(events[1:]) == sorted([flow.id, *(child.id for child in flow.children)])


async def test_an_add_waits_for_the_server_up_to_its_deadline(
    proxy: FaultProxy, proxied_url: str, queue_name: str
) -> None:
    proxy.refuse()
    async with Queue(queue_name, proxied_url) as queue:
        with pytest.raises(Unavailable, match='Adding "second" to queue') as raised:
            await queue.add("second", deadline_seconds=0.5)
        proxy.accept()
        await queue.add("third")

        assert not raised.value.outcome_unknown
        assert [job.name for job in await queue.jobs("waiting")] == ["third"]


async def test_an_add_that_was_never_answered_says_that_its_outcome_is_unknown(
    proxy: FaultProxy, proxied_url: str, queue_name: str
) -> None:
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first")
        proxy.freeze()

        with pytest.raises(Unavailable) as raised:
            await queue.add("second", deadline_seconds=0.5)
        with pytest.raises(AddFailed) as stopped:
            await queue.add_many([("n", 1), ("n", 2)], deadline_seconds=0.5)
        proxy.thaw()

    assert raised.value.outcome_unknown
    assert stopped.value.added == ()
    assert sorted(stopped.value.unknown + stopped.value.not_sent) == [0, 1]


async def test_scripts_that_the_server_has_forgotten_are_sent_again(
    redis_url: str, queue_name: str, redis: Any
) -> None:
    async with Queue(queue_name, redis_url) as queue:
        await queue.add("plain")
        await queue.add("special", deduplication="a")
        await redis.script_flush()

        await queue.add("plain")
        await queue.add("special", deduplication="b")

        assert (await queue.counts())["waiting"] == 4
