"""What do tests of the mirror share? A sandbox whose clock stands still, and a database that mirrors its account."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from support.mirror import Mirror
from support.sandbox import DEMO, Sandbox, client_of, open_kommo

from kommo.stored import account as stored_account
from kommo.stored import add_account
from oxcart.kommo.account import Account
from oxcart.kommo.limiter import Pace
from oxcart.kommo.store.database import Database
from oxcart_sandbox import SandboxClock, Scenario, World, serving

QUICK = Pace(requests_per_second=1e6)


@pytest.fixture
def scenario() -> Scenario:
    return Scenario(requests_per_second=1_000_000)


@pytest.fixture
async def mirror(scenario: Scenario, database: Database, redis_url: str, queue_name: str) -> AsyncIterator[Mirror]:
    """600 contacts and 300 leads, and a mirror that is empty yet."""
    clock = SandboxClock(start_at=1_790_000_000, speed=0)
    world = World(contacts=600, leads=300, scenario=scenario, clock=clock)
    connection_id = await add_account(database, base_domain=DEMO, ends_in_seconds=None)
    org_id = str((await stored_account(database, connection_id))["org_id"])
    async with (
        serving(world) as url,
        aiohttp.ClientSession() as session,
        open_kommo(url, redis_url, bucket=queue_name, pace=QUICK, request_seconds=5) as kommo,
    ):
        client = client_of(kommo, world, patience_seconds=5)
        account = Account(connection_id, org_id, DEMO, database, client, lambda _: None)
        yield Mirror(Sandbox(world, url, session), account)
