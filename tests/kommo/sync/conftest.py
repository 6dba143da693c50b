"""What do tests of the walks share? A connected account of the sandbox's, and a mirror in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from support.mirroring import Mirror
from support.sandbox import DEMO, Sandbox, client_of, open_kommo

from kommo.stored import add_account
from oxcart.kommo.account import Account
from oxcart.kommo.client import Kommo
from oxcart.kommo.limiter import Pace
from oxcart.kommo.store.database import Database
from oxcart_sandbox import SandboxClock, Scenario, World, serving

NOW = 1_790_000_000
ORGANISATION = "0b7c9e0e-5d1f-4a52-8a53-6b0f6a1f9c11"
UNLIMITED = 1_000_000
QUICK = Pace(requests_per_second=1e6)


def make_world(*, contacts: int = 200, leads: int = 100) -> World:
    """Its clock stands still."""
    scenario = Scenario(requests_per_second=UNLIMITED)
    return World(contacts=contacts, leads=leads, scenario=scenario, clock=SandboxClock(start_at=NOW, speed=0))


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
async def sandbox(world: World) -> AsyncIterator[Sandbox]:
    async with serving(world) as url, aiohttp.ClientSession() as session:
        yield Sandbox(world, url, session)


@pytest.fixture
async def kommo(sandbox: Sandbox, redis_url: str, queue_name: str) -> AsyncIterator[Kommo]:
    async with open_kommo(sandbox.url, redis_url, bucket=queue_name, pace=QUICK, request_seconds=5.0) as opened:
        yield opened


@pytest.fixture
async def connection_id(database: Database) -> str:
    return await add_account(database, base_domain=DEMO, account_id=None, org_id=ORGANISATION)


@pytest.fixture
def account_with(database: Database, sandbox: Sandbox, kommo: Kommo, connection_id: str) -> Callable[..., Account]:
    def make(*, patience_seconds: float = 5.0) -> Account:
        client = client_of(kommo, sandbox.world, patience_seconds=patience_seconds)
        return Account(connection_id, ORGANISATION, DEMO, database, client, lambda _: None)

    return make


@pytest.fixture
def account(account_with: Callable[..., Account], database: Database, connection_id: str) -> Account:
    return account_with()


@pytest.fixture
def mirror(account: Account, sandbox: Sandbox) -> Mirror:
    return Mirror(account, sandbox.world)
