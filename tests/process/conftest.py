"""What do tests with real worker processes need? A server of their own, a queue, the store, and the processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.processes import Fleet
from support.server import PrivateServer
from support.store import Store

from oxcart import Queue


@pytest.fixture
async def queue(fresh_server: PrivateServer, queue_name: str) -> AsyncIterator[Queue]:
    async with Queue(queue_name, fresh_server.url) as queue:
        yield queue


@pytest.fixture
def store(fresh_server: PrivateServer, queue_name: str) -> Iterator[Store]:
    with fresh_server.client() as client:
        yield Store(client, queue_name)


@pytest.fixture
def fleet(tmp_path: Path, fresh_server: PrivateServer, store: Store, queue_name: str) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, fresh_server.url, store.client, queue_name)
    yield fleet
    fleet.end()
