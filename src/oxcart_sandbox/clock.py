"""What time is it in the sandbox? Its own time: it can run faster, stand still, and be moved on."""

from __future__ import annotations

import asyncio

from oxcart import clock


class SandboxClock:
    """Epoch seconds. `speed` 0 stands still: then only `advance` moves it. Belongs to one event loop once waited on."""

    def __init__(self, *, start_at: float | None = None, speed: float = 1.0) -> None:
        self._origin = clock.wall_seconds() if start_at is None else start_at
        self._since = clock.monotonic()
        self._speed = speed
        self._moved = asyncio.Event()

    def now(self) -> float:
        return self._origin + (clock.monotonic() - self._since) * self._speed

    def seconds(self) -> int:
        """As Kommo's rows have it."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        self._restart(self.now() + seconds, self._speed)

    def set_speed(self, speed: float) -> None:
        self._restart(self.now(), speed)

    async def wait_until(self, moment: float) -> None:
        """Return when it is `moment` here, however that comes about."""
        while (left := moment - self.now()) > 0:
            self._moved.clear()
            try:
                async with asyncio.timeout(left / self._speed if self._speed > 0 else None):
                    await self._moved.wait()
            except TimeoutError:
                continue

    def _restart(self, origin: float, speed: float) -> None:
        self._origin, self._since, self._speed = origin, clock.monotonic(), speed
        self._moved.set()
