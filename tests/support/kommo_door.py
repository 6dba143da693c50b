"""How do tests call Kommo? Through the real client and limiter, at an address on loopback."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from oxcart.connection.server import Server
from oxcart.connection.target import resolve_target
from oxcart.kommo.client import Kommo
from oxcart.kommo.limiter import Limiter, Pace


@asynccontextmanager
async def kommo_door(redis_url: str, base_url: str, *, bucket: str | None = None) -> AsyncIterator[Kommo]:
    target = resolve_target({"REDIS_URL": redis_url}).target
    assert target is not None
    server = Server(target, lambda _: None)
    limiter = Limiter(server, bucket=bucket or uuid.uuid4().hex, pace=Pace(requests_per_second=7))
    try:
        async with Kommo(limiter, base_url=base_url, request_seconds=20) as door:
            yield door
    finally:
        await server.close()
