"""What do the script tests need? A queue of their own on the test's server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from support.server import PrivateServer

from oxcart.protocol.keys import QueueKeys

from .queue_of_ours import OurQueue


@pytest.fixture
def client(server: PrivateServer) -> Iterator[redis.Redis]:
    with redis.Redis(host=server.host, port=server.port, password=server.password, protocol=2) as client:
        yield client


@pytest.fixture
def queue(client: redis.Redis, queue_name: str) -> OurQueue:
    return OurQueue(client, QueueKeys(queue_name))
