"""Does a link give each request its own reply, or say what is known about it, whatever happens to the socket?"""

from __future__ import annotations

import asyncio
import socket
import traceback
from pathlib import Path

import pytest
from redis.exceptions import ResponseError
from support.proxy import FaultProxy
from support.valkey import (
    PASSWORD,
    Connect,
    Events,
    Valkey,
    blocked_clients,
    in_flight,
    server_that_says,
    unavailable,
)
from support.waiting import wait_until

from oxcart.connection.server import Server
from oxcart.errors import ServerRefused, Unavailable
from oxcart.secret import Secret

BOTH_LOOPS = True


async def test_a_reply_is_what_the_server_sent(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")

    assert await link.request("SET", "key", b"\xff\x00") == b"OK"
    assert await link.request("GET", "key") == b"\xff\x00"
    assert await link.request("ZADD", b"scores", 1.5, "one") == 1
    assert await link.request("GET", "absent") is None


async def test_an_error_reply_is_refused_and_the_link_stays_open(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")
    await link.request("SET", "key", "text")
    opened_at = link.opened_at

    with pytest.raises(ServerRefused) as refused:
        await link.request("HGET", "key", "field")

    assert refused.value.failure.code == "WRONGTYPE"
    assert isinstance(refused.value.__cause__, ResponseError)
    assert await link.request("GET", "key") == b"text"
    assert link.opened_at == opened_at


async def test_an_error_inside_a_pipeline_stands_in_its_place(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")

    replies = await link.requests([("SET", "key", "1"), ("HGET", "key", "field"), ("INCR", "key")])

    assert replies[0] == b"OK"
    assert isinstance(replies[1], ResponseError)
    assert replies[2] == 2
    assert await link.requests([]) == []


async def test_requests_at_the_same_time_get_their_own_replies(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")

    replies = await asyncio.gather(*(link.request("ECHO", str(number)) for number in range(200)))

    assert replies == [str(number).encode() for number in range(200)]


async def test_a_large_pipeline_and_large_replies_pass(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")
    value = b"x" * 3_000_000

    assert await link.requests([("SET", f"key{number}", value) for number in range(5)]) == [b"OK"] * 5
    assert await link.requests([("GET", f"key{number}") for number in range(5)]) == [value] * 5


async def test_the_server_knows_the_links_name_and_library(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port, db=3).link("test", client_name="bull:YWdlbnQ=:w of mine")

    info = await link.request("CLIENT", "INFO")

    assert b" name=bull:YWdlbnQ=:w-of-mine " in info
    assert b" lib-name=oxcart " in info
    assert b" db=3 " in info


async def test_a_user_without_rights_to_client_and_ping_still_connects(valkey: Valkey, connect: Connect) -> None:
    """CLIENT is best effort: managed servers forbid it."""
    valkey.run("ACL", "SETUSER", "small", "on", ">word", "~*", "+get")
    link = connect(valkey.port, username="small", password=Secret("word")).link("test", client_name="name")

    assert await link.request("GET", "key") is None


async def test_a_cancelled_request_leaves_its_reply_to_nobody(valkey: Valkey, connect: Connect) -> None:
    """The socket stays as it is, for the others' sake: the reply is read when it comes, and dropped."""
    link = connect(valkey.port).link("test")
    waiting = await in_flight(link, valkey, "BLPOP", "list", 30)
    opened_at = link.opened_at
    others = [asyncio.create_task(link.request("ECHO", str(number))) for number in range(20)]
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    valkey.run("RPUSH", "list", "item")

    assert await asyncio.gather(*others) == [str(number).encode() for number in range(20)]
    assert link.opened_at == opened_at


async def test_closing_a_link_makes_the_server_forget_a_waiter(valkey: Valkey, connect: Connect) -> None:
    """A waiter left armed on the server would consume the next marker."""
    link = connect(valkey.port).link("test")
    waiting = await in_flight(link, valkey, "BLPOP", "list", 30)
    waiting.cancel()

    link.close()

    await wait_until(lambda: blocked_clients(valkey) == 0, describe="the server has dropped the waiter")
    valkey.run("RPUSH", "list", "item")
    assert await link.request("ECHO", "mine") == b"mine"
    assert await link.request("LPOP", "list") == b"item"


async def test_a_passed_deadline_closes_the_socket_and_leaves_the_outcome_open(
    proxy: FaultProxy, valkey: Valkey, connect: Connect, events: Events
) -> None:
    server = connect(proxy.port)
    link = server.link("test")
    await link.open()
    proxy.freeze()

    error = await unavailable(link.request("INCR", "key", deadline_seconds=0.2))

    assert (error.failure.code, error.outcome_unknown) == ("READ_TIMEOUT", True)
    assert not link.is_open
    proxy.thaw()
    await server.wait_until_ready()
    assert await link.request("ECHO", "mine") == b"mine"
    assert events.told()[0] == "lost READ_TIMEOUT"
    assert events.told()[-1] == "ready"


async def test_a_blocking_request_outlives_no_deadline(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")

    error = await unavailable(link.request("BLPOP", "list", 0, deadline_seconds=0.1))

    assert error.failure.code == "READ_TIMEOUT"
    await wait_until(lambda: blocked_clients(valkey) == 0, describe="the server has dropped the waiter")


async def test_a_lost_reply_is_reported_as_unknown_and_executed_once(
    proxy: FaultProxy, valkey: Valkey, connect: Connect
) -> None:
    link = connect(proxy.port).link("test")
    proxy.lose_replies(b"INCR")

    error = await unavailable(link.request("INCR", "key"))

    assert error.outcome_unknown
    assert await link.request("GET", "key") == b"1"


async def test_a_lost_reply_in_a_pipeline_makes_the_whole_unknown(proxy: FaultProxy, connect: Connect) -> None:
    link = connect(proxy.port).link("test")
    proxy.lose_replies(b"INCR")

    error = await unavailable(link.requests([("SET", "a", "1"), ("INCR", "a"), ("SET", "b", "1")]))

    assert error.outcome_unknown


async def test_reset_connections_are_reported_once(proxy: FaultProxy, valkey: Valkey, connect: Connect) -> None:
    link = connect(proxy.port).link("test")
    waiting = await in_flight(link, valkey, "BLPOP", "list", 30)

    proxy.reset()

    error = await unavailable(waiting)
    assert (error.failure.code, error.outcome_unknown) == ("TCP_RESET_LATE", True)


async def test_a_killed_client_in_flight_learns_it(valkey: Valkey, connect: Connect) -> None:
    server = connect(valkey.port)
    link = server.link("test", client_name="victim")
    waiting = await in_flight(link, valkey, "BLPOP", "list", 30)

    valkey.run("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")

    assert (await unavailable(waiting)).outcome_unknown
    await server.wait_until_ready()
    assert await link.request("PING") == b"PONG"


async def test_a_link_cut_while_idle_is_opened_anew_without_an_error(
    proxy: FaultProxy, connect: Connect, events: Events
) -> None:
    """Providers cut idle connections; nothing was lost, so nobody is told."""
    link = connect(proxy.port).link("test")
    await link.open()

    for fault in (proxy.cut, proxy.reset):
        fault()
        await wait_until(lambda: not link.is_open, describe="the end of the connection has arrived")
        assert await link.request("PING") == b"PONG"

    assert events.told() == []


async def test_closing_a_link_ends_its_request_at_once_and_the_next_opens_it(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")
    waiting = await in_flight(link, valkey, "BLPOP", "list", 30)

    link.close()
    link.close()

    error = await unavailable(waiting)
    assert (error.failure.code, error.outcome_unknown) == ("CLOSED", True)
    assert await link.request("PING") == b"PONG"


async def test_closing_a_link_ends_its_attempt_to_connect(proxy: FaultProxy, connect: Connect, events: Events) -> None:
    link = connect(proxy.port, connect_timeout_seconds=60.0).link("test")
    proxy.blackhole = True
    opening = asyncio.create_task(link.open())
    await wait_until(lambda: proxy.connections_accepted == 1, describe="the link has connected")

    link.close()

    error = await unavailable(opening)
    assert (error.failure.code, error.outcome_unknown) == ("CLOSED", False)
    assert events.told() == []


async def test_a_server_that_accepts_and_says_nothing_may_want_tls(proxy: FaultProxy, connect: Connect) -> None:
    proxy.blackhole = True

    error = await unavailable(connect(proxy.port, connect_timeout_seconds=0.3).link("test").open())

    assert (error.failure.code, error.outcome_unknown) == ("TLS_HANG", False)


async def test_those_who_wait_for_a_broken_link_share_its_failure(proxy: FaultProxy, connect: Connect) -> None:
    """A queue of requests must not try to connect in turn, each for the whole connect timeout."""
    link = connect(proxy.port, connect_timeout_seconds=0.5).link("test")
    proxy.blackhole = True

    results = await asyncio.gather(*(link.request("PING") for _ in range(20)), return_exceptions=True)

    assert {type(result) for result in results} == {Unavailable}
    assert not any(result.outcome_unknown for result in results if isinstance(result, Unavailable))
    assert proxy.connections_accepted <= 3  # one by the link, the others by the recovery


@pytest.mark.parametrize(
    ("password", "code"), [(None, "AUTH_NONE"), (Secret("wrong-8d2b"), "AUTH_BAD")], ids=["none", "wrong"]
)
async def test_a_refused_password_is_named(
    valkey: Valkey, connect: Connect, password: Secret | None, code: str
) -> None:
    link = connect(valkey.port, password=password).link("test")

    error = await unavailable(link.request("PING"))

    assert (error.failure.code, error.outcome_unknown) == (code, False)


async def test_a_password_for_a_server_without_one_is_named(valkey: Valkey, connect: Connect) -> None:
    with valkey.client() as admin:
        admin.config_set("requirepass", "")

    assert (await unavailable(connect(valkey.port).link("test").open())).failure.code == "AUTH_OFF"


async def test_ipv6_and_the_family_filter(tmp_path: Path, connect: Connect) -> None:
    valkey = Valkey(tmp_path, "::1")
    valkey.start()
    try:
        any_family = connect(valkey.port, host="::1").link("any family")
        only_6 = connect(valkey.port, host="::1", family="6").link("IPv6")
        only_4 = connect(valkey.port, host="::1", family="4").link("IPv4")

        assert await any_family.request("PING") == b"PONG"
        assert await only_6.request("PING") == b"PONG"
        assert (await unavailable(only_4.open())).failure.code == "DNS_FAMILY"
    finally:
        valkey.kill()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can be asked for all of these")
async def test_the_kernel_is_told_to_notice_a_vanished_server(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")
    await link.open()
    assert link._connection is not None
    assert link._connection._transport is not None

    sock = link._connection._transport.get_extra_info("socket")

    options = ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    values = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, option)) for option in options]
    assert values == [1, 2, 1, 3, 5000]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


async def test_a_unix_socket_works(valkey: Valkey, connect: Connect, tmp_path: Path) -> None:
    path = str(tmp_path / "redis.sock")
    valkey.kill()
    valkey.start("--unixsocket", path)

    link = connect(valkey.port, host="", unix_path=path).link("test")

    assert await link.request("PING") == b"PONG"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR your password is " + PASSWORD.encode()]
)
async def test_no_exception_shows_the_password(connect: Connect, answer: bytes) -> None:
    """Not even when a server that is no Redis sends back what it hears."""
    with server_that_says(answer + b"\r\n" if answer else b"") as port:
        server: Server = connect(port, connect_timeout_seconds=1.0)
        link = server.link("test")

        error = await unavailable(link.open())

    shown = (
        "".join(traceback.format_exception(error)) + _chain(error) + repr(server) + repr(link) + repr(server.failure)
    )
    assert PASSWORD not in shown


async def test_no_repr_shows_the_password(valkey: Valkey, connect: Connect) -> None:
    server = connect(valkey.port)
    link = server.link("test")
    await link.open()

    assert PASSWORD not in repr([server, link, server.target, link._connection])


def _chain(error: BaseException | None) -> str:
    """Also what `from None` hides from a traceback, and Sentry shows."""
    return "" if error is None else repr(error) + str(error) + _chain(error.__cause__) + _chain(error.__context__)
