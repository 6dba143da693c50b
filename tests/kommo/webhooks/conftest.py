"""What do tests of webhooks share? A sandbox, an account of it in the database, and a receiver on its own thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select
from support.http_site import serving as serving_http
from support.sandbox import DEMO, Sandbox, open_kommo

from kommo.stored import add_account
from oxcart.http.webhooks import webhook_routes
from oxcart.kommo.account import Account
from oxcart.kommo.client import Kommo
from oxcart.kommo.crm import Crm
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.limiter import Pace
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.own_tables import crm_dirty, crm_hooks
from oxcart.kommo.webhooks.hook_secrets import make_secrets
from oxcart.kommo.webhooks.inbox import HookInbox
from oxcart.secret import Secret
from oxcart.telemetry.events import Event
from oxcart_sandbox import SandboxClock, Scenario, World, serving

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For what has nothing to do with the kind of database."""

RING = Keyring(Secret("00" * 32))


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    clock = SandboxClock(start_at=1_790_000_000, speed=0)
    world = World(contacts=200, leads=1000, scenario=Scenario(requests_per_second=1_000_000), clock=clock)
    async with serving(world) as url, aiohttp.ClientSession() as session:
        yield Sandbox(world, url, session)


@pytest.fixture
async def kommo(sandbox: Sandbox, redis_url: str, queue_name: str) -> AsyncIterator[Kommo]:
    async with open_kommo(sandbox.url, redis_url, bucket=queue_name, pace=Pace(requests_per_second=1e6)) as opened:
        yield opened


@pytest.fixture
def crm(database: Database, kommo: Kommo) -> Crm:
    return Crm(database, kommo, RING, lambda _: None)


@pytest.fixture
async def account(crm: Crm, sandbox: Sandbox) -> Account:
    """The sandbox's account demo, connected with a long-lived token of an administrator."""
    token = sandbox.world.token_of(sandbox.demo)
    values = {"base_domain": DEMO, "access_token": token, "refresh_token": None, "account_id": str(sandbox.demo.id)}
    connection_id = await add_account(crm.database, ends_in_seconds=None, client_secret=None, **values)
    return crm.account(await crm.find(connection_id=connection_id), patience_seconds=5)


@dataclass
class Door:
    """A worker's HTTP side, without a job loop and without Redis. `told` are the calls after a commit."""

    port: int = 0
    told: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def send(self, path: str, body: Any = b"", *, method: str = "POST", **headers: str) -> tuple[int, str]:
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, data=body, headers=sent, allow_redirects=False) as answer,
        ):
            return answer.status, await answer.text()


@pytest.fixture
def door(database: Database) -> Iterator[Door]:
    door = Door()
    inbox = HookInbox(database.target, RING, door.told.append, door.events.append)
    with serving_http(more_routes=webhook_routes(inbox), beside=inbox) as running:
        door.port = running.port
        yield door


async def path_of(database: Database, connection_id: str) -> str:
    secret = (await make_secrets(database, RING, connection_id)).current
    return f"/webhooks/kommo/{connection_id}/{secret.reveal()}"


async def hooks_of(database: Database) -> list[dict[str, Any]]:
    async with database.reading("Asserting") as connection:
        found = await connection.execute(select(crm_hooks).order_by(crm_hooks.c.received_at, crm_hooks.c.body))
        return [dict(row) for row in found.mappings()]


async def marks_of(database: Database) -> list[tuple[str, str]]:
    async with database.reading("Asserting") as connection:
        query = select(crm_dirty.c.entity, crm_dirty.c.external_id).order_by(
            crm_dirty.c.entity, crm_dirty.c.external_id
        )
        return [(entity, external_id) for entity, external_id in await connection.execute(query)]
