"""What does a test need of Kommo's token endpoint? Rotation, the old token's grace, and every way to fail; real HTTP.

The sandbox does the same and more; here a test scripts single answers.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

API_DOMAIN = "api-c.kommo.com"
REFUSED = (400, {"title": "Bad Request", "status": 400, "hint": "Token has been revoked"})

Script = Callable[["TokenServer"], Any]


@dataclass(slots=True)
class TokenServer:
    """`answers` are used up one a request, then it does its duty: a pair for the valid refresh token or code."""

    url: str = ""
    lifetime_seconds: int = 86_400
    requests: list[dict[str, str]] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)
    answers: deque[str | tuple[int, Any]] = field(default_factory=deque)
    moved_to: str | None = None
    codes: set[str] = field(default_factory=set)
    on_request: Callable[[], Any] | None = None
    delay_seconds: float = 0.0
    valid: set[str] = field(default_factory=lambda: {"refresh-0"})
    issued: int = 0

    @property
    def refreshes(self) -> int:
        return sum(form["grant_type"] == "refresh_token" for form in self.requests)

    async def token(self, request: web.Request) -> web.StreamResponse:
        form = await request.json()
        self.requests.append(form)
        self.hosts.append(request.host)
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.on_request is not None:
            outcome = self.on_request()
            if asyncio.iscoroutine(outcome):
                await outcome
        scripted = self.answers.popleft() if self.answers else "do"
        if isinstance(scripted, tuple):
            status, body = scripted
            text = body if isinstance(body, str) else json.dumps(body)
            kind = "text/html" if isinstance(body, str) else "application/problem+json"
            return web.Response(status=status, text=text, content_type=kind)
        if self.moved_to is not None and request.host != self.moved_to:
            return web.json_response({"title": "Unauthorized", "status": 401}, status=401)
        if not self._is_valid(form):
            return web.json_response(REFUSED[1], status=REFUSED[0])
        pair = self.issue()
        if scripted == "lose":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(pair)

    def issue(self) -> dict[str, Any]:
        """A new pair; the refresh tokens before it stay valid, for it has not been used yet."""
        self.issued += 1
        self.valid.add(f"refresh-{self.issued}")
        return {
            "token_type": "Bearer",
            "expires_in": self.lifetime_seconds,
            "access_token": access_token(self.issued),
            "refresh_token": f"refresh-{self.issued}",
        }

    def _is_valid(self, form: dict[str, str]) -> bool:
        if form.get("client_id") != "client" or form.get("client_secret") != "client-secret":
            return False
        if form["grant_type"] == "authorization_code":
            known = form["code"] in self.codes
            self.codes.discard(form["code"])
            return known
        return form["refresh_token"] in self.valid

    async def lookup(self, request: web.Request) -> web.StreamResponse:
        self.lookups.append(request.headers["X-Refresh-Token"])
        if self.moved_to is None:
            return web.json_response({"title": "Not Found", "status": 404}, status=404)
        return web.json_response({"subdomain": self.moved_to.partition(".")[0], "domain": self.moved_to})


def access_token(number: int) -> str:
    """A JWT without a meaningful signature."""
    claims = {"account_id": 31000001, "api_domain": API_DOMAIN, "exp": int(time.time()) + 86_400, "n": number}
    parts = ({"typ": "JWT"}, claims, "signature")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


@asynccontextmanager
async def token_server() -> AsyncIterator[TokenServer]:
    server = TokenServer()
    app = web.Application()
    app.router.add_post("/oauth2/access_token", server.token)
    app.router.add_get("/oauth2/account/current/subdomain", server.lookup)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()
