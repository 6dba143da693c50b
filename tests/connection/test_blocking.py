"""Does the renewal thread's link behave as the others do, and end when another thread says so?"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from redis.exceptions import ResponseError
from support.proxy import FaultProxy
from support.valkey import PASSWORD, Valkey, free_port, server_that_says
from support.waiting import wait_until

from oxcart.connection.blocking import BlockingLink
from oxcart.connection.target import RedisTarget
from oxcart.errors import ServerRefused, Unavailable
from oxcart.secret import Secret


def link_to(port: int, **changes: object) -> BlockingLink:
    settings = {"host": "127.0.0.1", "password": Secret(PASSWORD), **changes}
    return BlockingLink(RedisTarget(port=port, **settings), client_name="locks")  # type: ignore[arg-type]


@pytest.fixture
def link(proxy: FaultProxy) -> Iterator[BlockingLink]:
    link = link_to(proxy.port)
    yield link
    link.close()


def test_replies_are_as_the_server_sent_them(link: BlockingLink) -> None:
    replies = link.requests([("SET", "key", "1"), ("HGET", "key", "field"), ("INCR", "key")])

    assert (replies[0], replies[2]) == (b"OK", 2)
    assert isinstance(replies[1], ResponseError)
    assert link.request("GET", "key") == b"2"
    assert link.requests([]) == []


def test_an_error_reply_is_refused(link: BlockingLink) -> None:
    link.request("SET", "key", "1")

    with pytest.raises(ServerRefused) as refused:
        link.request("HGET", "key", "field")

    assert refused.value.failure.code == "WRONGTYPE"
    assert link.is_open


def test_a_passed_deadline_closes_the_socket(link: BlockingLink, proxy: FaultProxy) -> None:
    link.request("PING")
    proxy.freeze()

    with pytest.raises(Unavailable) as caught:
        link.request("INCR", "key", deadline_seconds=0.1)

    assert (caught.value.failure.code, caught.value.outcome_unknown) == ("READ_TIMEOUT", True)
    proxy.thaw()
    assert link.request("ECHO", "mine") == b"mine"


def test_a_deadline_covers_connecting(link: BlockingLink, proxy: FaultProxy) -> None:
    proxy.blackhole = True

    with pytest.raises(Unavailable) as caught:
        link.request("PING", deadline_seconds=0.2)

    assert not caught.value.outcome_unknown


def test_a_lost_reply_is_unknown(link: BlockingLink, proxy: FaultProxy) -> None:
    proxy.lose_replies(b"INCR")

    with pytest.raises(Unavailable) as caught:
        link.request("INCR", "key")

    assert caught.value.outcome_unknown
    assert link.request("GET", "key") == b"1"


async def test_a_link_cut_while_idle_is_opened_anew(link: BlockingLink, proxy: FaultProxy) -> None:
    link.request("PING")
    proxy.cut()

    await wait_until(link._has_unread, describe="the end of the connection has arrived")

    assert link.request("PING") == b"PONG"


def test_a_replica_closes_the_link(valkey: Valkey) -> None:
    link = link_to(valkey.port)
    link.request("PING")
    valkey.run("REPLICAOF", "127.0.0.1", free_port())

    with pytest.raises(Unavailable) as caught:
        link.request("SET", "key", "1")

    assert (caught.value.failure.code, caught.value.outcome_unknown) == ("READONLY", False)
    assert not link.is_open


async def test_another_thread_ends_a_request(link: BlockingLink, valkey: Valkey) -> None:
    errors: list[Unavailable] = []

    def wait() -> None:
        try:
            link.request("BLPOP", "list", 30, deadline_seconds=40)
        except Unavailable as error:
            errors.append(error)

    def blocked() -> bool:
        with valkey.client() as client:
            return bool(client.info("clients")["blocked_clients"])

    thread = threading.Thread(target=wait)
    thread.start()
    await wait_until(blocked, describe="the server has blocked the client")

    link.close()
    thread.join(10)

    assert [error.failure.code for error in errors] == ["CLOSED"]
    assert link.request("PING") == b"PONG"


def test_a_refused_password_is_named_and_not_shown(valkey: Valkey) -> None:
    link = link_to(valkey.port, password=Secret("wrong-8d2b"))

    with pytest.raises(Unavailable) as caught:
        link.request("PING")

    assert (caught.value.failure.code, caught.value.outcome_unknown) == ("AUTH_BAD", False)
    assert "wrong-8d2b" not in str(caught.value) + repr(caught.value.__cause__) + repr(link)


@pytest.mark.parametrize("answer", [b"", b"-ERR your password is " + PASSWORD.encode() + b"\r\n"], ids=["echo", "told"])
def test_a_server_that_repeats_the_password_does_not_show_it(answer: bytes) -> None:
    with server_that_says(answer) as port, pytest.raises(Unavailable) as caught:
        link_to(port).request("PING", deadline_seconds=5)

    error: BaseException | None = caught.value
    while error is not None:
        assert PASSWORD not in repr(error) + str(error)
        error = error.__cause__ or error.__context__


def test_a_closed_port_is_named() -> None:
    with pytest.raises(Unavailable) as caught:
        link_to(free_port()).request("PING")

    assert caught.value.failure.code == "TCP_REFUSED"
