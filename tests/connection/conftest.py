"""What do the connection tests need? A Valkey of their own to kill and reconfigure, on both kinds of event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from support.proxy import FaultProxy
from support.valkey import PASSWORD, Connect, Events, Valkey

from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget
from oxcart.secret import Secret


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path)
    valkey.start()
    yield valkey
    valkey.kill()


@pytest.fixture
def proxy(valkey: Valkey) -> Iterator[FaultProxy]:
    with FaultProxy(valkey.port) as proxy:
        yield proxy


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def connect(events: Events) -> AsyncIterator[Connect]:
    """Makes a Server for a port of 127.0.0.1 with the right password, or as told; it is closed after the test."""
    servers: list[Server] = []

    def make(port: int, **changes: object) -> Server:
        settings = {"host": "127.0.0.1", "password": Secret(PASSWORD), "connect_timeout_seconds": 5.0, **changes}
        servers.append(Server(RedisTarget(port=port, **settings), events.append))  # type: ignore[arg-type]
        return servers[-1]

    yield make
    for server in servers:
        await server.close()


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A test file that says BOTH_LOOPS = True runs on asyncio's loop and on uvloop, as users may."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    module = item.getparent(pytest.Module)
    if module is not None and getattr(module.obj, "BOTH_LOOPS", False):
        factories["uvloop"] = uvloop.new_event_loop
    return factories
