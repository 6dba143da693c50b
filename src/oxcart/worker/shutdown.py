"""How does a worker end? Claiming stops at once, running jobs get the grace, the rest go back where they came from.

Nothing is burned: jobs that had not ended go back to the head of the queue, newest first so that the oldest is next,
with `atm` and `stc` unchanged (docs/guarantees.md, 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from oxcart import clock
from oxcart.worker.attempt import Attempt, CancelReason
from oxcart.worker.dispatch import Dispatch

LISTEN_SECONDS = 0.5  # for handlers to clean up after they were cancelled
DELIVERY_SECONDS = 1.2  # for the last exchange; together with LISTEN_SECONDS below the 2 s that run may take longer


async def drain(
    dispatch: Dispatch, give_back_all: Callable[[], None], grace_seconds: float, hurry: asyncio.Event
) -> None:
    """Wait for what runs, cut off what is left after the grace, deliver the verdicts.

    Attempts that were cut off go back together, and in order. Claims that are on their way are waited for: their jobs
    go back too. `hurry` (a second signal) ends the grace at once.
    """
    await _until(lambda: not _running(dispatch), grace_seconds, hurry)
    for attempt in _running(dispatch):
        attempt.cancel(CancelReason.SHUTDOWN)
    await _until(lambda: not _running(dispatch) and not dispatch.claims_under_way, LISTEN_SECONDS)
    for attempt in _running(dispatch):
        attempt.decide_deaf()
    give_back_all()
    await _until(lambda: not dispatch.undelivered and not dispatch.claims_under_way, DELIVERY_SECONDS)


async def claims_are_answered(dispatch: Dispatch, seconds: float) -> None:
    """Wait until no claim is on its way: what it brings goes back before what is older."""
    await _until(lambda: not dispatch.claims_under_way, seconds)


def _running(dispatch: Dispatch) -> list[Attempt]:
    return [attempt for queue in dispatch.queues for attempt in queue.held.values() if attempt.verdict is None]


async def _until(is_reached: Callable[[], bool], seconds: float, hurry: asyncio.Event | None = None) -> None:
    """Look every 20 ms: a shutdown is rare, many things change what it waits for, and this late is in time."""
    ends_at = clock.monotonic() + seconds
    while not is_reached() and clock.monotonic() < ends_at and not (hurry and hurry.is_set()):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
