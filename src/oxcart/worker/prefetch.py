"""How many jobs may be claimed ahead of a free slot? As many as hide the round trip, if they will start at once.

A claimed job waits for nobody else: it may be held for tens of milliseconds at most, so that no job waits behind
a busy worker while another is idle. Slow handlers prefetch nothing. Never beyond a limit, a queue-wide concurrency, or
while prioritized jobs wait: exchange.lua sees to that.
"""

from __future__ import annotations

LONGEST_WAIT_SECONDS = 0.03  # in the buffer; then it goes back, using no attempt and no stall credit
PAUSE_SECONDS = 5.0  # without prefetch after jobs had to go back: the measured time was too good
PER_SLOT = 10  # claimed ahead at most; a shutdown hands this back in one exchange or two


def allowance(concurrency: int, run_seconds: float | None, round_trip_seconds: float) -> int:
    """Jobs to hold beyond the running ones; 0 until a handler's time is known.

    While one exchange is under way, `concurrency` slots use up `concurrency * round_trip / run` jobs; what is held
    starts within LONGEST_WAIT_SECONDS if it is at most `concurrency * LONGEST_WAIT / run`.
    """
    if run_seconds is None:
        return 0
    pace = concurrency / max(run_seconds, 1e-6)
    used_up = 2 * pace * round_trip_seconds  # two exchanges in flight
    in_time = pace * LONGEST_WAIT_SECONDS
    return int(min(used_up, in_time, PER_SLOT * concurrency))


def smoothed(average: float | None, sample: float) -> float:
    """An average that follows the last dozen samples."""
    return sample if average is None else average + (sample - average) / 12
