"""What time is it, what does chance say, and how long may something take?

Nothing else in the worker asks the machine: others call `clock.monotonic()`, by that name, so that a simulation can put
its own sources in here (tests/architecture/test_clock_seam.py). An event loop's own time, `loop.time()`, is the loop's.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

SKEW_TOLD_FROM_SECONDS = 60.0

# ------------------------------------------------------------------------------------------------ the sources
thread_seconds: Callable[[], float] = time.thread_time  # that this thread has computed
monotonic: Callable[[], float] = time.monotonic
"""Seconds that only grow; from any moment."""

wall_ns: Callable[[], int] = time.time_ns
"""Epoch nanoseconds by this machine's clock, which somebody may set."""

uniform: Callable[[float, float], float] = random.uniform
"""A number between the two, for jitter."""

random_bytes: Callable[[int], bytes] = os.urandom
"""So many bytes, for what must be unique: ids and tokens."""

# Counts through a suspended laptop, on Linux under this name, and no step of the wall's clock touches it.
_STEADY: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def _read_steady_ms() -> float:
    return (time.monotonic_ns() if _STEADY is None else time.clock_gettime_ns(_STEADY)) / 1_000_000


steady_ms: Callable[[], float] = _read_steady_ms
"""Milliseconds that count through a suspended machine and through every setting of its clock; from any moment."""


# ------------------------------------------------------------------------------------------------ made of them
def now_ms() -> int:
    """Epoch milliseconds by this machine's clock."""
    return wall_ns() // 1_000_000


def wall_seconds() -> float:
    """Epoch seconds by this machine's clock."""
    return wall_ns() / 1_000_000_000


def now_utc() -> datetime:
    """The moment by this machine's clock."""
    return datetime.fromtimestamp(wall_seconds(), UTC)


def chance() -> float:
    """A number from 0 to 1."""
    return uniform(0.0, 1.0)


def new_uuid() -> uuid.UUID:
    return uuid.UUID(bytes=random_bytes(16), version=4)


class ServerClock:
    """The server's time, for all that is written to it, without asking: what it said last and how long ago that was.

    So this machine's clock may be wrong, or be set forward and back, and no job, schedule or retention notices. Until
    the server has said what time it is, this machine's clock counts: `wall_ms`.
    """

    def __init__(self, wall_ms: Callable[[], int] = now_ms) -> None:
        self._wall_ms = wall_ms
        self._ahead_ms: float | None = None

    def now_ms(self) -> int:
        """Epoch milliseconds, the unit of every time on the wire."""
        return self._wall_ms() if self._ahead_ms is None else int(self._ahead_ms + steady_ms())

    def learn(self, server_ms: float, round_trip_seconds: float) -> None:
        """What the server has just answered; half of the round trip is taken for the way back."""
        self._ahead_ms = server_ms + round_trip_seconds * 500 - steady_ms()

    def hear(self, server_ms: int) -> None:
        """The server said this time, just now or a while ago: its clock shows at least that."""
        if server_ms > self.now_ms():
            self.learn(server_ms, 0.0)

    @property
    def skew_seconds(self) -> float | None:
        """How far this machine's clock is ahead of the server's; None before the server has said its time."""
        return None if self._ahead_ms is None else (self._wall_ms() - self.now_ms()) / 1000


@asynccontextmanager
async def deadline(doing: str, seconds: float) -> AsyncIterator[None]:
    """Bound what runs inside; raises TimeoutError that names it ("claim from crm took longer than 10 s")."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise TimeoutError(f"{doing} took longer than {seconds:g} s") from error


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait until `event` is set, or the time is up; true if it was set. The sleep that shutdown can cut short."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
