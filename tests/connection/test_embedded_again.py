"""Is the private server found again by those who use it, however often it is killed and wherever it comes back?"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from oxcart.connection.blocking import BlockingLink
from oxcart.connection.embedded import embedded_server
from oxcart.connection.embedded_watchdog import CRASHES_PER_MINUTE, read_state
from oxcart.connection.server import Server
from oxcart.errors import Unavailable
from oxcart.testing import wait_until

BACK_WITHIN_SECONDS = 5.0  # docs/guarantees.md, 6


@pytest.fixture
async def used(tmp_path: Path) -> AsyncIterator[Server]:
    async with embedded_server(tmp_path / ".oxcart") as found:
        server = Server(found.target)
        yield server
        await server.close()


def state_of(server: Server) -> dict[str, Any]:
    assert server.target.embedded_in is not None
    return read_state(server.target.embedded_in)


def process_of(server: Server) -> psutil.Process:
    return psutil.Process(state_of(server)["pid"])


@asynccontextmanager
async def port_taken_by_another(server: Server) -> AsyncIterator[None]:
    """From the moment in which the server is killed: its watchdog stands still meanwhile."""
    process, port = process_of(server), server.target.port
    watchdog = process.parent()
    assert watchdog is not None
    watchdog.suspend()
    process.kill()
    await wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, describe="the server has ended")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await wait_until(lambda: is_taken(other, port), describe="another program has the port")
        watchdog.resume()
        await wait_until(lambda: state_of(server).get("port") != port, describe="it has another port")
        await wait_until(lambda: state_of(server).get("version"), describe="it runs again")
        yield


def is_taken(by: socket.socket, port: int) -> bool:
    try:
        by.bind(("127.0.0.1", port))
    except OSError:
        return False
    by.listen()
    return True


async def is_back(server: Server) -> None:
    link = server.link("test")

    async def answers() -> bool:
        try:
            return bool(await link.request("PING", deadline_seconds=1) == b"PONG")
        except Unavailable:
            await server.wait_until_ready()
            return False

    await wait_until(answers, describe="the server answers", timeout=BACK_WITHIN_SECONDS)
    link.discard()


async def test_a_server_that_comes_back_on_another_port_is_found(used: Server) -> None:
    await is_back(used)
    locks, port = BlockingLink(used.target), used.target.port
    assert await asyncio.to_thread(locks.request, "PING") == b"PONG"

    async with port_taken_by_another(used):
        await is_back(used)
        assert used.target.port != port
        locks.close()
        assert await asyncio.to_thread(locks.request, "PING") == b"PONG"
    locks.close()


async def test_a_server_that_is_killed_more_often_than_its_watchdog_bears_is_started_again(used: Server) -> None:
    await is_back(used)
    for _ in range(CRASHES_PER_MINUTE + 3):
        process_of(used).kill()
        await is_back(used)
