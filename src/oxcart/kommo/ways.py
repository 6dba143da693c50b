"""What becomes of a job that Kommo does not let get on? It waits without using an attempt, fails, or is tried again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from oxcart.errors import Discard, InvalidInput, Snooze
from oxcart.job import Job
from oxcart.kommo.failures import (
    Blocked,
    Gone,
    KommoError,
    NoRights,
    Refused,
    TooManyRequests,
    Unauthorized,
    Unpaid,
)

PARKED_SECONDS = 900.0
"""Until someone has connected the account again. Asking costs no request: refused tokens are known as such."""

UNPAID_SECONDS = 3600.0
_LONGEST_SECONDS = 3600.0  # a block may be lifted before its time
_PAUSE_SECONDS = 60.0  # after a 429 that does not say how long


def way_on(error: KommoError) -> Exception:
    """What a handler raises in its place.

    Snooze, not RateLimited: jobs that have nothing to do with Kommo wait in the same queue. Kommo's own trouble is
    raised as it is, and uses an attempt.
    """
    match error:
        case Blocked():
            return Snooze(max(error.retry_after_seconds, _PAUSE_SECONDS))
        case TooManyRequests():
            return Snooze(_PAUSE_SECONDS if error.retry_after_seconds is None else error.retry_after_seconds)
        case Unpaid():
            return Snooze(UNPAID_SECONDS)
        case Unauthorized():
            return Snooze(PARKED_SECONDS)
        case NoRights() | Gone() | Refused():
            return Discard(str(error))
    return error


async def patiently(job: Job[Any], work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Do it. A job of a schedule that must wait ends instead, for the next one is due: {"skipped": why}.

    Raises Snooze, Discard for what no attempt can mend, and whatever is worth another attempt.
    """
    try:
        return await work()
    except InvalidInput as error:
        raise Discard(str(error)) from error
    except KommoError as error:
        way = way_on(error)
        if way is error:
            raise
        if not isinstance(way, Snooze):
            raise way from error
        if is_scheduled(job):
            return {"skipped": str(error)}
        await job.log(str(error))
        raise Snooze(min(way.delay_seconds, _LONGEST_SECONDS)) from error


def is_scheduled(job: Job[Any]) -> bool:
    """BullMQ's id of a scheduler's job: repeat:<schedule>:<epoch ms>."""
    return job.id.startswith("repeat:")
