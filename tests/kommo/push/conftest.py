"""What do tests of pushing share? A connected account whose Kommo is a sandbox in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from support.ports import closed_port
from support.sandbox import DEMO, Sandbox, open_kommo

from kommo.stored import add_account
from oxcart.kommo.account import Account
from oxcart.kommo.client import Kommo
from oxcart.kommo.crm import Crm
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.limiter import Pace
from oxcart.kommo.store.database import Database
from oxcart.secret import Secret
from oxcart_sandbox import SandboxClock, Scenario, World, serving

ORG = "6f1c3f0e-5d0b-4b57-9a0c-2a9d3f4c1b11"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Its clock stands still: what a test waits for is its own doing."""
    clock = SandboxClock(start_at=1_790_000_000, speed=0)
    scenario = Scenario(requests_per_second=1_000_000, hang_real_seconds=30)
    world = World(scenario=scenario, clock=clock)
    async with serving(world) as url, aiohttp.ClientSession() as session:
        yield Sandbox(world, url, session)


@pytest.fixture
async def kommo(sandbox: Sandbox, redis_url: str, queue_name: str) -> AsyncIterator[Kommo]:
    async with open_kommo(sandbox.url, redis_url, bucket=queue_name, pace=Pace(requests_per_second=1e6)) as opened:
        yield opened


@pytest.fixture
async def connection_id(database: Database, sandbox: Sandbox) -> str:
    token = sandbox.world.token_of(sandbox.demo)
    known = {"base_domain": DEMO, "access_token": token, "refresh_token": None, "org_id": ORG}
    return await add_account(database, ends_in_seconds=None, client_secret=None, **known)


@pytest.fixture
def crm(database: Database, kommo: Kommo) -> Crm:
    return Crm(database, kommo, Keyring(Secret("00" * 32)), lambda _: None)


@pytest.fixture
async def crm_without_kommo(database: Database, redis_url: str, queue_name: str) -> AsyncIterator[Crm]:
    """The same, where nobody listens at Kommo's address."""
    nobody = f"http://127.0.0.1:{closed_port()}"
    async with open_kommo(nobody, redis_url, bucket=queue_name, pace=Pace(requests_per_second=1e6)) as opened:
        yield Crm(database, opened, Keyring(Secret("00" * 32)), lambda _: None)


@pytest.fixture
async def account(crm: Crm, connection_id: str) -> Account:
    return crm.account(await crm.find(connection_id=connection_id), patience_seconds=2)
