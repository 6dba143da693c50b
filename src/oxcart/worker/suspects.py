"""Which job has killed its worker? What follows from how often one was there when a worker died. Pure functions.

After the first death all that were in hand are suspects, and come back in groups. Each death makes the groups of those
who were in it smaller, until the last one leaves a job alone: log steps, while the innocents end on the way. Only a job
that was alone is blamed (docs/decisions.md, 23).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from oxcart.protocol.suspects import STALLED_TOO_OFTEN
from oxcart.worker.attempt import Attempt
from oxcart.worker.claim import Shared

MOST_GROUPINGS = 3
"""From all slots down to one job in so many steps at most, however many stalls are allowed: each costs a process."""


def group_size(shared: Shared, concurrency: int, max_stalled_count: int) -> int:
    """With how many suspects like it, itself included, this one may run. 1: strictly alone."""
    steps = min(max_stalled_count, MOST_GROUPINGS)
    if is_on_trial(shared, max_stalled_count):
        return 1
    share: float = concurrency ** (1 - shared.stalls / steps)
    return max(1, math.ceil(share - 1e-9))  # 25 slots, 3 steps: 9, 3, 1. Rounding must not make 1 000 ** (1/3) eleven


def is_on_trial(shared: Shared, max_stalled_count: int) -> bool:
    """Only a job that was strictly alone may be blamed; this one is next."""
    return shared.given_up or shared.stalls >= min(max_stalled_count, MOST_GROUPINGS)


def is_guilty(shared: Shared, max_stalled_count: int) -> bool:
    """It was alone when a worker died, and has used up its stalls."""
    trial = shared.trial
    return trial is not None and shared.stalls > max(trial.stalls, max_stalled_count)


def choose(suspects: Sequence[Attempt], concurrency: int, max_stalled_count: int) -> list[Attempt]:
    """Those that run together now, beginning with the first: no more than the smallest group of them allows."""
    chosen: list[Attempt] = []
    most = concurrency
    for attempt in suspects:
        allowed = min(most, group_size(attempt.claim.shared, concurrency, max_stalled_count))
        if len(chosen) < allowed:
            chosen.append(attempt)
            most = allowed
    return chosen


def reason_of(how_it_ended: str | None) -> str:
    """Of a guilty job. `how_it_ended`: its process, as in "was killed by SIGKILL", if anybody has seen it."""
    how = how_it_ended or "vanished (killed, out of memory, crashed, or blocked for minutes)"
    doubt = " (out of memory?)" if how.endswith("SIGKILL") else ""
    return f"{STALLED_TOO_OFTEN}: its worker process {how}{doubt} while it ran alone"
