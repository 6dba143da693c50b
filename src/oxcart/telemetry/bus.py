"""How does an event reach those who want to know? In order, on the emitting thread; a broken one hurts no job."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from oxcart.telemetry.events import Event

Subscriber = Callable[[Event], None]
Emit = Callable[[Event], None]

_log = logging.getLogger("oxcart.telemetry")


class Bus:
    """Delivers each event to every subscriber. Thread-safe as long as subscribers are."""

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers = (*self._subscribers, subscriber)

    def emit(self, event: Event) -> None:
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:  # noqa: BLE001 - the border around a subscriber
                with contextlib.suppress(Exception):  # a logging handler of the program's may raise, too
                    _log.exception("A subscriber failed on %s; the job is unaffected.", type(event).__name__)
