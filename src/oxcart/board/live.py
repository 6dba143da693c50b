"""How does an open page stay current? One loop renders what is watched, once for all watchers, and sends changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from oxcart.board.look import without_times
from oxcart.own_tasks import start_own_task

Key = TypeVar("Key")

MOST_STREAMS = 200
STREAM_SECONDS = 300.0  # then the browser comes again, and is judged anew
KEEP_ALIVE_SECONDS = 15.0


@dataclass(slots=True)
class _Room:
    """Those who watch one page. `version` counts what was sent; each wakes when there is more."""

    watchers: int = 0
    version: int = 0
    html: str = ""
    seen: str | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Live(Generic[Key]):
    """`render` gives a page's HTML, and never raises what a page can show. `every_seconds` is asked each round."""

    def __init__(self, render: Callable[[Key], Awaitable[str]], every_seconds: Callable[[], float]) -> None:
        self._render, self._every_seconds = render, every_seconds
        self._rooms: dict[Key, _Room] = {}
        self._loop: asyncio.Task[None] | None = None
        self.rounds = 0

    @property
    def streams(self) -> int:
        return sum(room.watchers for room in self._rooms.values())

    async def follow(self, key: Key, shown: str) -> AsyncGenerator[str, None]:
        """What the page shows from now on, each time it differs; empty now and then, as a sign of life.

        `shown` is what it says already.
        """
        room = self._rooms.setdefault(key, _Room())
        room.watchers += 1
        told = without_times(shown)
        version = -1
        if self._loop is None or self._loop.done():
            self._loop = start_own_task(self._run(), "board:live")
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                while True:
                    if room.version != version:
                        version = room.version
                        if room.seen is not None and room.seen != told:
                            told = room.seen
                            yield room.html
                        continue
                    try:
                        async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                            await room.changed.wait()
                    except TimeoutError:
                        yield ""
        except TimeoutError:
            return
        finally:
            room.watchers -= 1
            if not room.watchers:
                self._rooms.pop(key, None)

    async def close(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop])

    async def _run(self) -> None:
        while self._rooms:
            self.rounds += 1
            for key, room in list(self._rooms.items()):
                html = await self._render(key)
                seen = without_times(html)
                if seen != room.seen:
                    room.html, room.seen = html, seen
                    room.version += 1
                    room.changed.set()
                    room.changed = asyncio.Event()
            await asyncio.sleep(self._every_seconds())
