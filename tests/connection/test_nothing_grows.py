"""Does a server object stay as small as it was, however many links and outages it has seen?"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sized
from typing import Any

import pytest
from support.invariants import unfinished_tasks
from support.scripted import Scripted, scripted_server
from support.valkey import Connect, Valkey, in_flight, unavailable
from support.waiting import wait_until

from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.errors import Unavailable
from oxcart.queue.producer import Queue

BOTH_LOOPS = True


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    async with scripted_server() as server:
        server.pays_at_once = True
        yield server


def sizes(server: Server) -> dict[str, int]:
    """Of everything in it that can grow."""
    return {name: len(value) for name, value in vars(server).items() if isinstance(value, Sized)}


def links_alive() -> int:
    gc.collect()
    return sum(isinstance(thing, Link) for thing in gc.get_objects())


async def test_links_that_were_discarded_are_gone(connect: Connect, scripted: Scripted) -> None:
    server = connect(scripted.port, password=None)
    before, alive = sizes(server), links_alive()

    for number in range(10_000):
        link = server.link("test")
        if number % 100 == 0:
            await link.request("ECHO", "a")
        if number % 100 == 1:
            opening = asyncio.create_task(link.open())
            await asyncio.sleep(0)
            link.discard()
            await asyncio.wait({opening})
            assert isinstance(opening.exception(), Unavailable)
        link.discard()
    del link, opening

    await wait_until(lambda: sizes(server) == before, describe="nothing is left of them")
    assert links_alive() == alive
    await wait_until(lambda: not scripted.connections, describe="their sockets are closed")


async def test_ten_thousand_queues_on_one_server_leave_nothing(connect: Connect) -> None:
    server = connect(1)
    before = sizes(server)

    for number in range(10_000):
        async with Queue(f"queue{number}", server=server):
            pass

    assert sizes(server) == before


async def test_a_discarded_link_is_closed_for_good(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")
    waiting = await in_flight(link, valkey, "BLPOP", "list", 30)

    link.discard()
    link.discard()

    assert (await unavailable(waiting)).failure.code == "CLOSED"
    assert (await unavailable(link.request("PING"))).failure.code == "CLOSED"
    assert (await unavailable(link.open())).failure.code == "CLOSED"


async def test_two_thousand_outages_leave_nothing(connect: Connect, scripted: Scripted) -> None:
    server = connect(scripted.port, password=None)
    told: list[str] = []
    server.on_lost(lambda: told.append("lost"))
    await server.wait_until_ready()
    links = [server.link("test") for _ in range(2)]
    for link in links:
        await link.open()
    await asyncio.sleep(0)  # so that the tasks that opened them are forgotten
    before, tasks = sizes(server), len(unfinished_tasks())

    for outage in range(2000):
        server._ready_at = 0.0  # long ago: the next attempt is made at once
        await asyncio.gather(*(link.open() for link in links))
        asked: list[asyncio.Task[Any]] = [asyncio.create_task(link.request("ECHO", str(outage))) for link in links]
        await asyncio.sleep(0)
        scripted.reset()
        await asyncio.gather(*asked, return_exceptions=True)
        await server.wait_until_ready()
        scripted.heard.clear()

    assert len(told) == 2000
    await wait_until(lambda: len(unfinished_tasks()) == tasks, describe="no task is left")
    assert sizes(server) == before
    assert server.link_count == 2
    assert await links[0].request("ECHO", "again") == b"again"


async def test_who_has_unsubscribed_is_told_no_more(connect: Connect, scripted: Scripted) -> None:
    server = connect(scripted.port, password=None)
    told: list[str] = []
    before = sizes(server)
    ends = [server.on_ready(lambda: told.append("ready")), server.on_lost(lambda: told.append("lost"))]
    await server.wait_until_ready()

    for end in (*ends, *ends):
        end()

    server.report(OSError("gone"))
    await server.wait_until_ready()
    assert told == ["ready"]
    assert sizes(server) == before
