"""How does a test talk to the sandbox? As an integration does, by the real client; and as fate, by its control API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.kommo.client import Client, Kommo, LongLivedToken
from oxcart.kommo.limiter import Caller, Limiter, Pace
from oxcart.secret import Secret
from oxcart_sandbox import Account, World

DEMO = "demo.kommo.com"


@dataclass
class Raw:
    """An HTTP answer of the sandbox, seen without our client."""

    status: int
    headers: Mapping[str, str]
    text: str
    body: Any


@dataclass
class Sandbox:
    """`world` may be changed directly: it runs in the test's own loop."""

    world: World
    url: str
    session: aiohttp.ClientSession

    @property
    def demo(self) -> Account:
        return self.world.accounts[0]

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        host: str = DEMO,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Raw:
        """With the long-lived token of `host`'s account, another one, or "" for none."""
        account = self.world.find(host)
        given = self.world.token_of(account) if token is None and account is not None else token
        sent = {"Host": host, **({"Authorization": f"Bearer {given}"} if given else {}), **(headers or {})}
        async with self.session.request(
            method, self.url + path, json=body, headers=sent, allow_redirects=False
        ) as answer:
            text = await answer.text()
            is_json = "json" in answer.content_type
            return Raw(answer.status, answer.headers, text, await answer.json(content_type=None) if is_json else None)

    async def get(self, path: str, **how: Any) -> Raw:
        return await self.ask("GET", f"/api/v4{path}", **how)

    async def rows(self, path: str, key: str, **how: Any) -> list[dict[str, Any]]:
        answer = await self.get(path, **how)
        return [] if answer.status == 204 else answer.body["_embedded"][key]

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.ask(method, f"/sandbox{path}", body, token="")
        assert answer.status == 200, answer.text
        return answer.body


@asynccontextmanager
async def open_kommo(
    sandbox_url: str,
    redis_url: str,
    *,
    bucket: str,
    pace: Pace | None = None,
    request_seconds: float = 10.0,
    retry_seconds: tuple[float, float] = (0.001, 0.01),
) -> AsyncIterator[Kommo]:
    """A door of its own, as a process has one; doors with the same bucket share a limiter."""
    server = Server(parse_redis_url(redis_url, {}))
    try:
        limiter = Limiter(server, bucket=bucket, pace=pace)
        how: dict[str, Any] = {"request_seconds": request_seconds, "retry_seconds": retry_seconds}
        async with Kommo(limiter, base_url=sandbox_url, **how) as kommo:
            yield kommo
    finally:
        await server.close()


def client_of(
    kommo: Kommo, world: World, *, patience_seconds: float = 60.0, interactive: bool = False, admin: bool = True
) -> Client:
    """For the account demo, with a long-lived token of its administrator or of another user."""
    demo = world.accounts[0]
    token = Secret(world.token_of(demo) if admin else world.authority.long_lived(demo, admin=False))
    caller = Caller("demo", interactive=interactive, patience_seconds=patience_seconds)
    return kommo.client(DEMO, LongLivedToken(token), caller)
