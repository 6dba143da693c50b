"""How is a server that is away waited for? Attempts with backoff, a new one beside an attempt that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from oxcart import clock
from oxcart.errors import Failure, Kind
from oxcart.own_tasks import start_own_task

# Full jitter: a random wait below a bound that doubles, so that a fleet does not return in step.
_FIRST_BOUND_SECONDS = 0.1
_LAST_BOUND_SECONDS = 2.0
# A spent quota does not come back in seconds, and each try may be billed.
_QUOTA_FIRST_SECONDS = 5.0
_QUOTA_LAST_SECONDS = 60.0

# An attempt that hangs (a black hole, a stuck resolver) must not be the only one when the fault ends.
BESIDE_AFTER_SECONDS = 3.0
_ATTEMPTS_AT_ONCE = 3

Answer = TypeVar("Answer")


def backoff_seconds(failures: int, kind: Kind | None) -> float:
    """How long to wait after so many failures in a row; 0 failures: not at all."""
    if failures == 0:
        return 0.0
    doubled = 2.0 ** min(failures - 1, 16)
    if kind is Kind.QUOTA:
        return clock.uniform(_QUOTA_FIRST_SECONDS, max(_QUOTA_FIRST_SECONDS, min(_QUOTA_LAST_SECONDS, 10 * doubled)))
    return clock.uniform(0, min(_LAST_BOUND_SECONDS, _FIRST_BOUND_SECONDS * doubled))


async def first_success(
    attempt: Callable[[], Awaitable[Answer]],
    attempt_failed: Callable[[Exception], Failure],
    *,
    failures_before: int,
    kind_before: Kind | None,
    beside_after_seconds: float = BESIDE_AFTER_SECONDS,
) -> Answer:
    """Try for ever; the answer of the first attempt that succeeds, the others are cancelled and have ended.

    While attempts hang there are at most three: two patient ones, for a server that is slow, and one that is replaced
    every few seconds, for a network that has just come back. `attempt_failed` names every failure; an exception it
    raises itself ends the waiting.
    """
    loop = asyncio.get_running_loop()
    failures = failures_before
    next_start = loop.time() + backoff_seconds(failures, kind_before)
    running: list[asyncio.Task[Answer]] = []
    try:
        while True:
            if loop.time() >= next_start:
                if len(running) == _ATTEMPTS_AT_ONCE:
                    await _end([running.pop()])
                running.append(start_own_task(_run(attempt), "redis:connect"))
                next_start = loop.time() + beside_after_seconds
            for task in await _ended(running, max(0.0, next_start - loop.time())):
                running.remove(task)
                error = task.exception()
                if error is None:
                    return task.result()
                if not isinstance(error, Exception):
                    raise error
                failure = attempt_failed(error)
                failures += 1
                next_start = loop.time() + backoff_seconds(failures, failure.kind)
    finally:
        await _end(running)


async def _run(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    return await attempt()


async def _ended(running: list[asyncio.Task[Answer]], seconds: float) -> list[asyncio.Task[Answer]]:
    if not running:
        await asyncio.sleep(seconds)
        return []
    await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return [task for task in running if task.done()]


async def _end(running: list[asyncio.Task[Answer]]) -> None:
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
    for task in running:
        if not task.cancelled():
            task.exception()  # taken, or asyncio complains that nobody looked
