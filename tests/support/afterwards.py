"""What is looked at after each test in a folder whose conftest imports this? What should have ended with the test.

A fixture that is asked for by itself comes first, and so is left last: when it looks, the others have closed theirs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from support.invariants import look_at_sockets, look_at_tasks, unfinished_tasks
from support.server import PrivateServer


@pytest.fixture(autouse=True)
async def nothing_left_over(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    servers: list[PrivateServer] = [
        request.getfixturevalue(name) for name in ("server", "fresh_server") if name in request.fixturenames
    ]
    before = unfinished_tasks()
    yield
    await look_at_tasks(before)
    for server in servers:
        if server.is_running():
            server.thaw()
            async with Redis(
                host=server.host, port=server.port, password=server.password, decode_responses=True, protocol=2
            ) as client:
                await look_at_sockets(client)
