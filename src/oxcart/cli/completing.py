"""What can a shell complete beside options and states? The queues of the server, and names of jobs."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

from oxcart.connection.server import Server
from oxcart.connection.target import resolve_target
from oxcart.errors import OxcartError
from oxcart.queue.overview import find_queues

PATIENCE_SECONDS = 1.0


def queue_names() -> list[str]:
    """Empty where no Redis is set, or it does not answer: who types waits for this."""
    try:
        return asyncio.run(asyncio.wait_for(_queue_names(), PATIENCE_SECONDS))
    except (OxcartError, TimeoutError):
        return []


async def _queue_names() -> list[str]:
    target = resolve_target(os.environ).target
    if target is None:
        return []
    server = Server(replace(target, connect_timeout_seconds=PATIENCE_SECONDS), lambda _: None)
    try:
        return await find_queues(server.link("completion"), os.environ.get("OXCART_PREFIX") or "bull")
    finally:
        await server.close()


def job_names() -> list[str]:
    """Those that every worker knows."""
    from oxcart.serving import with_built_ins

    return list(with_built_ins(None).handlers.names)
