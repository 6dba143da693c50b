"""Is what workers see waiting written where commands find it, and gone when it is over?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from oxcart.clock import now_ms
from oxcart.connection.link import Link, Server
from oxcart.connection.target import parse_redis_url
from oxcart.handlers import Handlers
from oxcart.names import NO_HANDLER
from oxcart.queue.producer import Queue
from oxcart.queue.unhandled import FORGET_AFTER_SECONDS, UnhandledJobs, publish
from oxcart.settings import WorkerSettings
from oxcart.worker.unhandled import PUBLISH_EVERY_MS, ForeignJobs, Unhandled


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[Link]:
    server = Server(parse_redis_url(redis_url))
    yield server.link("test")
    await server.close()


def jobs(queue: Queue, name: str, since_ms: int = 1000) -> UnhandledJobs:
    return UnhandledJobs(queue.name, name, 3, since_ms, NO_HANDLER)


async def test_what_two_workers_see_is_read_with_who_saw_it(queue: Queue, link: Link) -> None:
    now = now_ms()
    await publish(link, queue.keys, [jobs(queue, "a"), jobs(queue, "имя", 900)], by="one", now_ms=now)
    await publish(link, queue.keys, [jobs(queue, "b", 2000)], by="two", now_ms=now + 1)

    seen = await queue.unhandled()

    assert [(each.jobs.name, each.by, each.seen_ms) for each in seen] == [
        ("имя", "one", now),
        ("a", "one", now),
        ("b", "two", now + 1),
    ]
    assert seen[1].jobs == jobs(queue, "a")


async def test_a_worker_takes_out_what_it_wrote_and_leaves_what_others_wrote(queue: Queue, link: Link) -> None:
    await publish(link, queue.keys, [jobs(queue, "b")], by="two", now_ms=now_ms())
    before = await publish(link, queue.keys, [jobs(queue, "a"), jobs(queue, "c")], by="one", now_ms=now_ms())

    before = await publish(link, queue.keys, [jobs(queue, "c")], by="one", now_ms=now_ms(), before=before)
    assert [each.jobs.name for each in await queue.unhandled()] == ["b", "c"]
    await publish(link, queue.keys, [], by="one", now_ms=now_ms(), before=before)
    assert [each.jobs.name for each in await queue.unhandled()] == ["b"]


async def test_the_key_ends_by_itself_and_with_the_queue(queue: Queue, link: Link, redis: Any) -> None:
    await publish(link, queue.keys, [jobs(queue, "a")], by="one", now_ms=now_ms())
    assert 0 < await redis.ttl(queue.keys.unhandled) <= FORGET_AFTER_SECONDS

    await queue.pause()
    await queue.obliterate()

    assert not await redis.exists(queue.keys.unhandled)


async def test_what_workers_that_are_gone_have_left_does_not_pile_up(queue: Queue, link: Link, redis: Any) -> None:
    for worker in range(30):
        names = [jobs(queue, f"{worker}-{number}") for number in range(15)]
        await publish(link, queue.keys, names, by=str(worker), now_ms=now_ms())

    assert await redis.hlen(queue.keys.unhandled) <= 200


async def test_old_and_foreign_entries_are_left_out(queue: Queue, link: Link, redis: Any) -> None:
    long_ago = now_ms() - FORGET_AFTER_SECONDS * 1000 - 1000
    await publish(link, queue.keys, [jobs(queue, "old")], by="one", now_ms=long_ago)
    await redis.hset(queue.keys.unhandled, mapping={"a": "no JSON", "b": "[1]", "c": '{"waiting":"many"}', "d": "{}"})

    assert await queue.unhandled() == ()


async def test_a_worker_writes_once_a_minute_and_clears_at_once(queue: Queue, link: Link, redis: Any) -> None:
    now = now_ms()
    unhandled = Unhandled(Handlers(), WorkerSettings(), lambda _: None, worker_name="oxcart-1")

    def see(*numbers: int) -> None:
        foreign = [ForeignJobs("x", number, now - 100_000, now - 100_000) for number in numbers]
        unhandled.note(queue.name, foreign, now)

    async def written() -> list[int]:
        return [each.jobs.waiting for each in await queue.unhandled()]

    await unhandled.publish(link, queue.keys, now)
    assert not await redis.exists(queue.keys.unhandled)
    see(1)
    await unhandled.publish(link, queue.keys, now)
    see(2)
    await unhandled.publish(link, queue.keys, now + 1000)
    assert await written() == [1]
    await unhandled.publish(link, queue.keys, now + PUBLISH_EVERY_MS)
    assert await written() == [2]
    see()
    await unhandled.publish(link, queue.keys, now + PUBLISH_EVERY_MS + 1000)
    assert await written() == []
