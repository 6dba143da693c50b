"""How does a worker end? Claiming stops at once, running jobs get the grace, the rest go back where they came from.

Nothing is burned: jobs that had not ended go back to the head of the queue, newest first so that the oldest is next,
with `atm` and `stc` unchanged (design, promise 5).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from oxcart.worker.attempt import Attempt, CancelReason
from oxcart.worker.board import Board

LISTEN_SECONDS = 0.5  # for handlers to clean up after they were cancelled
DELIVERY_SECONDS = 1.2  # for the last exchange; together with LISTEN_SECONDS below the 2 s that run may take longer


async def drain(board: Board, interrupted: list[Attempt], grace_seconds: float, hurry: asyncio.Event) -> None:
    """Wait for what runs, cut off what is left after the grace, deliver the verdicts.

    Attempts that were cut off gather in `interrupted`, to go back together and in order. Claims that are on their way
    (`reserved` slots) are waited for: their jobs go back too. `hurry` (a second signal) ends the grace at once.
    """
    await _until(lambda: not _running(board), grace_seconds, hurry)
    for attempt in _running(board):
        attempt.cancel(CancelReason.SHUTDOWN)
    await _until(lambda: not _running(board) and not board.reserved, LISTEN_SECONDS)
    for attempt in _running(board):
        attempt.decide_deaf()
    for queue in board.queues:
        for attempt in sorted(interrupted, key=lambda attempt: attempt.started, reverse=True):
            if queue.held.get(attempt.claim.job_id) is attempt:
                queue.outbox.put(attempt)
    board.work.set()
    await _until(lambda: not board.undelivered and not board.reserved, DELIVERY_SECONDS)


def _running(board: Board) -> list[Attempt]:
    return [attempt for queue in board.queues for attempt in queue.held.values() if attempt.verdict is None]


async def _until(is_reached: Callable[[], bool], seconds: float, hurry: asyncio.Event | None = None) -> None:
    """Look every 20 ms: a shutdown is rare, many things change what it waits for, and this late is in time."""
    ends_at = time.monotonic() + seconds
    while not is_reached() and time.monotonic() < ends_at and not (hurry and hurry.is_set()):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
