"""What does the worker remember of one queue it serves? Its phase, its slots, the jobs in hand, verdicts to write."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from oxcart.errors import Failure
from oxcart.protocol.exchange import START, Cursor
from oxcart.protocol.keys import QueueKeys
from oxcart.worker.attempt import Attempt
from oxcart.worker.outbox import Outbox
from oxcart.worker.phases import IDLE, Phase

Fetch = Literal["claim", "wait"]


@dataclass(slots=True)
class Fetching:
    """What /health wants to know of the asking for jobs; times of the loop's clock. `answered_at`: when a claim or a
    wait was last answered, 0 before the first. `is_answered`: since Redis was last lost. `due_by`: when the next answer
    must be there, None while nothing is under way; trying again without an answer does not move it.
    """

    answered_at: float = 0.0
    is_answered: bool = False
    due_by: float | None = None
    _ends_at: dict[Fetch, float] = field(default_factory=dict)

    def asked(self, what: Fetch, ends_at: float) -> None:
        self._ends_at[what] = ends_at
        if self.due_by is None:
            self.due_by = ends_at

    def answered(self, what: Fetch, now: float) -> None:
        self.unanswered(what)
        self.is_answered = True
        self.answered_at, self.due_by = now, max(self._ends_at.values(), default=None)

    def unanswered(self, what: Fetch) -> None:
        self._ends_at.pop(what, None)

    def given_up(self) -> None:
        """Nobody asks any more."""
        self._ends_at.clear()
        self.due_by = None


class ServedQueue:
    """One queue of this worker.

    `phase` is changed by dispatch.py only. `recovering`: since the last outage its verdicts, locks and lost claims have
    not been seen to yet, so it claims nothing. `held`: every job whose end is not written yet, by id: its lock is ours
    to renew. `buffer`: those of them that wait for a slot, in the order in which the server gave them out.
    `giving_back`: those that go back without having begun, together and in order; after a handler's rate limit none
    begins until `limited_here_until`. `active_elsewhere`: `active` holds jobs of others, who may have died.
    `limiter`: how many may start in how many ms, by this worker's own limit; (0, 0): it has none.
    `refusals`, by what was refused ("fetch", "watch"): why, and since when. `cursor` and `last_event_id`: what the last
    claim learned of foreign jobs, START if it met none; without an event the queue keeps none. `seen_waiting`: the last
    look found jobs that wait, though nothing was to be claimed. `is_drained`: that was told since the last job waited.
    """

    def __init__(
        self,
        keys: QueueKeys,
        share: int,
        *,
        has_own_share: bool = False,
        is_ours: bool = False,
        limiter: tuple[int, int] = (0, 0),
    ) -> None:
        self.keys = keys
        self.name = keys.name
        self.limiter = limiter
        self.share = share
        self.has_own_share = has_own_share
        self.is_ours = is_ours
        self.phase: Phase = IDLE
        self.recovering = True
        self.held: dict[bytes, Attempt] = {}
        self.outbox = Outbox()
        self.busy = 0
        self.full_until = 0.0
        self.buffer: deque[Attempt] = deque()
        self.run_seconds: float | None = None
        self.prefetch_from = 0.0
        self.limited_here_until = 0.0
        self.giving_back: list[Attempt] = []
        self.has_limits = False
        self.last_job_at = 0.0
        self.active_elsewhere = False
        self.fetching = Fetching()
        self.refusals: dict[str, Refusal] = {}
        self.cursor = START
        self.last_event_id = b""
        self.seen_waiting = False
        self.is_drained = True

    @property
    def has_foreign(self) -> bool:
        """Jobs wait that this worker leaves to others, as far as its last claim saw."""
        return self.cursor != START

    def let_go(self, attempt: Attempt) -> None:
        """Its lock is not ours to renew any more."""
        if self.held.get(attempt.claim.job_id) is attempt:
            del self.held[attempt.claim.job_id]

    def learned(self, cursor: Cursor, last_event_id: bytes) -> None:
        self.cursor, self.last_event_id = cursor, last_event_id

    def forget_foreign(self) -> None:
        """The server may be another one now, or have older data: what was learned hides nothing then."""
        self.learned(START, b"")

    @property
    def refusal(self) -> Refusal | None:
        """Why the server does not work on this queue at present."""
        return next(iter(self.refusals.values()), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    failure: Failure
    since: float
    times: int
