"""What do tests of the command line share? The command on the test's server and queue, and that queue for looking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.command import Oxcart
from support.server import PrivateServer

from oxcart import Queue


@pytest.fixture
def oxcart(tmp_path: Path, redis_url: str, queue_name: str) -> Oxcart:
    return Oxcart(tmp_path, {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name})


@pytest.fixture
def bare_oxcart(tmp_path: Path) -> Oxcart:
    """With nothing set: the embedded server of an empty folder."""
    return Oxcart(tmp_path, {})


@pytest.fixture
async def queue(redis_url: str, queue_name: str) -> AsyncIterator[Queue]:
    async with Queue(queue_name, redis_url) as opened:
        yield opened


@pytest.fixture
def secret(server: PrivateServer) -> str:
    """What no output may hold."""
    return server.password
