"""Which server does a Queue talk to? One that is given, the one of a URL, the one of the settings, or our own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget, parse_redis_url, resolve_target
from oxcart.errors import SettingsError


@asynccontextmanager
async def open_server(
    url: str | None, server: Server | None, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """A server for as long as the context lasts; one that was given is left open for its owner.

    `environ` defaults to the process's own; beside a URL only its OXCART_REDIS_ options count. Raises SettingsError,
    or InvalidInput for a URL that cannot be used.
    """
    if server is not None:
        yield server
        return
    variables = os.environ if environ is None else environ
    if url is not None:
        target: RedisTarget | None = parse_redis_url(url, variables)
    else:
        report = resolve_target(variables)
        if report.problems:
            raise SettingsError(report.problems)
        target = report.target
    if target is not None:
        async with _closing(Server(target)) as opened:
            yield opened
        return
    async with _embedded(variables) as opened:
        yield opened


@asynccontextmanager
async def _embedded(environ: Mapping[str, str]) -> AsyncIterator[Server]:
    from oxcart.connection.embedded import embedded_server

    data_dir = Path(environ.get("OXCART_DATA_DIR") or ".oxcart")
    async with (
        embedded_server(data_dir) as found,
        _closing(Server(found.target)) as opened,
    ):
        yield opened


@asynccontextmanager
async def _closing(server: Server) -> AsyncIterator[Server]:
    try:
        yield server
    finally:
        await server.close()
