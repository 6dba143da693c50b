"""How does a test wait for what happens elsewhere? `wait_until` asks again and again; nothing sleeps blindly."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

Answer = TypeVar("Answer")

POLL_SECONDS = 0.01


@overload
def wait_until(
    predicate: Callable[[], Awaitable[Answer]], *, describe: str, timeout: float = ...
) -> Coroutine[Any, Any, Answer]: ...
@overload
def wait_until(
    predicate: Callable[[], Answer], *, describe: str, timeout: float = ...
) -> Coroutine[Any, Any, Answer]: ...
async def wait_until(
    predicate: Callable[[], Any],
    *,
    describe: str,
    timeout: float = 10,  # noqa: ASYNC109 - the word every test framework uses; in seconds
) -> Any:
    """Ask `predicate` (plain or async) until its answer is true, and return that answer.

        await wait_until(lambda: queue.counts(), describe="the queue can be counted")

    Raises AssertionError after `timeout` seconds, with `describe` (a claim: "job 7 is active") and the last answer.
    An error of the predicate is raised at once. An answer under way when the time is up is not waited for.
    """
    give_up = time.monotonic() + timeout
    last: object = "no answer"
    while True:
        try:
            async with asyncio.timeout(give_up - time.monotonic()) as limit:
                asked = predicate()
                answer = await asked if inspect.isawaitable(asked) else asked
        except TimeoutError:
            if not limit.expired():
                raise
        else:
            if answer:
                return answer
            last = answer
        if time.monotonic() >= give_up:
            raise AssertionError(f"Waited {timeout:g} s, and still it is not so that {describe}; last answer: {last!r}")
        await asyncio.sleep(POLL_SECONDS)
