"""What do tests of the CRM's commands share? A sandbox, a server and a database of the test's own, and the command."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.command import Oxcart, Running
from support.server import PrivateServer

from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.opening import open_database
from oxcart.secret import Secret
from oxcart.testing import wait_until
from oxcart_sandbox import Account, Scenario, World, serving

DOMAIN = "demo.kommo.com"
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@dataclass(frozen=True)
class Crm:
    """The command in a folder of its own; the account that it is connected to runs in the test's loop."""

    oxcart: Oxcart
    world: World
    database_url: str
    port: int

    @property
    def remote(self) -> Account:
        return self.world.accounts[0]

    @property
    def token(self) -> str:
        return self.world.token_of(self.remote)

    async def connect(self, *options: str, **environ: str) -> dict[str, Any]:
        given = {"KOMMO_TOKEN": self.token, **environ}
        done = await self.oxcart("kommo", "connect", DOMAIN, "--json", *options, **given)
        assert done.code == 0, done.err
        answer: dict[str, Any] = done.json
        return answer

    async def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        async with (
            open_database(parse_database_url(Secret(self.database_url))) as database,
            database.reading("Asserting") as connection,
        ):
            return [dict(row) for row in (await connection.execute(text(sql), values)).mappings()]

    def working(self) -> AbstractAsyncContextManager[Running]:
        """A worker with HTTP, whose webhooks the sandbox can reach."""
        return _ready(self.oxcart, self.port)


@asynccontextmanager
async def _ready(oxcart: Oxcart, port: int) -> AsyncIterator[Running]:
    async with oxcart.running("run", PORT=str(port), OXCART_LOG_FORMAT="json") as running:
        await wait_until(
            lambda: {"redis.ready", "worker.started", "http.started"} <= set(running.events()),
            describe="the worker is ready",
            timeout=30,
        )
        yield running


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def make_crm(tmp_path: Path, fresh_server: PrivateServer, free_port: int) -> Callable[..., Any]:
    """Makes what the tests use, for a scenario and a database."""

    @asynccontextmanager
    async def make(database_url: str, **scenario: Any) -> AsyncIterator[Crm]:
        world = World(contacts=60, leads=40, scenario=Scenario(requests_per_second=10_000, **scenario))
        async with serving(world) as url:
            environ = {
                "REDIS_URL": fresh_server.url,
                "OXCART_KOMMO_BASE_URL": url,
                "OXCART_KOMMO_REQUESTS_PER_SECOND": "1000",
                "DATABASE_URL": database_url,
                "ENCRYPTION_KEY": KEY,
                "OXCART_PUBLIC_URL": f"http://127.0.0.1:{free_port}",
                "OXCART_SHUTDOWN_GRACE_SECONDS": "2",
            }
            yield Crm(Oxcart(tmp_path, environ), world, database_url, free_port)

    return make


@pytest.fixture
async def crm(make_crm: Callable[..., Any], sqlite_url: str) -> AsyncIterator[Crm]:
    async with make_crm(sqlite_url) as made:
        yield made
