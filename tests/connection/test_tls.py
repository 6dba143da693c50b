"""Does TLS work where it is right, and is it named exactly where it is wrong?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from support.proxy import FaultProxy
from support.tls import Certificate, TlsFront
from support.valkey import PASSWORD, Connect, Events, Valkey, server_that_says
from support.waiting import wait_until

from oxcart.connection.blocking import BlockingLink
from oxcart.connection.target import RedisTarget
from oxcart.errors import Unavailable
from oxcart.secret import Secret
from oxcart.settings.values import CA_FILE

BOTH_LOOPS = True


async def failure_code(opening: Awaitable[Any]) -> str:
    with pytest.raises(Unavailable) as caught:
        await opening
    assert PASSWORD not in str(caught.value)
    return caught.value.failure.code


async def test_a_certificate_of_the_given_authority_is_good(valkey: Valkey, connect: Connect) -> None:
    with TlsFront(valkey.port) as front:
        server = connect(front.port, host="localhost", tls=True, tls_ca_file=front.ca_file, family="4")
        link = server.link("test")

        await server.wait_until_ready()
        assert await link.request("SET", "key", b"x" * 1_000_000) == b"OK"
        assert await link.request("GET", "key") == b"x" * 1_000_000


async def test_an_authority_may_be_given_as_text(valkey: Valkey, connect: Connect) -> None:
    """Railway has variables, and no files."""
    with TlsFront(valkey.port) as front:
        text = Path(front.ca_file).read_text().replace("\n", "\\n")
        read = CA_FILE.parse(text)
        server = connect(front.port, host="localhost", tls=True, tls_ca_file=read, family="4")

        await server.wait_until_ready()
        with pytest.raises(ValueError, match="no certificate"):
            CA_FILE.parse("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")


@pytest.mark.parametrize(
    ("certificate", "code"),
    [
        ("wrong_name", "TLS_HOST"),
        ("unknown_ca", "TLS_CA"),
        ("self_signed", "TLS_SELF"),
        ("expired", "TLS_EXPIRED"),
    ],
)
async def test_a_bad_certificate_is_refused(
    valkey: Valkey, connect: Connect, certificate: Certificate, code: str
) -> None:
    with TlsFront(valkey.port, certificate) as front:
        link = connect(front.port, tls=True, tls_ca_file=front.ca_file).link("test")

        assert await failure_code(link.open()) == code


async def test_a_private_authority_without_its_file_is_refused(valkey: Valkey, connect: Connect) -> None:
    with TlsFront(valkey.port) as front:
        assert await failure_code(connect(front.port, tls=True).link("test").open()) == "TLS_CA"


@pytest.mark.parametrize("certificate", ["wrong_name", "unknown_ca", "self_signed", "expired"])
async def test_the_insecure_switch_accepts_any_certificate(
    valkey: Valkey, connect: Connect, certificate: Certificate
) -> None:
    with TlsFront(valkey.port, certificate) as front:
        link = connect(front.port, tls=True, tls_verify=False).link("test")

        assert await link.request("PING") == b"PONG"


async def test_tls_to_a_plain_server_that_stays_silent_is_named(proxy: FaultProxy, connect: Connect) -> None:
    """A real Redis or Valkey never answers the TLS greeting; a second socket asks it in plain text, without AUTH."""
    link = connect(proxy.port, tls=True, connect_timeout_seconds=1.5).link("test")

    assert await failure_code(link.open()) == "TLS_TO_PLAIN"
    assert proxy.commands["AUTH"] == 0


async def test_tls_to_a_plain_server_that_answers_is_named(connect: Connect) -> None:
    with server_that_says(b"-ERR unknown command\r\n") as port:
        assert await failure_code(connect(port, tls=True).link("test").open()) == "TLS_TO_PLAIN"


async def test_tls_to_a_black_hole_is_no_plain_server(proxy: FaultProxy, connect: Connect) -> None:
    proxy.blackhole = True

    code = await failure_code(connect(proxy.port, tls=True, connect_timeout_seconds=1.0).link("test").open())

    assert code == "TCP_TIMEOUT"
    assert proxy.connections_accepted >= 2


async def test_plain_text_to_a_tls_server_fails_at_once(valkey: Valkey, connect: Connect) -> None:
    with TlsFront(valkey.port) as front:
        code = await failure_code(connect(front.port, connect_timeout_seconds=30.0).link("test").open())

    assert code == "TCP_RESET"


async def test_a_lost_tls_connection_is_found_again(valkey: Valkey, connect: Connect, events: Events) -> None:
    with TlsFront(valkey.port) as front, FaultProxy(front.port) as proxy:
        server = connect(proxy.port, tls=True, tls_ca_file=front.ca_file)
        await server.wait_until_ready()
        link = server.link("test")
        waiting = asyncio.create_task(link.request("BLPOP", "list", 30))
        await wait_until(lambda: link.is_open, describe="the link is open")

        proxy.reset()

        with pytest.raises(Unavailable):
            await waiting
        await server.wait_until_ready()
        assert await link.request("PING") == b"PONG"
    assert [text.split()[0] for text in events.told()] == ["ready", "lost", "ready"]


async def test_closing_a_tls_link_ends_its_request(valkey: Valkey, connect: Connect) -> None:
    with TlsFront(valkey.port) as front:
        link = connect(front.port, tls=True, tls_ca_file=front.ca_file).link("test")
        waiting = asyncio.create_task(link.request("BLPOP", "list", 30))
        await wait_until(lambda: link.is_open, describe="the link is open")

        link.close()

        assert await failure_code(waiting) == "CLOSED"


async def test_many_requests_share_a_tls_link(valkey: Valkey, connect: Connect) -> None:
    with TlsFront(valkey.port) as front:
        link = connect(front.port, tls=True, tls_ca_file=front.ca_file).link("test")
        texts = [bytes([65 + number % 26]) * (number * 400) for number in range(200)]

        assert await asyncio.gather(*(link.request("ECHO", text) for text in texts)) == texts


async def test_the_blocking_link_speaks_tls_too(valkey: Valkey) -> None:
    with TlsFront(valkey.port) as good, TlsFront(valkey.port, "wrong_name") as wrong:
        link = BlockingLink(_blocking_target(good))
        assert link.request("PING") == b"PONG"
        link.close()

        with pytest.raises(Unavailable) as caught:
            BlockingLink(_blocking_target(wrong)).request("PING")
        assert caught.value.failure.code == "TLS_HOST"


def _blocking_target(front: TlsFront) -> RedisTarget:
    return RedisTarget("127.0.0.1", front.port, password=Secret(PASSWORD), tls=True, tls_ca_file=front.ca_file)
