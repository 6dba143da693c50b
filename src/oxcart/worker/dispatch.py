"""Who does what next? The slots and queues of one worker; its loops ask here before each step, and tell what happened.

Whatever changes (a slot, a phase, a verdict, permission to claim) ends in `tell`, and everyone who rests plans again.
What to do is decided by the pure functions of phases.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from oxcart.connection.failures import closes_connection
from oxcart.connection.recovery import backoff_seconds
from oxcart.errors import Failure, Kind
from oxcart.protocol.exchange import MAX_ITEMS, START, Cursor
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import OutboxFull, RedisAccepts, RedisRefuses
from oxcart.worker import phases, prefetch
from oxcart.worker.attempt import Attempt
from oxcart.worker.outbox import LARGEST_BYTES
from oxcart.worker.phases import NO_ANSWER, NOTHING_SENT, Answer, Block, Exchange, Rest, View
from oxcart.worker.served_queue import Refusal, ServedQueue

STUCK_SECONDS = 1.0  # fast jobs in few slots fill the outbox within one round trip: that is no news
OUTBOX_PER_SLOT = 10  # verdicts waiting for the server per slot, above which claiming stops (docs/guarantees.md, 4)
REFUSED_AT_LEAST_SECONDS = 0.1

_OF_ONE_QUEUE = frozenset({"WRONGTYPE", "PERM", "CROSSSLOT", "UNKNOWN"})
"""Refusals that say nothing of other queues; out of memory, a read-only server or a spent quota are everyone's."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one exchange carries: verdicts of one queue, and a claim of at most `room` of its jobs (0: none).

    `free` of them have a slot; the others are claimed ahead, which limits and prioritized jobs forbid. `cursor` says
    which foreign jobs need no look. `behind`: it lies at the server behind a blocked pop.
    """

    queue: ServedQueue
    batch: list[Attempt]
    room: int = 0
    free: int = 0
    cursor: Cursor = START
    behind: bool = False


class Dispatch:
    """Belongs to the event loop; its numbers may be read from other threads. `now` is always the loop's time."""

    def __init__(
        self, queues: Sequence[ServedQueue], concurrency: int, emit: Emit, *, prefetches: bool = False
    ) -> None:
        self.queues = list(queues)
        self.concurrency = concurrency
        self.busy = 0
        self.full_until = 0.0
        self.stopping = False
        self.holds_back = False  # nothing is claimed and nothing begins: suspects run apart (apart.py)
        self.is_paused = False  # the same, as its operator or program wants it
        self.finished = 0
        self.round_trip_seconds = 0.0
        self._prefetches = prefetches
        self._most_verdicts = OUTBOX_PER_SLOT * concurrency
        self._most_items = dict.fromkeys(queues, MAX_ITEMS)
        self._turn = 0
        self._emit = emit
        self._outbox_was_full = False
        self._resting: list[asyncio.Future[None]] = []

    # -------------------------------------------------------------------------------------------- plan again
    def tell(self) -> None:
        """Something has changed: everyone who rests plans again."""
        if self._resting:
            resting, self._resting = self._resting, []
            for future in resting:
                if not future.done():
                    future.set_result(None)

    async def rest(self, until: float | None = None) -> None:
        """Return when something has changed, or at `until`. No `await` may lie between the plan and this."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._resting.append(future)
        timer = loop.call_at(until, self.tell) if until is not None else None
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()

    # -------------------------------------------------------------------------------------------- exchanges
    def next_work(self, now: float) -> Work | Rest:
        """The next exchange, or until when there is none. It is under way until `answered` or `unanswered`."""
        queues = self.queues
        views = [View(queue.phase, self.room(queue, now)[0], queue.outbox.has_ready) for queue in queues]
        step = phases.plan_exchange(views, self._turn, now)
        if not isinstance(step, Exchange):
            return step
        queue = queues[step.position]
        self._turn = (step.position + 1) % len(queues)
        batch = queue.outbox.take(self._most_items[queue])
        return self._claim(queue, now, batch) if step.claims else Work(queue, batch)

    def claim_behind_marker(self, queue: ServedQueue, now: float) -> Work:
        """The claim that is sent behind a blocked pop; `next_wait` must have said Block."""
        return self._claim(queue, now, [], behind=True)

    def _claim(self, queue: ServedQueue, now: float, batch: list[Attempt], *, behind: bool = False) -> Work:
        room, free = self.room(queue, now)
        queue.phase = phases.claim_sent(queue.phase, room, behind=behind)
        return Work(queue, batch, room, free, queue.cursor, behind)

    def next_large(self, now: float) -> Work | Rest:
        """The next exchange of the loop for large verdicts; it claims nothing."""
        until: float | None = None
        for queue in self.queues:
            if queue.outbox.has_large:
                opens_at = phases.refused_until(queue.phase)
                if opens_at <= now:
                    return Work(queue, queue.outbox.take_large())
                until = min(opens_at, until or opens_at)
        return Rest(until)

    def next_wait(self, queue: ServedQueue, now: float) -> Block | Rest:
        return phases.plan_wait(View(queue.phase, self.room(queue, now)[0]), now)

    def answered(self, work: Work, answer: Answer = NO_ANSWER) -> None:
        """What the server said to the claim of this work; its jobs take their slots after this."""
        if work.room:
            queue = work.queue
            queue.phase = phases.claim_answered(queue.phase, work.room, answer, behind=work.behind)
        self.tell()

    def hint(self, queue: ServedQueue) -> None:
        """There may be jobs to claim."""
        queue.phase = phases.hinted(queue.phase)
        self.tell()

    def marked(self, queue: ServedQueue) -> None:
        """The server has set the marker, for there may be jobs."""
        queue.phase = phases.marked(queue.phase)
        self.tell()

    def one_is_due(self, queue: ServedQueue, due_at: float) -> None:
        """A delayed job is due then."""
        queue.phase = phases.due(queue.phase, due_at)
        self.tell()

    def close_for_limit(self, queue: ServedQueue, until: float) -> None:
        until = min(until, asyncio.get_running_loop().time() + phases.LONGEST_LIMIT_SECONDS)
        queue.phase = phases.closed(queue.phase, until, "limited")
        self.tell()

    # -------------------------------------------------------------------------------------------- room
    @property
    def claims_nothing(self) -> bool:
        return self.stopping or self.holds_back or self.is_paused

    def set_concurrency(self, slots: int) -> None:
        """From now on; with fewer, what runs goes on. A queue with a share of its own keeps it."""
        self.note_not_asked()
        self.concurrency = slots
        self._most_verdicts = OUTBOX_PER_SLOT * slots
        for queue in self.queues:
            if not queue.has_own_share:
                queue.share = slots
        self.tell()

    def note_not_asked(self) -> None:
        """For /health: until now nobody had to ask for jobs, as there was no room for any."""
        self.full_until = asyncio.get_running_loop().time()

    def room(self, queue: ServedQueue, now: float) -> tuple[int, int]:
        """How many jobs a claim may ask for, and how many of them have a slot. While there is plenty, half: two ask."""
        if self.claims_nothing or queue.recovering or queue.giving_back:
            return 0, 0
        free = self.free_slots(queue)
        phase = queue.phase
        has_plenty = isinstance(phase, phases.Ready | phases.Asking) and phase.plenty
        ahead = self._ahead(queue, now) if has_plenty else 0
        room = free + ahead - len(queue.buffer)
        if room <= 0 or self._outbox_is_full(now):
            return 0, 0
        most = min(self.concurrency, queue.share) + ahead
        half = max(1, min((most + 1) // 2, (self._most_verdicts - 1) // 2))  # two of them do not fill the outbox
        room = min(room, MAX_ITEMS, half if has_plenty else most)
        return room, min(room, max(0, free))

    def _ahead(self, queue: ServedQueue, now: float) -> int:
        if not self._prefetches or queue.prefetch_from > now:
            return 0
        slots = min(self.concurrency, queue.share)
        return prefetch.allowance(slots, queue.run_seconds, self.round_trip_seconds)

    def has_slot(self, queue: ServedQueue) -> bool:
        return self.busy < self.concurrency and queue.busy < queue.share

    def free_slots(self, queue: ServedQueue) -> int:
        """Slots that nothing has taken or been promised. A claim behind a marker holds none: a job that it brings when
        others have taken them waits in the buffer.
        """
        promised = sum(phases.sent(other.phase).slots for other in self.queues)
        own = phases.sent(queue.phase).slots
        return min(self.concurrency - self.busy - promised, queue.share - queue.busy - own)

    def slot_taken(self, queue: ServedQueue) -> None:
        self.busy += 1
        queue.busy += 1

    def slot_freed(self, queue: ServedQueue) -> None:
        if self.busy >= self.concurrency:
            self.full_until = asyncio.get_running_loop().time()
        if queue.busy >= queue.share:
            queue.full_until = asyncio.get_running_loop().time()
        self.busy -= 1
        queue.busy -= 1
        self.tell()

    @property
    def claims_under_way(self) -> bool:
        """The one behind a marker counts, too."""
        return any(phases.sent(queue.phase) != NOTHING_SENT for queue in self.queues)

    # -------------------------------------------------------------------------------------------- verdicts
    def _outbox_is_full(self, now: float) -> bool:
        verdicts = self.undelivered
        size = sum(queue.outbox.bytes for queue in self.queues)
        is_full = verdicts >= self._most_verdicts or size >= LARGEST_BYTES
        if not is_full:
            self._outbox_was_full = False
        elif not self._outbox_was_full and (self.is_refused or now - self.last_answer_at > STUCK_SECONDS):
            self._outbox_was_full = True
            self._emit(OutboxFull(verdicts, size))
        return is_full

    def send_fewer(self, queue: ServedQueue, sent: int) -> None:
        """A request was too large: the next ones carry half as many verdicts, until one gets through."""
        self._most_items[queue] = max(1, sent // 2)

    def send_as_many_as_allowed(self, queue: ServedQueue) -> None:
        self._most_items[queue] = MAX_ITEMS

    @property
    def held(self) -> int:
        return sum(len(queue.held) for queue in self.queues)

    @property
    def undelivered(self) -> int:
        return sum(len(queue.outbox) for queue in self.queues)

    # -------------------------------------------------------------------------------------------- answers, refusals
    @property
    def last_answer_at(self) -> float:
        """When a request for jobs was last answered, on any queue; 0 before the first."""
        return max(queue.fetching.answered_at for queue in self.queues)

    @property
    def is_refused(self) -> bool:
        return any(queue.refusals for queue in self.queues)

    @property
    def trouble(self) -> Failure | None:
        """Why the worker as a whole cannot work though the server answers: it concerns all queues, or each of them."""
        refused = [queue.refusal for queue in self.queues if not queue.is_ours]
        for refusal in [queue.refusal for queue in self.queues]:
            if refusal is not None and not _is_of_one_queue(refusal.failure):
                return refusal.failure
        if all(refused) and refused and refused[0] is not None:
            return refused[0].failure
        return None

    def refused(self, queue: ServedQueue, what: str, failure: Failure, now: float) -> None:
        """The server answers, but does not do `what` ("fetch" or "watch") for this queue. It is left alone for a while:
        full jitter, 0.1 to 2 s, for a spent quota 5 to 60 s. Told once per reason.
        """
        earlier = queue.refusals.get(what)
        times = earlier.times + 1 if earlier is not None else 1
        until = now + max(REFUSED_AT_LEAST_SECONDS, backoff_seconds(times, failure.kind))
        queue.phase = phases.closed(queue.phase, until, "refused")
        known = {
            refusal.failure.code for other in self._concerned(queue, failure) for refusal in other.refusals.values()
        }
        since = earlier.since if earlier is not None else now
        queue.refusals[what] = Refusal(failure, since, times)
        if failure.code not in known and not closes_connection(failure):
            self._emit(RedisRefuses(failure, queue.name if _is_of_one_queue(failure) else None))
        self.tell()

    def accepted(self, queue: ServedQueue, what: str, now: float) -> None:
        """The server has done `what` for this queue; what else it refuses stays known."""
        refusal = queue.refusals.pop(what, None)
        if refusal is None or closes_connection(refusal.failure):
            return
        concerned = self._concerned(queue, refusal.failure)
        if not any(other.refusals for other in concerned):
            name = queue.name if _is_of_one_queue(refusal.failure) else None
            self._emit(RedisAccepts(now - refusal.since, name))

    def _concerned(self, queue: ServedQueue, failure: Failure) -> Sequence[ServedQueue]:
        return [queue] if _is_of_one_queue(failure) else self.queues


def _is_of_one_queue(failure: Failure) -> bool:
    return failure.kind is Kind.PERMANENT or failure.code in _OF_ONE_QUEUE
