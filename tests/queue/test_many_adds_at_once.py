"""Do the adds of many tasks travel together, and does each task get what became of its own job?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from support.proxy import FaultProxy

from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.errors import PayloadTooLarge, ServerRefused, Unavailable
from oxcart.protocol.scripts import ours
from oxcart.queue.added_job import AddedJob
from oxcart.queue.producer import Queue
from oxcart.testing import wait_until

ROUND_TRIP_SECONDS = 0.04
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture
def proxy(server: Any) -> Iterator[FaultProxy]:
    with FaultProxy(server.port, server.host) as started:
        yield started


@pytest.fixture
def proxied_url(server: Any, proxy: FaultProxy) -> str:
    return str(server.url).replace(f":{server.port}", f":{proxy.port}")


def adding(command: bytes) -> bool:
    script = ours("add_many")
    return script.sha.encode() in command or script.source.encode()[:400] in command


def run_on(loop: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work)


async def waiting_ids(redis: Any, queue_name: str) -> list[str]:
    """The oldest first."""
    return list(reversed(await redis.lrange(f"bull:{queue_name}:wait", 0, -1)))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_thousand_adds_far_away_are_all_stored_in_a_few_round_trips(
    loop: Any, proxy: FaultProxy, proxied_url: str, queue_name: str
) -> None:
    async def work() -> None:
        async with Queue(queue_name, proxied_url) as queue:
            await queue.add("first")
            proxy.delay_ms = ROUND_TRIP_SECONDS * 500
            calls = proxy.commands["EVALSHA"]
            began = time.monotonic()

            added = await asyncio.gather(*(queue.add("n", number) for number in range(1000)))
            took = time.monotonic() - began

            proxy.delay_ms = 0
            assert len({job.id for job in added}) == 1000
            assert (await queue.counts())["waiting"] == 1001
            assert proxy.commands["EVALSHA"] - calls < 10
            assert took < ROUND_TRIP_SECONDS * 10 + 0.5

    run_on(loop, work())


async def test_they_are_stored_in_the_order_in_which_they_were_added(
    redis_url: str, queue_name: str, redis: Any
) -> None:
    async with Queue(queue_name, redis_url) as queue:
        added = await asyncio.gather(*(queue.add("n", number) for number in range(700)))

    assert await waiting_ids(redis, queue_name) == [job.id for job in added]


async def test_each_gets_its_own_id_duplicate_or_refusal(queue: Queue) -> None:
    """A bad job among them harms no other: too large, a duplicate, a delay beyond what the server takes."""
    adds: list[Coroutine[Any, Any, AddedJob]] = [
        queue.add("plain"),
        queue.add("mine", job_id="mine"),
        queue.add("again", job_id="mine"),
        queue.add("large", "x" * 11_000_000),
        queue.add("later", delay_seconds=60),
        queue.add("special", deduplication="d"),
        queue.add("twice", deduplication="d"),
        queue.add("last"),
    ]

    plain, mine, again, large, later, special, twice, last = await asyncio.gather(*adds, return_exceptions=True)

    assert isinstance(large, PayloadTooLarge)
    assert isinstance(mine, AddedJob)
    assert isinstance(again, AddedJob)
    assert (mine.id, again.id) == ("mine", "mine")
    assert isinstance(special, AddedJob)
    assert isinstance(twice, AddedJob)
    assert special.id == twice.id
    assert all(isinstance(one, AddedJob) for one in (plain, later, last))
    counts = await queue.counts()
    assert (counts["waiting"], counts["delayed"]) == (4, 1)


async def test_what_the_server_refuses_is_each_callers_own_error(queue: Queue, redis: Any) -> None:
    """A key of a wrong type refuses the delayed ones only."""
    await redis.set(f"bull:{queue.name}:delayed", "no sorted set")
    names = ["a", "b", "c", "d"]
    answers = await asyncio.gather(
        *(queue.add(name, delay_seconds=60 if name in "bd" else 0) for name in names), return_exceptions=True
    )
    await redis.delete(f"bull:{queue.name}:delayed")

    refused = {name for name, answer in zip(names, answers, strict=True) if isinstance(answer, ServerRefused)}
    assert refused == {"b", "d"}
    assert 'Adding "b"' in str(answers[1])
    assert (await queue.counts())["waiting"] == 2


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cancelled_caller_harms_no_other(loop: Any, proxy: FaultProxy, proxied_url: str, queue_name: str) -> None:
    async def work() -> None:
        async with Queue(queue_name, proxied_url) as queue:
            await queue.add("first")
            proxy.delay_ms = 20
            connections = proxy.connections_accepted
            tasks = [asyncio.create_task(queue.add("n", number)) for number in range(300)]
            await wait_until(lambda: proxy.commands["EVALSHA"] >= 3, describe="calls are under way")
            for task in tasks[1::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)

            assert all(isinstance(answer, AddedJob) for answer in answers[::2])
            assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[1::2])
            assert proxy.connections_accepted == connections
            stored = {job.id for job in await queue.jobs("waiting")}
            assert {answer.id for answer in answers if isinstance(answer, AddedJob)} <= stored

    run_on(loop, work())


@pytest.mark.parametrize("then", ["cut", "reset"])
async def test_a_lost_reply_adds_nobody_twice(
    proxy: FaultProxy, proxied_url: str, queue_name: str, redis: Any, then: Any
) -> None:
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first")
        proxy.lose_replies(adding, times=3, then=then)
        added = await asyncio.gather(*(queue.add("n", number) for number in range(700)))

    entries = await redis.xrange(f"bull:{queue_name}:events")
    events = [fields["jobId"] for _, fields in entries if fields["event"] == "added"]
    assert sorted(events[1:]) == sorted(job.id for job in added)
    assert len(await waiting_ids(redis, queue_name)) == 701


async def test_without_a_server_each_fails_at_its_own_deadline_and_nothing_was_sent(
    proxy: FaultProxy, proxied_url: str, queue_name: str
) -> None:
    proxy.refuse()
    async with Queue(queue_name, proxied_url) as queue:

        async def failing(deadline_seconds: float) -> tuple[float, Unavailable]:
            began = time.monotonic()
            with pytest.raises(Unavailable, match='Adding "n" to queue') as raised:
                await queue.add("n", deadline_seconds=deadline_seconds)
            return time.monotonic() - began - deadline_seconds, raised.value

        ends = await asyncio.gather(*(failing(0.3 + number % 3 * 0.4) for number in range(90)))
        proxy.accept()
        await queue.add("after")

        assert max(late for late, _ in ends) < 0.5
        assert [error for _, error in ends if error.outcome_unknown] == []
        assert [job.name for job in await queue.jobs("waiting")] == ["after"]


async def test_a_silent_server_leaves_the_outcome_unknown_of_what_was_sent_only(
    proxy: FaultProxy, proxied_url: str, queue_name: str, redis: Any
) -> None:
    """Those that had not gone say so, and are not stored afterwards."""
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first")
        proxy.freeze()
        answers = await asyncio.gather(
            *(queue.add("n", number, deadline_seconds=0.5) for number in range(3000)), return_exceptions=True
        )
        proxy.thaw()
        await queue.add("last")

    assert all(isinstance(answer, Unavailable) for answer in answers)
    unknown = [answer for answer in answers if isinstance(answer, Unavailable) and answer.outcome_unknown]
    stored = len(await waiting_ids(redis, queue_name)) - 2
    assert 0 < len(unknown) < 3000
    assert stored <= len(unknown)


async def test_closing_the_queue_ends_adds_that_are_under_way(
    proxy: FaultProxy, proxied_url: str, queue_name: str
) -> None:
    """Also on a server object that stays open: nothing connects again for a queue that is closed."""
    server = Server(parse_redis_url(proxied_url, {}))
    async with Queue(queue_name, server=server) as queue:
        await queue.add("first")
        proxy.freeze()
        adds = [asyncio.create_task(queue.add("n", number)) for number in range(700)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    answers = await asyncio.gather(*adds, return_exceptions=True)
    proxy.thaw()

    assert all(isinstance(answer, Unavailable) for answer in answers)
    await wait_until(lambda: proxy.connections_open == 0, describe="the connection is closed")
    await server.close()


async def test_special_adds_at_once_are_all_stored_too(redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue:
        added = await asyncio.gather(*(queue.add("n", deduplication=str(number % 50)) for number in range(150)))

        assert len({job.id for job in added}) == 50
        assert (await queue.counts())["waiting"] == 50


async def test_a_lone_add_is_one_command(proxy: FaultProxy, proxied_url: str, queue_name: str) -> None:
    async with Queue(queue_name, proxied_url) as queue:
        await queue.add("first")
        before = proxy.commands.total()
        for number in range(5):
            await queue.add("n", number)

        assert proxy.commands.total() - before == 5
