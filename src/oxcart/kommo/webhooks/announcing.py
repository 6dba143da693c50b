"""How often is it passed on that webhooks were stored? At once, and while more keep coming five times a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

APART_SECONDS = 0.2

_log = logging.getLogger("oxcart.kommo")


class Announcer:
    """Calls `tell(connection_id)` on the loop it is used in. After the last announcement there is always a call."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._again: set[str] = set()

    def announce(self, connection_id: str) -> None:
        if connection_id in self._timers:
            self._again.add(connection_id)
        else:
            self._call(connection_id)

    def close(self) -> None:
        """What was held back is passed on now."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        again, self._again = self._again, set()
        for connection_id in sorted(again):
            self._tell_safely(connection_id)

    def _call(self, connection_id: str) -> None:
        loop = asyncio.get_running_loop()
        self._timers[connection_id] = loop.call_later(APART_SECONDS, self._end, connection_id)
        self._tell_safely(connection_id)

    def _end(self, connection_id: str) -> None:
        del self._timers[connection_id]
        if connection_id in self._again:
            self._again.discard(connection_id)
            self._call(connection_id)

    def _tell_safely(self, connection_id: str) -> None:
        try:
            self._tell(connection_id)
        except Exception:  # noqa: BLE001 - the border around a subscriber
            _log.exception("Nobody could be told of stored webhooks; the next poll reads them.")
