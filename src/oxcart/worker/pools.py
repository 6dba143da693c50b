"""Where do sync handlers run? In daemon threads, as many as run at once: a deaf one cannot keep us from exiting."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

from oxcart.forks import STRAYED, end_stray_child

Ended = Callable[[Any, BaseException | None], None]
Call = tuple[Callable[[Any], Any], Any, Ended, contextvars.Context]


class NoMoreThreads(Exception):  # noqa: N818
    """The system gives us no further thread at present."""


class Threads:
    """Runs a call in an idle thread, or a new one. The slots of the worker bound how many there are."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._started = 0

    def run(self, function: Callable[[Any], Any], argument: Any, ended: Ended) -> None:
        """Call `ended(value, error)` in the thread when `function(argument)` has returned or raised.

        Raises NoMoreThreads.
        """
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            else:
                name = f"oxcart-handler-{self._started + 1}"
                try:
                    threading.Thread(target=self._work, name=name, daemon=True).start()
                except RuntimeError as error:
                    raise NoMoreThreads(str(error)) from error
                self._started += 1
        self._calls.put((function, argument, ended, contextvars.copy_context()))

    def close(self) -> None:
        """Let idle threads end; busy ones are left alone."""
        with self._lock:
            for _ in range(self._idle):
                self._calls.put(None)
            self._idle = 0

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            function, argument, ended, context = call
            value, error = None, None
            try:
                value = context.run(function, argument)
            except BaseException as caught:  # noqa: BLE001 - the border around a handler; sys.exit() ends only its job
                error = caught
            if STRAYED:
                end_stray_child()
            del function, argument, context, call
            with self._lock:
                self._idle += 1
            ended(value, error)
            del ended, value, error
