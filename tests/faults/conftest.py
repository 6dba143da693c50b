"""What do the fault tests need? A server to break, a proxy before it, the store behind it, effects to count."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.afterwards import nothing_left_over
from support.effects import Effects
from support.matrix import combinations_for as pytest_asyncio_loop_factories
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.store import Store

from oxcart import Oxcart, Queue

__all__ = ["nothing_left_over", "pytest_asyncio_loop_factories"]


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def app(effects: Effects) -> Oxcart:
    return effects.app()


@pytest.fixture
def proxy(fresh_server: PrivateServer) -> Iterator[FaultProxy]:
    with FaultProxy(fresh_server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied_url(fresh_server: PrivateServer, proxy: FaultProxy) -> str:
    return fresh_server.url.replace(f":{fresh_server.port}/", f":{proxy.port}/")


@pytest.fixture
async def queue(fresh_server: PrivateServer, queue_name: str) -> AsyncIterator[Queue]:
    """The queue as a producer sees it who is not behind the proxy."""
    async with Queue(queue_name, fresh_server.url) as queue:
        yield queue


@pytest.fixture
def store(fresh_server: PrivateServer, queue_name: str) -> Iterator[Store]:
    with fresh_server.client() as client:
        yield Store(client, queue_name)
