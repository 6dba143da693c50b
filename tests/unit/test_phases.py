"""Is there ever a queue with jobs and room that nobody goes for? The pure part of the worker on a model of Redis."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from oxcart.worker import phases
from oxcart.worker.phases import (
    IDLE,
    NO_ANSWER,
    PLENTY,
    READY,
    Answer,
    Asking,
    Block,
    Closed,
    Exchange,
    Idle,
    Ready,
    Rest,
    Sent,
    View,
)

SLOTS = 4
MARGIN = 0.001


@dataclass
class Claim:
    """A claim on its way: not executed while `answer` is None."""

    room: int
    behind_marker: bool = False
    answer: Answer | None = None
    jobs: int = 0


@dataclass
class Redis:
    """The keys of one queue, as far as waking and claiming goes."""

    wait: int = 0
    marker: bool = False
    delay_marker: bool = False
    delayed: list[float] = field(default_factory=list)
    limited_until: float = 0.0

    def claim(self, room: int, now: float) -> tuple[int, Answer]:
        """As exchange.lua: promote what is due, look at the limit, claim, and wake the next one if jobs are left."""
        due = [at for at in self.delayed if at <= now]
        self.delayed = [at for at in self.delayed if at > now]
        self.wait += len(due)
        self.marker = self.marker or bool(due)
        due_at = min(self.delayed) + MARGIN if self.delayed else None
        if self.limited_until > now:
            return 0, Answer(due_at=due_at, closed=Closed(self.limited_until, "limited"))
        jobs = min(room, self.wait)
        self.wait -= jobs
        if jobs and self.wait:
            self.marker = True
        return jobs, Answer(jobs == room, bool(jobs and self.wait), due_at)


class OneQueue(RuleBasedStateMachine):
    """Random histories of one queue: producers, other workers, lost answers, limits, refusals, slots, time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.redis = Redis()
        self.phase: phases.Phase = IDLE
        self.running = 0
        self.under_way: deque[Claim] = deque()  # on the exchange's link, answered in order
        self.behind: Claim | None = None  # behind the blocked pop
        self.is_blocked = False
        self.claims_ahead = True

    @initialize(claims_ahead=st.booleans())
    def choose(self, claims_ahead: bool) -> None:
        self.claims_ahead = claims_ahead

    # ------------------------------------------------------------------------------------------ the worker
    @property
    def room(self) -> int:
        return max(0, SLOTS - self.running - phases.sent(self.phase).slots)

    def plan(self) -> float | None:
        """Both loops and the waiter plan until they rest; returns until when the exchanger rests."""
        while True:
            step = phases.plan_exchange([View(self.phase, self.room)], 0, self.now)
            if isinstance(step, Rest):
                break
            assert step == Exchange(0, claims=True)
            room = self.room
            self.phase = phases.claim_sent(self.phase, room)
            self.under_way.append(Claim(room))
        if not self.is_blocked and isinstance(phases.plan_wait(View(self.phase, self.room), self.now), Block):
            self.is_blocked = True
            if self.claims_ahead and self.phase == IDLE:
                room = self.room
                self.phase = phases.claim_sent(self.phase, room, behind=True)
                self.behind = Claim(room, behind_marker=True)
        return step.until

    def deliver(self, claim: Claim) -> None:
        assert claim.answer is not None
        self.phase = phases.claim_answered(self.phase, claim.room, claim.answer, behind=claim.behind_marker)
        self.running += claim.jobs
        if self.running > SLOTS:  # it came from behind a marker when others had taken the slots: back to the head
            self.redis.wait, self.running, self.redis.marker = self.redis.wait + self.running - SLOTS, SLOTS, True

    def pop(self) -> None:
        """The blocked pop ends with a marker: what is behind it is executed, and both are answered."""
        self.redis.marker, self.is_blocked = False, False
        if self.behind is not None:
            claim, self.behind = self.behind, None
            claim.jobs, claim.answer = self.redis.claim(claim.room, self.now)
            self.deliver(claim)
        elif self.room > 0:
            self.phase = phases.hinted(self.phase)
        else:
            self.redis.marker, self.phase = True, phases.hinted(self.phase)

    def pop_times_out(self) -> None:
        self.is_blocked = False
        if self.behind is not None:
            claim, self.behind = self.behind, None
            claim.jobs, claim.answer = self.redis.claim(claim.room, self.now)
            self.deliver(claim)
        else:
            self.phase = phases.hinted(self.phase)

    # ------------------------------------------------------------------------------------------ what happens
    @rule(jobs=st.integers(1, 12))
    def a_producer_adds(self, jobs: int) -> None:
        self.redis.wait += jobs
        self.redis.marker = True

    @rule(seconds=st.floats(0.001, 3))
    def a_producer_adds_a_delayed_job(self, seconds: float) -> None:
        self.redis.delayed.append(self.now + seconds)
        self.redis.delay_marker = True

    @precondition(lambda self: self.is_blocked and self.redis.delay_marker and not self.redis.marker)
    @rule()
    def the_blocked_pop_gets_the_marker_of_a_delay(self) -> None:
        self.redis.delay_marker, self.is_blocked = False, False
        if self.behind is not None:
            self.pop_times_out()
        elif self.redis.delayed:
            self.phase = phases.due(self.phase, min(self.redis.delayed) + MARGIN)

    @precondition(lambda self: self.redis.marker and self.redis.limited_until <= self.now)
    @rule(room=st.integers(1, 6))
    def another_worker_takes_the_marker(self, room: int) -> None:
        self.redis.marker = False
        self.redis.claim(room, self.now)

    @rule(seconds=st.floats(0.01, 2))
    def the_queue_is_limited(self, seconds: float) -> None:
        self.redis.limited_until = self.now + seconds

    @rule()
    def a_step_is_planned(self) -> None:
        self.plan()

    @precondition(lambda self: any(claim.answer is None for claim in self.under_way))
    @rule()
    def the_server_executes_a_claim(self) -> None:
        claim = next(claim for claim in self.under_way if claim.answer is None)
        claim.jobs, claim.answer = self.redis.claim(claim.room, self.now)

    @precondition(lambda self: self.under_way and self.under_way[0].answer is not None)
    @rule()
    def an_answer_comes(self) -> None:
        self.deliver(self.under_way.popleft())

    @precondition(lambda self: self.under_way and self.under_way[0].answer is None)
    @rule()
    def a_request_is_lost(self) -> None:
        self.phase = phases.claim_answered(self.phase, self.under_way.popleft().room, NO_ANSWER)

    @precondition(lambda self: self.is_blocked and self.redis.marker)
    @rule()
    def the_blocked_pop_gets_the_marker(self) -> None:
        self.pop()

    @precondition(lambda self: self.is_blocked)
    @rule()
    def the_blocked_pop_times_out(self) -> None:
        self.pop_times_out()

    @rule(seconds=st.floats(0.05, 2))
    def the_server_refuses(self, seconds: float) -> None:
        self.phase = phases.closed(self.phase, self.now + seconds, "refused")

    @precondition(lambda self: self.running)
    @rule()
    def a_job_ends(self) -> None:
        self.running -= 1

    @rule()
    def something_hints(self) -> None:
        self.phase = phases.hinted(self.phase)

    @rule(seconds=st.floats(0, 1.5))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # ------------------------------------------------------------------------------------------ what must hold
    @invariant()
    def promises_are_those_under_way(self) -> None:
        rooms = [claim.room for claim in self.under_way]
        assert phases.sent(self.phase) == Sent(len(rooms), sum(rooms), self.behind is not None)
        assert len(rooms) <= phases.CLAIMS_AT_ONCE
        assert self.running <= SLOTS

    def teardown(self) -> None:
        """Left alone, the worker goes for every job it has room for, in few steps, without a look at the lists."""
        jobs = self.redis.wait + len(self.redis.delayed) + self.running
        for _ in range(30 + 10 * jobs):
            until = self.plan()
            if self.under_way:
                claim = self.under_way.popleft()
                if claim.answer is None:
                    claim.jobs, claim.answer = self.redis.claim(claim.room, self.now)
                self.deliver(claim)
            elif self.is_blocked and self.redis.marker:
                self.pop()
            elif self.is_blocked and self.redis.delay_marker:
                self.the_blocked_pop_gets_the_marker_of_a_delay()
            elif self.running:
                self.running -= 1
            elif self.behind is not None and self.redis.delayed:  # it lies there for a moment only
                self.pop_times_out()
            elif until is not None:
                self.now = max(self.now, until)
            else:
                break
        else:
            pytest.fail(f"it does not come to rest: {self.phase}, {self.redis}")
        assert self.redis.wait == 0, f"nobody goes for {self.redis} in {self.phase}"
        assert not self.redis.delayed, f"nobody waits for {self.redis} in {self.phase}"


