"""What does the worker remember of one queue it serves? Slots, held jobs, verdicts to write, and whether to ask."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from oxcart.protocol.keys import QueueKeys
from oxcart.worker.attempt import Attempt
from oxcart.worker.outbox import Outbox


class ServedQueue:
    """One queue of this worker.

    `hot`: asking for jobs may bring some. `abundant`: the last answer was full, so two exchanges may ask at once.
    `held`: every job whose end is not written yet, by id: its lock is ours to renew. `buffer`: those of them that were
    claimed ahead of a free slot.
    """

    def __init__(self, keys: QueueKeys, share: int, look_every_seconds: float = 60.0) -> None:
        self.keys = keys
        self.name = keys.name
        self.share = share
        self.held: dict[bytes, Attempt] = {}
        self.outbox = Outbox()
        self.busy = 0
        self.buffer: deque[Attempt] = deque()
        self.run_seconds: float | None = None
        self.prefetch_from = 0.0
        self.reserved = 0
        self.claims_in_flight = 0
        self.hot = True
        self.wakes = 0
        self.abundant = False
        self.has_limits = False
        self.next_due_ms = 0
        self.limited_until = 0.0
        self.resting_until = 0.0
        self.last_job_at = time.monotonic()
        self.last_looked_at = 0.0
        self.look_every_seconds = look_every_seconds
        self.has_active = False
        self.dead_letters_at = -1e9
        self.stalled_checked_at = 0.0
        self.dead_letters: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def is_limited(self) -> bool:
        return time.monotonic() < self.limited_until

    @property
    def is_resting(self) -> bool:
        """True for a moment after the server has refused to work on it."""
        return time.monotonic() < self.resting_until

    def wake_in(self, seconds: float, wake: Callable[[ServedQueue], None]) -> None:
        """Have `wake(self)` called after `seconds`, or sooner if that was asked for before."""
        loop = asyncio.get_running_loop()
        at = loop.time() + max(0.0, seconds)
        if self._timer is not None and loop.time() < self._timer_at <= at:
            return
        self.stop_timer()
        self._timer_at = at
        self._timer = loop.call_at(at, wake, self)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
