"""On which event loops, and on how many queues, do the tests of the worker run?

Every test of tests/worker and tests/faults that uses an event loop runs four times: on asyncio, which a program of our
users has, and on uvloop, which `oxcart run` has; with a worker that serves one user queue, and one that serves two, the
second idle until the end (tests that need a busy one beside theirs name both). One that waits for seconds of real time
is marked `takes_seconds` and runs twice: each loop and each number once, paired in turn by its name. The id of a test
shows its combination. Not part of this are tests of whole processes: each costs a start of Python.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import uvloop

from oxcart.settings import QueueShare


@dataclass(frozen=True, slots=True)
class Combination:
    """Called, it makes the event loop of one test."""

    loop: str
    queues: str

    def __call__(self) -> asyncio.AbstractEventLoop:
        loop = uvloop.new_event_loop() if self.loop == "uvloop" else asyncio.new_event_loop()
        _made_by[loop] = self
        return loop

    def __str__(self) -> str:
        return f"{self.loop}-{self.queues}"


_made_by: WeakKeyDictionary[asyncio.AbstractEventLoop, Combination] = WeakKeyDictionary()
ASYNCIO_ONE, ASYNCIO_TWO = Combination("asyncio", "one"), Combination("asyncio", "two")
UVLOOP_ONE, UVLOOP_TWO = Combination("uvloop", "one"), Combination("uvloop", "two")
ALL = (ASYNCIO_ONE, ASYNCIO_TWO, UVLOOP_ONE, UVLOOP_TWO)
PAIRS = ((ASYNCIO_ONE, UVLOOP_TWO), (ASYNCIO_TWO, UVLOOP_ONE))


def combinations_for(item: pytest.Item) -> dict[str, Any]:
    """What pytest-asyncio asks for: how to make the loop of each run, by what is shown in its id."""
    chosen: Sequence[Combination] = ALL
    if item.get_closest_marker("takes_seconds") is not None:
        chosen = PAIRS[zlib.crc32(item.name.encode()) % 2]
    return {str(combination): combination for combination in chosen}


def shares_beside(queue: str) -> tuple[QueueShare, ...]:
    """The user queues that a worker of the running test serves: `queue`, and in half of the runs one beside it."""
    combination = _made_by.get(asyncio.get_running_loop(), ASYNCIO_ONE)
    own = QueueShare(queue, None)
    return (own, QueueShare(f"{queue}-beside", None)) if combination.queues == "two" else (own,)
