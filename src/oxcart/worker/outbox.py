"""Where does a verdict wait until the server has answered? Here: through any outage, bounded, first come first sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from oxcart.protocol.exchange import MAX_BYTES, MAX_ITEMS
from oxcart.verdicts import Completed, Failed, RetryLater, Verdict
from oxcart.worker.attempt import Attempt

LARGEST_BYTES = 64 * 1024 * 1024  # docs/guarantees.md, 4
LARGE_BYTES = 256 * 1024
"""A verdict from here on goes by itself, on a link of its own: over a slow network it would hold up all others."""


class Outbox:
    """The verdicts of one queue that are not written yet, or not known to be; large ones in a line of their own."""

    def __init__(self) -> None:
        self._ready: deque[Attempt] = deque()
        self._large: deque[Attempt] = deque()
        self.in_flight = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._ready) + len(self._large) + self.in_flight

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)

    @property
    def has_large(self) -> bool:
        return bool(self._large)

    @property
    def has_unconfirmed(self) -> bool:
        """True while a verdict that was sent before waits to be sent again. Large ones are not waited for: a renewal
        takes back no job whose end they wrote, as each counts an attempt.
        """
        return any(attempt.times_sent for attempt in self._ready)

    def put(self, attempt: Attempt) -> None:
        attempt.request_bytes = size_of(attempt.verdict)
        self.bytes += attempt.request_bytes
        (self._large if attempt.request_bytes >= LARGE_BYTES else self._ready).append(attempt)

    def take(self, most: int = MAX_ITEMS) -> list[Attempt]:
        """The next verdicts to send, within the limits of one request; at least one if there is any."""
        ready = self._ready
        if not ready:
            return []
        if self.bytes <= MAX_BYTES and len(ready) <= most:
            batch = list(ready)
            ready.clear()
        else:
            batch, total = [], 0
            while ready and len(batch) < most:
                total += ready[0].request_bytes
                if batch and total > MAX_BYTES:
                    break
                batch.append(ready.popleft())
        self.in_flight += len(batch)
        return batch

    def take_large(self) -> list[Attempt]:
        """One of those that go by themselves; `has_large` must be true."""
        self.in_flight += 1
        return [self._large.popleft()]

    def put_back(self, batch: Sequence[Attempt]) -> None:
        """These were not answered: they go first next time, in their order."""
        self.in_flight -= len(batch)
        for attempt in reversed(batch):
            (self._large if attempt.request_bytes >= LARGE_BYTES else self._ready).appendleft(attempt)

    def take_out(self, attempt: Attempt) -> None:
        """It is not to be sent as it is."""
        (self._large if attempt.request_bytes >= LARGE_BYTES else self._ready).remove(attempt)
        self.bytes -= attempt.request_bytes

    def answered(self, batch: Sequence[Attempt]) -> None:
        self.in_flight -= len(batch)
        for attempt in batch:
            self.bytes -= attempt.request_bytes


def size_of(verdict: Verdict | None) -> int:
    """Bytes that a verdict takes in a request, roughly: its texts, and a little for the rest."""
    match verdict:
        case Completed(returnvalue):
            return len(returnvalue) + 100
        case RetryLater(reason, stacktrace, _) | Failed(reason, stacktrace):
            return len(reason) + len(stacktrace or b"") + 100
        case _:
            return 100
