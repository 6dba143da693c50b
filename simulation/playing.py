"""How are many seeds played? In several processes, each with a server of its own; in any order."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Iterator
from typing import NamedTuple

from simulation.schedule import make
from simulation.shrink import failure


class Played(NamedTuple):
    """What one seed came to. `broken`: (invariant, sentence) of each violation."""

    seed: int
    seconds: float
    steps: int
    executions: int
    digest: str
    broken: list[tuple[str, str]]


def play_seed(seed: int) -> Played:
    try:
        outcome, violations = failure(make(seed))
    except Exception:
        return Played(seed, 0.0, 0, 0, "", [("simulator", traceback.format_exc(limit=-3))])
    broken = [(violation.invariant, str(violation)) for violation in violations]
    return Played(seed, outcome.seconds, outcome.steps, outcome.executions, outcome.history.digest(), broken)


def play_all(seeds: Iterator[int], processes: int) -> Iterator[Played]:
    """In any order. Each process is replaced now and then: what a dead worker held is kept until then."""
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=40) as pool:
        yield from pool.imap_unordered(play_seed, seeds)
