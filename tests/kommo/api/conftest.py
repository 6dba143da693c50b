"""What do tests of the API share? A sandbox in the test's own loop, and the real client in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from support.sandbox import Sandbox, client_of, open_kommo

from oxcart.kommo.client import Client, Kommo
from oxcart.kommo.limiter import Pace
from oxcart_sandbox import SandboxClock, Scenario, World, serving

# Tests of anything but the limit are not slowed down by it.
UNLIMITED = 1_000_000
QUICK = Pace(requests_per_second=1e6)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """200 contacts and 100 leads; its clock stands still at a round second."""
    clock = SandboxClock(start_at=1_790_000_000, speed=0)
    world = World(scenario=Scenario(requests_per_second=UNLIMITED), clock=clock)
    async with serving(world) as url, aiohttp.ClientSession() as session:
        yield Sandbox(world, url, session)


@pytest.fixture
async def kommo(sandbox: Sandbox, redis_url: str, queue_name: str) -> AsyncIterator[Kommo]:
    async with open_kommo(sandbox.url, redis_url, bucket=queue_name, pace=QUICK) as opened:
        yield opened


@pytest.fixture
def client(sandbox: Sandbox, kommo: Kommo) -> Client:
    return client_of(kommo, sandbox.world, patience_seconds=5)
