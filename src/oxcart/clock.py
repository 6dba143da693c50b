"""What time is it, and how long may something take?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


def now_ms() -> int:
    """Epoch milliseconds, the unit of every time on the wire."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def deadline(doing: str, seconds: float) -> AsyncIterator[None]:
    """Bound what runs inside; raises TimeoutError that names it ("claim from crm took longer than 10 s")."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise TimeoutError(f"{doing} took longer than {seconds:g} s") from error


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set, or the time is up; true if it was set. The sleep that shutdown can cut short."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
