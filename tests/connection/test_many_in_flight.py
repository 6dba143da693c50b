"""Does each of many callers on one socket get its own reply, or the truth about its request?"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.proxy import FaultProxy
from support.scripted import Scripted, scripted_server
from support.valkey import Connect, Events, free_port, unavailable
from support.waiting import wait_until

from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.errors import ServerRefused, Unavailable

BOTH_LOOPS = True

PADDING = b"x" * 60_000
"""What the kernel takes a few dozen of, and no more."""


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    async with scripted_server() as server:
        yield server


@pytest.fixture
def known(connect: Connect, scripted: Scripted) -> Server:
    return connect(scripted.port, password=None)


@pytest.fixture
async def link(known: Server) -> Link:
    link = known.link("test")
    await link.open()
    return link


def ask(link: Link, name: str, *more: bytes, command: str = "ECHO", deadline_seconds: float = 10) -> asyncio.Task[Any]:
    return asyncio.create_task(link.request(command, name, *more, deadline_seconds=deadline_seconds))


async def heard(scripted: Scripted, count: int) -> None:
    await wait_until(lambda: len(scripted.heard) >= count, describe=f"the server has heard {count} requests")


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[bool]:
    """`outcome_unknown` of each; all were Unavailable."""
    return [(await unavailable(task)).outcome_unknown for task in tasks]


async def test_all_are_sent_before_one_is_answered(link: Link, scripted: Scripted) -> None:
    tasks = [ask(link, str(number)) for number in range(100)]
    await heard(scripted, 100)

    scripted.pay()

    assert await asyncio.gather(*tasks) == [str(number).encode() for number in range(100)]


async def test_callers_go_on_in_the_order_of_the_answers(link: Link, scripted: Scripted) -> None:
    order: list[int] = []

    async def caller(number: int) -> None:
        await link.request("ECHO", str(number))
        order.append(number)

    tasks = [asyncio.create_task(caller(number)) for number in range(50)]
    await heard(scripted, 50)
    for task in tasks[10:20]:
        task.cancel()
    while scripted.owed_bytes:
        scripted.pay(7)
        await asyncio.sleep(0)

    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [number for number in range(50) if not 10 <= number < 20]


async def test_a_deadline_of_ones_own_ends_them_all(link: Link, scripted: Scripted) -> None:
    """Behind a server that says nothing nobody is better off."""
    patient = [ask(link, str(number)) for number in range(5)]
    await heard(scripted, 5)

    error = await unavailable(ask(link, "hurried", deadline_seconds=0.1))

    assert (error.failure.code, error.outcome_unknown) == ("READ_TIMEOUT", True)
    assert await outcomes(patient) == [True] * 5
    assert not link.is_open


async def test_a_deadline_holds_for_who_has_left_too(link: Link, scripted: Scripted) -> None:
    """A server that does not answer is found out though nobody waits for it any more."""
    gone = ask(link, "gone", deadline_seconds=0.1)
    await heard(scripted, 1)

    gone.cancel()

    await wait_until(lambda: not link.is_open, describe="the socket was closed")


async def test_a_busy_loop_reads_before_it_believes_in_a_timeout(link: Link, scripted: Scripted) -> None:
    task = ask(link, "here", deadline_seconds=0.1)
    await heard(scripted, 1)
    scripted.pay()

    time.sleep(0.2)  # a handler that computes

    assert await task == b"here"


@pytest.mark.parametrize("padding", [PADDING[:3000], PADDING], ids=["small", "large"])
async def test_what_the_kernel_did_not_take_has_not_left(link: Link, scripted: Scripted, padding: bytes) -> None:
    count = 20_000_000 // len(padding)
    scripted.read(on=False)
    tasks = [ask(link, str(number), padding) for number in range(count)]
    await wait_until(lambda: not link.is_at_hand, describe="the socket takes no more")
    expected = requests_begun(link)

    link.close()
    unknown = await outcomes(tasks)

    assert 0 < expected < count
    assert unknown == [True] * expected + [False] * (count - expected)
    assert await ask_again(link, scripted) == b"again"
    assert len(scripted.heard) - 1 <= expected


def requests_begun(link: Link) -> int:
    """Of how many the kernel has a byte."""
    connection = link._connection
    assert connection is not None
    assert connection._transport is not None
    sizes = [len(request.payload) for request in connection._talk.in_flight]
    left = sum(sizes) - connection._transport.get_write_buffer_size()
    return sum(sum(sizes[:number]) < left for number in range(len(sizes)))


async def test_a_reset_tells_what_has_left(link: Link, scripted: Scripted) -> None:
    scripted.read(on=False)
    tasks = [ask(link, str(number), PADDING) for number in range(400)]
    await wait_until(lambda: not link.is_at_hand, describe="the socket takes no more")

    scripted.reset()
    unknown = await outcomes(tasks)

    sent = unknown.count(True)
    assert 0 < sent < 400
    assert unknown == [True] * sent + [False] * (400 - sent)


async def test_what_waits_for_the_kernel_is_sent_when_it_takes_more(link: Link, scripted: Scripted) -> None:
    scripted.read(on=False)
    scripted.pays_at_once = True
    tasks = [ask(link, str(number), PADDING) for number in range(400)]
    await wait_until(lambda: not link.is_at_hand, describe="the socket takes no more")
    for task in tasks[::7]:
        task.cancel()

    scripted.read(on=True)

    replies = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(reply == str(number).encode() for number, reply in enumerate(replies) if number % 7)
    assert scripted.heard == sorted(scripted.heard, key=int)
    assert link.is_at_hand


async def test_waiting_for_the_kernel_does_not_count_as_waiting_for_the_server(link: Link, scripted: Scripted) -> None:
    scripted.read(on=False)
    tasks = [ask(link, str(number), PADDING) for number in range(400)]
    await wait_until(lambda: not link.is_at_hand, describe="the socket takes no more")
    began = time.monotonic()
    late = ask(link, "late", deadline_seconds=0.1)
    await wait_until(lambda: time.monotonic() > began + 0.3, describe="three deadlines have passed")

    scripted.pays_at_once = True
    scripted.read(on=True)

    assert await late == b"late"
    await asyncio.gather(*tasks)


async def test_those_whom_the_server_refused_know_that_nothing_ran(link: Link, scripted: Scripted) -> None:
    loading = [ask(link, str(number), command="LOAD") for number in range(3)]
    behind = ask(link, "behind")
    await heard(scripted, 4)

    scripted.pay(3 * len("-LOADING the data\r\n"))

    assert await outcomes(loading) == [False] * 3
    assert await outcomes([behind]) == [True]


async def test_an_error_reply_is_of_one_caller(link: Link, scripted: Scripted) -> None:
    tasks = [ask(link, "a"), ask(link, "b", command="FAIL"), ask(link, "c")]
    await heard(scripted, 3)

    scripted.pay()

    replies = await asyncio.gather(*tasks, return_exceptions=True)
    assert (replies[0], replies[2]) == (b"a", b"c")
    assert isinstance(replies[1], ServerRefused)


async def test_a_thousand_behind_a_failed_connect_share_its_failure(connect: Connect) -> None:
    link = connect(free_port()).link("test")

    results = await asyncio.gather(*(link.request("PING") for _ in range(1000)), return_exceptions=True)

    told = {(type(result), getattr(result, "failure").code, getattr(result, "outcome_unknown")) for result in results}  # noqa: B009
    assert told == {(Unavailable, "TCP_REFUSED", False)}


async def test_a_thousand_behind_a_distant_server_are_answered_within_a_few_round_trips(
    proxy: FaultProxy, connect: Connect
) -> None:
    """The time that a request waits in our own process does not count."""
    proxy.delay_ms = 20
    link = connect(proxy.port).link("test")
    began = time.monotonic()

    replies = await asyncio.gather(*(link.request("ECHO", str(number)) for number in range(1000)))

    assert replies == [str(number).encode() for number in range(1000)]
    assert time.monotonic() - began < 2


async def test_those_who_left_while_it_connects_are_not_sent(
    proxy: FaultProxy, connect: Connect, events: Events
) -> None:
    link = connect(proxy.port).link("test")
    tasks = [asyncio.create_task(link.request("INCR", "key")) for _ in range(10)]
    await asyncio.sleep(0)
    for task in tasks[:9]:
        task.cancel()

    assert await tasks[9] == 1
    assert proxy.commands["INCR"] == 1


async def test_an_attempt_to_connect_that_nobody_waits_for_is_given_up(
    proxy: FaultProxy, connect: Connect, events: Events
) -> None:
    link = connect(proxy.port, connect_timeout_seconds=60.0).link("test")
    proxy.blackhole = True
    tasks = [asyncio.create_task(link.request("PING")) for _ in range(3)]
    await wait_until(lambda: proxy.connections_accepted == 1, describe="the link has connected")

    for task in tasks:
        task.cancel()

    await wait_until(lambda: proxy.connections_open == 0, describe="the attempt was closed")
    assert events.told() == []
    proxy.blackhole = False
    assert await link.request("PING") == b"PONG"


async def test_what_nobody_asked_for_meets_nobody(link: Link, scripted: Scripted, events: Events) -> None:
    scripted.say(b"+OK\r\n")
    await wait_until(lambda: not link.is_open, describe="the socket was closed")

    assert await ask_again(link, scripted) == b"again"
    assert events.told() == []


async def test_what_is_no_reply_ends_all(link: Link, scripted: Scripted) -> None:
    tasks = [ask(link, str(number)) for number in range(3)]
    await heard(scripted, 3)
    scripted.pay(len("$1\r\n0\r\n"))

    scripted.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert await tasks[0] == b"0"
    assert await outcomes(tasks[1:]) == [True, True]


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_happens_nobody_gets_a_reply_of_others_or_a_lie(
    known: Server, scripted: Scripted, seed: int
) -> None:
    history = random.Random(seed)
    link = known.link("test")
    calls: dict[str, asyncio.Task[Any]] = {}
    for step in range(300):
        _one_step(history, link, scripted, calls, step)
        for _ in range(history.choice((0, 0, 1, 3))):
            await asyncio.sleep(0)
    scripted.read(on=True)
    scripted.pays_at_once = True
    scripted.pay()

    results = dict(zip(calls, await asyncio.gather(*calls.values(), return_exceptions=True), strict=True))

    assert len(scripted.heard) == len(set(scripted.heard)), "nothing is sent twice"
    for name, result in results.items():
        _check(name, result, set(scripted.heard))
    assert await ask_again(link, scripted) == b"again"


def _one_step(
    history: random.Random, link: Link, scripted: Scripted, calls: dict[str, asyncio.Task[Any]], step: int
) -> None:
    kind = history.choices(
        ["ask", "pipeline", "cancel", "pay", "pay a little", "deaf", "hear", "cut", "reset", "close", "load"],
        [40, 10, 10, 20, 20, 2, 6, 1, 1, 1, 1],
    )[0]
    padding = PADDING if history.random() < 0.2 else b""
    match kind:
        case "ask":
            calls[f"one:{step}"] = ask(link, f"one:{step}", padding, command=history.choice(("ECHO", "ECHO", "FAIL")))
        case "load":
            calls[f"load:{step}"] = ask(link, f"load:{step}", command="LOAD")
        case "pipeline":
            commands = [("ECHO", f"{part}:{step}", padding) for part in "abc"]
            calls[f"all:{step}"] = asyncio.create_task(link.requests(commands))
        case "cancel" if calls:
            calls[history.choice(list(calls))].cancel()
        case "pay":
            scripted.pay()
        case "pay a little":
            scripted.pay(history.randrange(1, 40))
        case "deaf" | "hear":
            scripted.read(on=kind == "hear")
        case "cut":
            scripted.cut()
        case "reset":
            scripted.reset()
        case "close":
            link.close()


def _check(name: str, result: Any, heard: set[str]) -> None:
    kind, step = name.split(":")
    match result:
        case asyncio.CancelledError():
            pass
        case Unavailable():
            is_refused = result.failure.code == "LOADING" and kind == "load"
            names = {name} if kind != "all" else {f"{part}:{step}" for part in "abc"}
            assert result.outcome_unknown or is_refused or not names & heard
        case ServerRefused():
            assert str(result.__cause__).endswith(name)
        case list():
            assert result == [f"{part}:{step}".encode() for part in "abc"]
        case _:
            assert result == name.encode()


async def ask_again(link: Link, scripted: Scripted) -> Any:
    scripted.pays_at_once = True
    return await link.request("ECHO", "again")
