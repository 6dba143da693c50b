"""Does a link give each request its own reply, or say what is known about it, whatever happens to the socket?"""

from __future__ import annotations

import asyncio
import socket
import traceback
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError
from support.proxy import FaultProxy
from support.valkey import PASSWORD, Connect, Events, Valkey, free_port, server_that_says
from support.waiting import wait_until

from oxcart.connection.link import Link, Server
from oxcart.errors import ServerRefused, Unavailable
from oxcart.secret import Secret

BOTH_LOOPS = True


async def unavailable(request: Awaitable[Any]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await request
    return caught.value


async def in_flight(link: Link, valkey: Valkey, *command: str | int, deadline_seconds: float = 10) -> asyncio.Task[Any]:
    """A blocking request that the server has received."""
    task = asyncio.create_task(link.request(*command, deadline_seconds=deadline_seconds))
    await wait_until(lambda: blocked_clients(valkey) == 1, describe="the server has blocked the client")
    return task


def blocked_clients(valkey: Valkey) -> int:
    with valkey.client() as client:
        return int(client.info("clients")["blocked_clients"])


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
    """A waiter left armed on the server would consume the next marker; its reply would meet the next request."""
    link = connect(valkey.port).link("test")
    waiting = await in_flight(link, valkey, "BLPOP", "list", 30)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert not link.is_open
    await wait_until(lambda: blocked_clients(valkey) == 0, describe="the server has dropped the waiter")
    valkey.run("RPUSH", "list", "item")
    assert await link.request("ECHO", "mine") == b"mine"
    assert await link.request("LPOP", "list") == b"item"


async def test_one_cancelled_among_many_takes_no_reply_of_the_others(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")
    first = await in_flight(link, valkey, "BLPOP", "list", 30)
    others = [asyncio.create_task(link.request("ECHO", str(number))) for number in range(20)]
    await asyncio.sleep(0)

    first.cancel()

    assert await asyncio.gather(*others) == [str(number).encode() for number in range(20)]


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
        assert link._connection is not None
        await wait_until(link._connection.is_stale, describe="the end of the connection has arrived")
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


async def test_a_closed_server_refuses_requests(valkey: Valkey, connect: Connect) -> None:
    server = connect(valkey.port)
    link = server.link("test")
    await link.request("PING")

    await server.close()
    await server.close()

    assert (await unavailable(link.request("PING"))).failure.code == "CLOSED"
    assert (await unavailable(server.wait_until_ready())).failure.code == "CLOSED"


async def test_closing_the_server_ends_the_waiting(connect: Connect, events: Events) -> None:
    server = connect(free_port())
    waiting = asyncio.create_task(server.wait_until_ready())
    await wait_until(lambda: server.failure is not None, describe="an attempt has failed")

    await server.close()

    assert (await unavailable(waiting)).failure.code == "CLOSED"


async def test_cancelling_one_who_waits_leaves_the_others_waiting(proxy: FaultProxy, connect: Connect) -> None:
    server = connect(proxy.port)
    proxy.refuse()
    first, second = (asyncio.create_task(server.wait_until_ready()) for _ in range(2))
    await wait_until(lambda: server.failure is not None, describe="an attempt has failed")

    first.cancel()
    proxy.accept()

    await second
    assert server.connected
    assert first.cancelled()


async def test_an_outage_is_reported_once_however_many_notice_it(
    valkey: Valkey, connect: Connect, events: Events
) -> None:
    server = connect(valkey.port)
    calls: list[str] = []
    server.on_lost(lambda: calls.append("lost"))
    server.on_ready(lambda: calls.append("ready"))
    await server.wait_until_ready()
    links = [server.link(f"link {number}") for number in range(4)]
    for link in links:
        await link.open()
    waiting = [asyncio.create_task(link.request("BLPOP", "list", 30)) for link in links]
    await wait_until(lambda: blocked_clients(valkey) == 4, describe="all are blocked")

    valkey.kill()

    for task in waiting:
        assert (await unavailable(task)).outcome_unknown
    assert not server.connected
    await wait_until(lambda: server.reconnect_attempts >= 3, describe="the server has been tried in vain")
    await asyncio.gather(*(unavailable(link.request("PING")) for link in links))
    valkey.start()
    await asyncio.gather(*(server.wait_until_ready() for _ in range(5)))
    assert [await link.request("PING") for link in links] == [b"PONG"] * 4
    told = events.told()
    assert told.count("ready") == 2
    assert [text.split()[0] for text in told] in (
        ["ready", "lost", "ready"],
        ["ready", "lost", "changed", "ready"],
        ["ready", "lost", "changed", "changed", "ready"],
    )
    assert told[-2].endswith("TCP_REFUSED")
    assert calls == ["ready", "lost", "ready"]
    assert server.failure is None


async def test_a_server_that_is_away_at_the_start_is_reported_once(
    valkey: Valkey, connect: Connect, events: Events
) -> None:
    valkey.kill()
    server = connect(valkey.port)
    waiting = asyncio.create_task(server.wait_until_ready())
    await wait_until(lambda: server.reconnect_attempts >= 2, describe="it was tried again")
    assert server.failure is not None

    valkey.start()

    await waiting
    assert events.told() == ["lost TCP_REFUSED", "ready"]
    assert server.server_version


async def test_the_recovery_needs_nobody_to_wait_for_it(valkey: Valkey, connect: Connect, events: Events) -> None:
    """A producer's process may have no loop that waits; its state must still be true."""
    server = connect(valkey.port)
    link = server.link("test")
    await link.open()
    valkey.kill()
    await unavailable(link.request("PING"))

    valkey.start()

    await wait_until(lambda: server.connected, describe="the server was found again")


async def test_a_new_attempt_starts_beside_one_that_hangs(proxy: FaultProxy, connect: Connect, events: Events) -> None:
    server = connect(proxy.port, connect_timeout_seconds=60.0)
    proxy.blackhole = True
    waiting = asyncio.create_task(server.wait_until_ready())
    await wait_until(lambda: proxy.connections_accepted == 1, describe="the first attempt hangs")

    proxy.blackhole = False

    await waiting
    assert proxy.connections_accepted == 2
    await wait_until(lambda: proxy.connections_open == 0, describe="both attempts are closed")


async def test_a_replica_is_not_ready_and_closes_every_link(valkey: Valkey, connect: Connect, events: Events) -> None:
    """After a failover the old address answers PING, and refuses every write."""
    server = connect(valkey.port)
    await server.wait_until_ready()
    writing, idle = server.link("writing"), server.link("idle")
    await writing.open()
    await idle.open()
    valkey.run("REPLICAOF", "127.0.0.1", free_port())

    error = await unavailable(writing.request("SET", "key", "1"))

    assert (error.failure.code, error.outcome_unknown) == ("READONLY", False)
    assert not idle.is_open
    attempts = server.reconnect_attempts
    await wait_until(lambda: server.reconnect_attempts >= attempts + 3, describe="the replica was tried again")
    assert not server.connected
    valkey.run("REPLICAOF", "NO", "ONE")
    await server.wait_until_ready()
    assert await writing.request("SET", "key", "1") == b"OK"
    assert events.told() == ["ready", "lost READONLY", "ready"]


async def test_a_write_refused_in_a_pipeline_makes_the_whole_unknown(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")
    await link.open()
    valkey.run("REPLICAOF", "127.0.0.1", free_port())

    error = await unavailable(link.requests([("PING",), ("SET", "key", "1")]))

    assert (error.failure.code, error.outcome_unknown) == ("READONLY", True)


async def test_a_server_that_loads_its_data_is_waited_for(valkey: Valkey, connect: Connect, events: Events) -> None:
    valkey.run("CONFIG", "SET", "rdbcompression", "no")  # while it loads, it answers once every 1024 bytes
    for number in range(100):
        valkey.run("SET", f"key{number}", "x" * 2000)
    valkey.run("SAVE")
    valkey.kill()
    valkey.start("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    server = connect(valkey.port)

    await server.wait_until_ready()

    assert events.told() == ["lost LOADING", "ready"]


async def test_a_changed_password_is_read_again_at_each_connect(
    valkey: Valkey, connect: Connect, events: Events, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    server = connect(valkey.port, password=None, password_file=str(file))
    await server.wait_until_ready()
    link = server.link("test")
    await link.open()

    with valkey.client() as admin:
        admin.config_set("requirepass", "another-9c1e")
        waiting = asyncio.create_task(link.request("BLPOP", "list", 30))
        await wait_until(lambda: int(admin.info("clients")["blocked_clients"]) == 1, describe="the link is blocked")
        admin.client_kill_filter(_type="normal", skipme=True)
        await unavailable(waiting)
        await wait_until(lambda: "AUTH_BAD" in events.told()[-1], describe="the old password was refused")
        file.write_text("another-9c1e\n")
        await server.wait_until_ready()
        assert await link.request("PING") == b"PONG"
        admin.config_set("requirepass", PASSWORD)

    assert events.told() == ["ready", "lost TCP_RESET_LATE", "changed AUTH_BAD", "ready"]


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
    assert link._connection._writer is not None

    sock = link._connection._writer.get_extra_info("socket")

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

    assert PASSWORD not in repr([server, link, server.target, server.new_connection("name"), link._connection])


def _chain(error: BaseException | None) -> str:
    """Also what `from None` hides from a traceback, and Sentry shows."""
    return "" if error is None else repr(error) + str(error) + _chain(error.__cause__) + _chain(error.__context__)
