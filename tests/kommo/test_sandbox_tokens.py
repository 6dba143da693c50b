"""Do store, tokens, client and sandbox fit together? An account is connected by OAuth and called for days."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from support.sandbox import DEMO, Sandbox, open_kommo

from kommo.stored import account
from oxcart.kommo.authorize import Integration, begin_authorization, finish_authorization
from oxcart.kommo.client import Kommo
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.held_tokens import NeedsReauth
from oxcart.kommo.limiter import Caller, Pace
from oxcart.kommo.store.database import Database
from oxcart.kommo.token_endpoint import KommoTokenEndpoint
from oxcart.kommo.tokens import TokenKeeper
from oxcart.secret import Secret
from oxcart_sandbox import SandboxClock, World, serving

RING = Keyring(Secret("00" * 32))
DAY = 86_400


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    world = World(contacts=3, leads=3, clock=SandboxClock(speed=0))
    async with serving(world) as url, aiohttp.ClientSession() as session:
        yield Sandbox(world, url, session)


@pytest.fixture
async def kommo(sandbox: Sandbox, redis_url: str, queue_name: str) -> AsyncIterator[Kommo]:
    async with open_kommo(sandbox.url, redis_url, bucket=queue_name, pace=Pace()) as opened:
        yield opened


async def connect(database: Database, kommo: Kommo, sandbox: Sandbox) -> str:
    known = sandbox.world.authority.integration
    integration = Integration(known.client_id, Secret(known.client_secret), known.redirect_uri)
    address = await begin_authorization(database, RING, integration, DEMO)
    state = address.partition("state=")[2].partition("&")[0]
    code = sandbox.world.authority.code(sandbox.demo)
    endpoint = KommoTokenEndpoint(kommo)
    return await finish_authorization(database, RING, endpoint, state=state, code=code, referer=DEMO)


async def test_an_account_is_connected_and_called_until_its_access_is_revoked(
    database: Database, kommo: Kommo, sandbox: Sandbox
) -> None:
    connection_id = await connect(database, kommo, sandbox)
    keeper = TokenKeeper(database, RING, KommoTokenEndpoint(kommo), lambda _: None)
    client = kommo.client(DEMO, keeper.of(connection_id), Caller(connection_id))

    for day in range(3):  # the sandbox's days: its tokens end, ours seem fresh, and a 401 has one replaced
        assert len((await client.get("/contacts")).body["_embedded"]["contacts"]) == 3
        assert (await account(database, connection_id))["token_version"] == day
        sandbox.world.clock.advance(DAY + 1)

    exchanges = sandbox.world.authority.exchanges
    sandbox.world.authority.revoke(sandbox.demo)
    for _ in range(2):
        with pytest.raises(NeedsReauth, match="oxcart kommo connect"):
            await client.get("/contacts")
    assert sandbox.world.authority.exchanges == exchanges
