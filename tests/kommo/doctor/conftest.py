"""What do tests of Kommo's checks share? A connected account, a sandbox, and the doctor's environment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from support.examined import Examined, examined
from support.keys import remove_keys
from support.sandbox import DEMO, Sandbox
from support.server import PrivateServer

from kommo.stored import add_account
from oxcart.cli.kommo_checks import all_checks
from oxcart.kommo.store.database import Database
from oxcart_sandbox import Scenario, World, serving

Look = Callable[..., Awaitable[Examined]]


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Its clock is right."""
    world = World(contacts=3, leads=3, scenario=Scenario(requests_per_second=1_000_000))
    async with serving(world) as url, aiohttp.ClientSession() as session:
        yield Sandbox(world, url, session)


@pytest.fixture
async def connection_id(database: Database, sandbox: Sandbox) -> str:
    """With a long-lived token of the administrator."""
    token = sandbox.world.token_of(sandbox.demo)
    known = {"base_domain": DEMO, "access_token": token, "refresh_token": None}
    return await add_account(database, ends_in_seconds=None, client_secret=None, **known)


@pytest.fixture
async def environ(
    sandbox: Sandbox, server: PrivateServer, queue_name: str, database_url: str, tmp_path: Path
) -> AsyncIterator[dict[str, str]]:
    yield {
        "REDIS_URL": server.url,
        "JOB_QUEUE_NAME": queue_name,
        "OXCART_PREFIX": queue_name,
        "DATABASE_URL": database_url,
        "OXCART_KOMMO_BASE_URL": sandbox.url,
        "OXCART_DATA_DIR": str(tmp_path / "data"),
    }
    with server.client() as client:
        remove_keys(client, f"{queue_name}:*")
        remove_keys(client, "oxcart:{kommo:default}:*")


@pytest.fixture
def look(environ: dict[str, str], sandbox: Sandbox) -> Look:
    """Run Kommo's checks in this environment, with changes; no token of the sandbox may be told."""

    async def run(**changes: str) -> Examined:
        seen = await examined({**environ, **changes}, only=["kommo"], checks=all_checks())
        for account in sandbox.world.accounts:
            assert sandbox.world.token_of(account) not in seen.text
        return seen

    return run
