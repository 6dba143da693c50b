"""What becomes of a job that Kommo does not let get on? It waits without using an attempt, fails, or is tried again."""

from __future__ import annotations

from oxcart.errors import Discard, Snooze
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