OneQueue.TestCase.settings = settings(max_examples=400, stateful_step_count=30, deadline=None)
TestOneQueue = OneQueue.TestCase


def test_a_hint_while_a_claim_is_on_its_way_is_acted_on() -> None:
    """The answer was given before what the hint is about."""
    asking = phases.hinted(phases.claim_sent(READY, 4))

    assert phases.claim_answered(asking, 4, Answer()) == READY


def test_the_second_claim_goes_while_there_is_plenty() -> None:
    asking = phases.claim_sent(PLENTY, 2)

    assert phases.plan_exchange([View(asking, 2)], 0, 1.0) == Exchange(0, claims=True)
    assert phases.plan_exchange([View(phases.claim_sent(asking, 2), 2)], 0, 1.0) == Rest(None)


def test_a_hint_is_acted_on_beside_a_claim_behind_a_marker() -> None:
    """That one may lie there for a while; if the hint is the marker itself, it does not."""
    behind = phases.claim_sent(IDLE, 4, behind=True)

    assert phases.plan_exchange([View(phases.marked(behind), 4)], 0, 1.0) == Rest(None)
    assert phases.plan_exchange([View(phases.hinted(behind), 4)], 0, 1.0) == Exchange(0, claims=True)
    asking = phases.claim_sent(phases.hinted(behind), 4)
    assert asking.sent == Sent(1, 4, behind=True)
    assert phases.claim_answered(asking, 4, Answer()) == behind


