"""Do commands that load no app learn from the workers what waits without a handler, and nothing that is over?"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from oxcart import Queue
from oxcart.clock import now_ms
from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.names import UnhandledJobs
from oxcart.queue.unhandled import KEPT_SECONDS, MAX_PUBLISHED, publish

LONG_AGO_MS = 1_700_000_000_000


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[Link]:
    server = Server(parse_redis_url(redis_url))
    yield server.link("test")
    await server.close()


def unhandled(queue: Queue, name: str, waiting: int = 3, since_ms: int = LONG_AGO_MS) -> UnhandledJobs:
    return UnhandledJobs(queue.name, name, waiting, since_ms)


async def test_what_a_worker_tells_is_read_by_others(queue: Queue, link: Link) -> None:
    lacking = UnhandledJobs(queue.name, "crm:sync-contacts", 2, LONG_AGO_MS - 1, "not possible here", "no DATABASE_URL")

    await publish(link, queue.keys, [unhandled(queue, "agent:run"), lacking], by="w1")

    assert await queue.unhandled() == (lacking, unhandled(queue, "agent:run"))


async def test_other_queues_jobs_are_passed_over(queue: Queue, link: Link) -> None:
    await publish(link, queue.keys, [UnhandledJobs("other", "agent:run", 1, LONG_AGO_MS)], by="w1")

    assert await queue.unhandled() == ()


async def test_what_is_over_is_taken_out_and_other_workers_words_stay(queue: Queue, link: Link, redis: Redis) -> None:
    await publish(link, queue.keys, [unhandled(queue, "a"), unhandled(queue, "b")], by="w1")
    await publish(link, queue.keys, [unhandled(queue, "c")], by="w2")

    await publish(link, queue.keys, [unhandled(queue, "b", waiting=5)], by="w1")
    without_a = await queue.unhandled()
    await publish(link, queue.keys, [], by="w1")
    await publish(link, queue.keys, [], by="w2")

    assert {(jobs.name, jobs.waiting) for jobs in without_a} == {("b", 5), ("c", 3)}
    assert await redis.exists(queue.keys.unhandled) == 0


async def test_it_ends_by_itself_where_no_worker_tells_any_more(queue: Queue, link: Link, redis: Redis) -> None:
    await publish(link, queue.keys, [unhandled(queue, "a")], by="w1")

    assert 0 < await redis.ttl(queue.keys.unhandled) <= KEPT_SECONDS


async def test_the_word_of_a_worker_that_is_gone_is_not_believed_and_is_taken_out(
    queue: Queue, link: Link, redis: Redis
) -> None:
    """Another worker's words keep the hash alive."""
    at = now_ms() - KEPT_SECONDS * 1000 - 1
    old = f'{{"waiting":1,"since":{LONG_AGO_MS},"by":"w0","at":{at},"reason":"no handler"}}'
    await redis.hset(queue.keys.unhandled, mapping={"gone": old, "odd": "not of a worker"})

    before = await queue.unhandled()
    await publish(link, queue.keys, [unhandled(queue, "a")], by="w1")

    assert before == ()
    assert await redis.hkeys(queue.keys.unhandled) == ["a"]


async def test_names_that_others_chose_are_bounded(queue: Queue, link: Link, redis: Redis) -> None:
    many = [unhandled(queue, f"name-{number}", since_ms=LONG_AGO_MS + number) for number in range(500)]

    await publish(link, queue.keys, many, by="w1")

    assert await redis.hlen(queue.keys.unhandled) == MAX_PUBLISHED
    assert (await queue.unhandled())[0].name == "name-0"


async def test_a_key_of_another_type_is_passed_over_by_the_worker(queue: Queue, link: Link, redis: Redis) -> None:
    await redis.set(queue.keys.unhandled, "something else")

    await publish(link, queue.keys, [unhandled(queue, "a")], by="w1")

    assert await redis.get(queue.keys.unhandled) == "something else"
    await redis.delete(queue.keys.unhandled)


async def test_obliterate_removes_it(queue: Queue, link: Link, redis: Redis) -> None:
    await publish(link, queue.keys, [unhandled(queue, "a")], by="w1")
    await queue.pause()

    await queue.obliterate()

    assert await redis.keys(f"{queue.keys.base}*") == []


async def test_repair_leaves_it_alone(queue: Queue, link: Link) -> None:
    await publish(link, queue.keys, [unhandled(queue, "a")], by="w1")

    await queue.repair(adopt_lost=True)

    assert len(await queue.unhandled()) == 1
