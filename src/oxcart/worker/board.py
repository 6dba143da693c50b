"""What is there to do next, and who may do it? The slots, queues and gates that the worker's loops share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from oxcart.connection.failures import closes_connection
from oxcart.errors import Failure
from oxcart.protocol.exchange import MAX_ITEMS
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import OutboxFull, RedisAccepts, RedisRefuses
from oxcart.worker import prefetch
from oxcart.worker.attempt import Attempt
from oxcart.worker.outbox import LARGEST_BYTES
from oxcart.worker.served_queue import ServedQueue

STUCK_SECONDS = 1.0  # fast jobs in few slots fill the outbox within one round trip: that is no news
OUTBOX_PER_SLOT = 10  # verdicts waiting for the server per slot, above which claiming stops (design, promise 4)


@dataclass(slots=True)
class Work:
    """What one exchange is to carry: verdicts of one queue, and room for so many of its jobs (0: claim nothing).

    `free` of them have a slot; the others are prefetched, which limits and prioritized jobs forbid.
    `wakes` is how often the queue had been woken when it was sent: an answer does not undo a later wake.
    """

    queue: ServedQueue
    batch: list[Attempt]
    room: int
    free: int
    wakes: int


class Board:
    """Belongs to the event loop; its numbers may be read from other threads."""

    def __init__(
        self, queues: Sequence[ServedQueue], concurrency: int, emit: Emit, *, prefetches: bool = False
    ) -> None:
        self.queues = list(queues)
        self.concurrency = concurrency
        self.busy = 0
        self.reserved = 0
        self.claims_allowed = False
        self.stopping = False
        self.trouble: Failure | None = None
        self.first_answer_at: float | None = None
        self.last_answer_at = time.monotonic()
        self.longest_wait_seconds = 0.0
        self.work = asyncio.Event()
        self.calm = asyncio.Event()
        self.answered = asyncio.Event()
        self.finished = 0
        self.round_trip_seconds = 0.0
        self._prefetches = prefetches
        self._most_verdicts = OUTBOX_PER_SLOT * concurrency
        self._turn = 0
        self._emit = emit
        self._outbox_was_full = False
        self._trouble_since = 0.0
        self._told_trouble = False
        self._most_items = MAX_ITEMS

    # -------------------------------------------------------------------------------------------- work to do
    def take_work(self) -> Work | None:
        """The next exchange, or None. What it takes is in flight until `answered`, `unanswered` or `refused`."""
        queues = self.queues
        for i in range(len(queues)):
            queue = queues[(self._turn + i) % len(queues)]
            if queue.resting_until > time.monotonic():
                continue
            room, free = self._room(queue)
            if room or queue.outbox.has_ready:
                self._turn = (self._turn + i + 1) % len(queues)
                queue.reserved += room
                self.reserved += room
                queue.claims_in_flight += room > 0
                return Work(queue, queue.outbox.take(self._most_items), room, free, queue.wakes)
        return None

    def _room(self, queue: ServedQueue) -> tuple[int, int]:
        """How many jobs to ask for, and how many of them have a slot.

        A full answer lets two exchanges ask at once, for half each.
        """
        if not queue.hot or not self.claims_allowed or self.stopping:
            return 0, 0
        if queue.claims_in_flight and not queue.abundant:
            return 0, 0
        free = self.free_slots(queue)
        ahead = self._allowance(queue)
        room = free + ahead - len(queue.buffer)
        if room <= 0 or queue.is_limited or self._outbox_is_full():
            return 0, 0
        most = min(self.concurrency, queue.share) + ahead
        half = max(1, min((most + 1) // 2, (self._most_verdicts - 1) // 2))  # two of them do not fill the outbox
        room = min(room, MAX_ITEMS, half if queue.abundant else most)
        return room, min(room, max(0, free))

    def _allowance(self, queue: ServedQueue) -> int:
        if not self._prefetches or not queue.abundant or queue.prefetch_from > time.monotonic():
            return 0
        slots = min(self.concurrency, queue.share)
        return prefetch.allowance(slots, queue.run_seconds, self.round_trip_seconds)

    def has_slot(self, queue: ServedQueue) -> bool:
        return self.busy < self.concurrency and queue.busy < queue.share

    def free_slots(self, queue: ServedQueue) -> int:
        return min(self.concurrency - self.busy - self.reserved, queue.share - queue.busy - queue.reserved)

    def _outbox_is_full(self) -> bool:
        verdicts = sum(len(queue.outbox) for queue in self.queues)
        size = sum(queue.outbox.bytes for queue in self.queues)
        is_full = verdicts >= self._most_verdicts or size >= LARGEST_BYTES
        if not is_full:
            self._outbox_was_full = False
        elif not self._outbox_was_full and (self.trouble or time.monotonic() - self.last_answer_at > STUCK_SECONDS):
            self._outbox_was_full = True
            self._emit(OutboxFull(verdicts, size))
        return is_full

    async def wait_for_work(self) -> None:
        self.work.clear()
        await self.work.wait()

    def wake(self, queue: ServedQueue) -> None:
        """There may be jobs to claim."""
        queue.hot = True
        queue.wakes += 1
        self.work.set()

    def wake_all(self) -> None:
        for queue in self.queues:
            self.wake(queue)

    # -------------------------------------------------------------------------------------------- slots
    def slot_taken(self, queue: ServedQueue) -> None:
        self.busy += 1
        queue.busy += 1

    def slot_freed(self, queue: ServedQueue) -> None:
        self.busy -= 1
        queue.busy -= 1
        self.work.set()
        self.calm.set()

    def release(self, work: Work) -> None:
        """The exchange is over, whatever came of it: its reserved slots are free, or taken by what it claimed."""
        work.queue.reserved -= work.room
        self.reserved -= work.room
        work.queue.claims_in_flight -= work.room > 0

    # -------------------------------------------------------------------------------------------- answers
    def note_answer(self) -> None:
        """The server has answered a request that a stuck fetch loop would not have made."""
        self.last_answer_at = time.monotonic()
        if self.first_answer_at is None:
            self.first_answer_at = self.last_answer_at

    def note_trouble(self, failure: Failure) -> None:
        """The server answers, but refuses what we need (out of memory, quota used up…). Told once per reason; what
        closes the connection besides is told as its loss.
        """
        if self.trouble is not None and self.trouble.code == failure.code:
            return
        if self.trouble is None:
            self._trouble_since = time.monotonic()
        self.trouble = failure
        if not closes_connection(failure):
            self._told_trouble = True
            self._emit(RedisRefuses(failure))

    def trouble_is_over(self) -> None:
        self.trouble = None
        if self._told_trouble:
            self._told_trouble = False
            self._emit(RedisAccepts(time.monotonic() - self._trouble_since))

    @property
    def held(self) -> int:
        return sum(len(queue.held) for queue in self.queues)

    @property
    def undelivered(self) -> int:
        return sum(len(queue.outbox) for queue in self.queues)

    def send_fewer(self, sent: int) -> None:
        """A request was too large: the next ones carry half as many verdicts, until one gets through."""
        self._most_items = max(1, sent // 2)

    def send_as_many_as_allowed(self) -> None:
        self._most_items = MAX_ITEMS
