"""Which handler holds up the event loop? A thread looks twice a second, and tells a block of a second with its place.

The renewer of locks tells, too, once a block outlasts a lock; this one says where while it is still going on.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from oxcart import clock
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import LoopBlocked

TOLD_FROM_SECONDS = 1.0
_LOOK_SECONDS = 0.5
_TICK_SECONDS = 0.25
_ATTEMPT = str(Path(__file__).with_name("attempt.py"))


@contextmanager
def watching_loop(emit: Emit) -> Iterator[None]:
    """Watch the loop that runs here. A block is told once; what stands still outside of handlers is not their doing."""
    watch = _LoopWatch(emit, asyncio.get_running_loop())
    watch.tick()
    thread = threading.Thread(target=watch.run, name="loop watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.ended.set()


class _LoopWatch:
    def __init__(self, emit: Emit, loop: asyncio.AbstractEventLoop) -> None:
        self.ended = threading.Event()
        self._emit = emit
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._ticked_at = clock.monotonic()

    def tick(self) -> None:
        self._ticked_at = clock.monotonic()
        if not self.ended.is_set():
            self._loop.call_later(_TICK_SECONDS, self.tick)

    def run(self) -> None:
        told_of = 0.0
        while not self.ended.wait(_LOOK_SECONDS):
            ticked_at = self._ticked_at
            lag = clock.monotonic() - ticked_at
            if lag < TOLD_FROM_SECONDS or ticked_at == told_of:
                continue
            place = handler_frames(sys._current_frames().get(self._thread_id))  # noqa: SLF001 - as faulthandler does
            if place:
                told_of = ticked_at
                self._emit(LoopBlocked(lag, place))


def handler_frames(frame: FrameType | None) -> str:
    """The frames below our own call of a handler, as a traceback has them; empty while none runs."""
    stack = traceback.extract_stack(frame) if frame is not None else []
    begins = max((at + 1 for at, each in enumerate(stack) if each.filename == _ATTEMPT), default=len(stack))
    return "".join(traceback.format_list(stack[begins:]))
