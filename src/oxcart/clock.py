"""What time is it, and how long may something take?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

SKEW_TOLD_FROM_SECONDS = 60.0

# Counts through a suspended laptop, on Linux under this name, and no step of the wall's clock touches it.
_STEADY: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def now_ms() -> int:
    """Epoch milliseconds by this machine's clock."""
    return time.time_ns() // 1_000_000


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
        return self._wall_ms() if self._ahead_ms is None else int(self._ahead_ms + _steady_ms())

    def learn(self, server_ms: float, round_trip_seconds: float) -> None:
        """What the server has just answered; half of the round trip is taken for the way back."""
        self._ahead_ms = server_ms + round_trip_seconds * 500 - _steady_ms()

    def hear(self, server_ms: int) -> None:
        """The server said this time, just now or a while ago: its clock shows at least that."""
        if server_ms > self.now_ms():
            self.learn(server_ms, 0.0)

    @property
    def skew_seconds(self) -> float | None:
        """How far this machine's clock is ahead of the server's; None before the server has said its time."""
        return None if self._ahead_ms is None else (self._wall_ms() - self.now_ms()) / 1000


def _steady_ms() -> float:
    return (time.monotonic_ns() if _STEADY is None else time.clock_gettime_ns(_STEADY)) / 1_000_000


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
