"""Does a request outlive its deadline while bytes move, and end when they stand still?"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from support.proxy import FaultProxy
from support.valkey import Connect, Valkey

from oxcart.errors import Unavailable

BOTH_LOOPS = True

NOTICED_WITHIN_SECONDS = 8.0  # the deadline, and one look at what moves


@asynccontextmanager
async def trickling_server(pieces: Sequence[bytes], seconds_between: float) -> AsyncIterator[int]:
    """Answers the greeting's PING, and what comes after it piece by piece; then it is silent. Its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while b"PING" not in await reader.read(4096):
                continue
            writer.write(b"+PONG\r\n+OK\r\n")  # to CLIENT SETINFO
            await reader.read(4096)
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(seconds_between)
            await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_reply_that_comes_slowly_is_waited_for(connect: Connect) -> None:
    async with trickling_server([b"$40\r\n", *[b"x"] * 40, b"\r\n"], 0.2) as port:
        server = connect(port, password=None)

        reply = await server.link("test").request("ECHO", "x", deadline_seconds=1)

        assert reply == b"x" * 40
        await server.close()


async def test_a_reply_that_stops_half_way_is_given_up(connect: Connect) -> None:
    async with trickling_server([b"$40\r\n", b"xxx"], 0.1) as port:
        server = connect(port, password=None)
        began = time.monotonic()

        with pytest.raises(Unavailable):
            await server.link("test").request("ECHO", "x", deadline_seconds=1)

        assert time.monotonic() - began < NOTICED_WITHIN_SECONDS
        await server.close()


async def test_a_request_that_leaves_slowly_is_waited_for(connect: Connect, valkey: Valkey) -> None:
    with FaultProxy(valkey.port, narrow=True) as proxy:
        link = connect(proxy.port).link("test")
        await link.open()
        proxy.up_bytes_per_second = 1 << 20

        reply = await link.request("SET", "large", b"x" * (8 << 20), deadline_seconds=1)

        assert reply == b"OK"


async def test_a_large_request_to_a_server_that_stands_still_is_given_up(connect: Connect, valkey: Valkey) -> None:
    """What the kernel could not get rid of does not move: a deadline is a deadline."""
    with FaultProxy(valkey.port, narrow=True) as proxy:
        link = connect(proxy.port).link("test")
        await link.open()
        proxy.up_bytes_per_second = 1.0
        began = time.monotonic()

        with pytest.raises(Unavailable):
            await link.request("SET", "large", b"x" * (1 << 20), deadline_seconds=1)

        assert time.monotonic() - began < 1 + 8 + NOTICED_WITHIN_SECONDS
