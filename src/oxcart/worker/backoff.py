"""How long until the next attempt? Pure arithmetic, as BullMQ for Node does it (backoffs.ts)."""

from __future__ import annotations

from typing import Any

from oxcart import clock
from oxcart.errors import InvalidInput
from oxcart.handlers import Backoff

LONGEST_MS = 2**31 * 1000  # 68 years: keeps 2^attempts from leaving the range of a score


def delay_ms(backoff: Backoff | None, attempts_made: int) -> int | None:
    """Milliseconds before attempt `attempts_made + 1`; None for a strategy that is not built in.

    `attempts_made` counts the attempt that has just failed. fixed: the delay; exponential: delay x 2^(attempts - 1);
    with jitter j, between (1 - j) of that and all of it.
    """
    if backoff is None:
        return 0
    if backoff.kind == "fixed":
        longest = backoff.delay_ms
    elif backoff.kind == "exponential":
        longest = backoff.delay_ms * 2.0 ** min(attempts_made - 1, 60)
    else:
        return None
    longest = min(longest, LONGEST_MS)
    if backoff.jitter > 0:
        shortest = longest * (1 - backoff.jitter)
        return int(shortest + clock.chance() * longest * backoff.jitter)
    return round(longest)


def asked_ms(asked: Any) -> int:
    """What a strategy of the user returned, as milliseconds from 0 to LONGEST_MS; -1 for no more attempts.

    Raises InvalidInput for what is no number, and whatever the number's own methods raise.
    """
    if not isinstance(asked, int | float) and (isinstance(asked, str | bytes) or not hasattr(asked, "__float__")):
        raise InvalidInput(f"it returned a {type(asked).__name__}; it is to return milliseconds, or -1")
    try:
        number = float(asked)
    except OverflowError:  # an int beyond what a float holds
        number = float("inf") if asked > 0 else -1.0
    if number != number:  # noqa: PLR0124 - only NaN differs from itself
        raise InvalidInput("it returned NaN; it is to return milliseconds, or -1")
    return -1 if number < 0 else round(min(number, LONGEST_MS))