def test_a_closed_queue_is_no_neighbours_business() -> None:
    views = [View(Closed(9.0, "refused"), 4, has_verdicts=True), View(READY, 4)]

    assert phases.plan_exchange(views, 0, 1.0) == Exchange(1, claims=True)
    assert phases.plan_exchange(views[:1], 0, 1.0) == Rest(9.0)
    assert phases.plan_exchange(views[:1], 0, 9.0) == Exchange(0, claims=True)


def test_a_limited_queue_still_hands_in_verdicts() -> None:
    assert phases.plan_exchange([View(Closed(9.0, "limited"), 4, has_verdicts=True)], 0, 1.0) == Exchange(0, False)


def test_a_ready_queue_without_room_is_not_watched() -> None:
    """Its marker would be popped, put back, and popped again."""
    assert phases.plan_wait(View(Ready(), 0), 1.0) == Rest(None)
    assert phases.plan_wait(View(IDLE, 0), 1.0) == Rest(None)
    assert phases.plan_wait(View(IDLE, 1), 1.0) == Block()


def test_a_due_time_ends_the_rest_without_a_marker() -> None:
    assert phases.plan_exchange([View(Idle(5.0), 1)], 0, 1.0) == Rest(5.0)
    assert phases.plan_exchange([View(Idle(5.0), 1)], 0, 5.0) == Exchange(0, claims=True)


def test_a_refusal_is_not_shortened_by_a_limit() -> None:
    refused = phases.closed(Asking(Sent(1, 4)), 9.0, "refused")

    answered = phases.claim_answered(refused, 4, Answer(closed=Closed(3.0, "limited")))

    assert answered == Closed(9.0, "refused")
