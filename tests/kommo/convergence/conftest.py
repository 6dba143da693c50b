"""What do the histories share? A database of each kind with all tables, and a receiver of webhooks before it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from support.http_site import serving as serving_http
from support.server import PrivateServer

from kommo.convergence.playing import Place
from kommo.platform_schema import make_platform
from oxcart.http.webhooks import webhook_routes
from oxcart.kommo.crypto import Keyring
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import reach_database
from oxcart.kommo.webhooks.inbox import HookInbox
from oxcart.secret import Secret


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: PrivateServer
) -> Iterator[Place]:
    """On PostgreSQL the platform's own tables are there first."""
    url = f"sqlite:///{tmp_path_factory.mktemp('convergence') / 'crm.db'}"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres")
        url = cluster.url(asyncio.run(cluster.make_database()))
        asyncio.run(make_platform(url))
    target = parse_database_url(Secret(url))

    async def prepare() -> None:
        async with reach_database(target) as database:
            await migrate(database)

    asyncio.run(prepare())
    inbox = HookInbox(target, Keyring(Secret("00" * 32)), lambda _: None, lambda _: None)
    with serving_http(more_routes=webhook_routes(inbox), beside=inbox) as running:
        yield Place(url, f"http://127.0.0.1:{running.port}", server.url)
