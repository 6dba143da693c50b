"""How does a test wait for what happens elsewhere? It asks again and again."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable


async def wait_until(predicate: Callable[[], object], *, describe: str, timeout: float = 10) -> None:
    """Raises AssertionError, with `describe` (a claim), if the predicate, plain or async, is false for `timeout` s."""
    give_up = time.monotonic() + timeout
    while True:
        answer = predicate()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        assert time.monotonic() < give_up, f"Waited {timeout:g} s, and still it is not so that {describe}"
        await asyncio.sleep(0.01)
