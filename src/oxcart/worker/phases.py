"""What does a worker know of one queue, and what follows from it? Values and pure functions: no clock, no server.

A queue is in one phase. Events change it by the functions in the middle of this file; `plan_exchange` and `plan_wait`
read it, and say who does what next. They are asked again after every event, so no event can be missed: whatever it
changed still stands when the next plan is made.

            a marker, a due time, a hint
      Idle ─────────────────────────────> Ready <──────────────┐
       ^ │                                  │ a claim is sent   │ the time has come
       │ │ blocks, with a claim behind it   v                   │
       │ └────────────────────────────> Asking ──────────> Closed
       └──────── an answer without more ────┘   limited, refused
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

CLAIMS_AT_ONCE = 2
"""While one exchange is on its way, the next one collects what ends meanwhile (group commit)."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is known to claim. Whoever adds a job sets the queue's marker, and the waiter watches that.

    `due_at`: when the first delayed job is due; nobody sets a marker then. None: none is known.
    """

    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A claim may bring jobs, and nobody asks. `plenty`: the last claim was filled, so there are probably many."""

    plenty: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """`claims` are under way, and may fill `slots`. `hinted`: since the last was sent, something said that there may be
    more. `behind_marker`: the one claim lies at the server behind a blocked pop, until a marker is set.
    """

    claims: int
    slots: int
    plenty: bool = False
    hinted: bool = False
    behind_marker: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing can be claimed until a time. `limited`: by a rate limit; `refused`: the server does not work on this
    queue, and verdicts wait, too. Claims that were under way still count.
    """

    until: float
    reason: Literal["limited", "refused"]
    claims: int = 0
    slots: int = 0
    behind_marker: bool = False


Phase = Idle | Ready | Asking | Closed

LONGEST_LIMIT_SECONDS = 30.0
"""A queue that is limited for longer is asked meanwhile, for jobs that become due are promoted by whoever asks. Node's
maximumRateLimitDelay.
"""

IDLE, READY, PLENTY = Idle(), Ready(), Ready(plenty=True)


class Answer(NamedTuple):
    """What one claim's answer says of its queue. `closed`: it may be asked again only then."""

    filled: bool = False
    more: bool = False
    due_at: float | None = None
    closed: Closed | None = None


# ------------------------------------------------------------------------------------------------ events
def claim_sent(phase: Phase, slots: int, *, behind_marker: bool = False) -> Asking:
    """A claim that may fill so many slots is on its way."""
    match phase:
        case Asking():
            return Asking(phase.claims + 1, phase.slots + slots, phase.plenty)
        case Closed():
            return Asking(phase.claims + 1, phase.slots + slots)
        case Ready():
            return Asking(1, slots, phase.plenty)
        case Idle():
            return Asking(1, slots, behind_marker=behind_marker)


def claim_answered(phase: Phase, slots: int, answer: Answer) -> Phase:
    """One claim is answered: its slots are free again, or taken by its jobs."""
    claims, left = _under_way(phase, slots)
    if answer.closed is not None:
        return _later(replace(answer.closed, claims=claims, slots=left), phase)
    match phase:
        case Closed():
            return replace(phase, claims=claims, slots=left, behind_marker=False)
        case Asking(hinted=hinted) if claims:
            return Asking(claims, left, answer.filled, hinted or answer.more)
        case Asking(hinted=True) if not answer.filled:
            return READY
        case _:
            return PLENTY if answer.filled else READY if answer.more else Idle(answer.due_at)


def claim_unanswered(phase: Phase, slots: int) -> Phase:
    """Nothing is known of one claim: there may be jobs as before."""
    claims, left = _under_way(phase, slots)
    match phase:
        case Closed():
            return replace(phase, claims=claims, slots=left, behind_marker=False)
        case _:
            return Asking(claims, left, hinted=True) if claims else READY


def hinted(phase: Phase) -> Phase:
    """Something says that there may be jobs: a marker, a look at the lists, a slot that came back with a job."""
    match phase:
        case Idle():
            return READY
        case Asking():
            return replace(phase, hinted=True)
        case Ready() | Closed():
            return phase


def due(phase: Phase, due_at: float) -> Phase:
    """A delayed job is due then. Whoever asks at present may have asked before it was added: asking again tells."""
    if isinstance(phase, Idle):
        return Idle(due_at if phase.due_at is None else min(due_at, phase.due_at))
    return hinted(phase)


def closed(phase: Phase, until: float, reason: Literal["limited", "refused"]) -> Closed:
    if isinstance(phase, Asking | Closed):
        return _later(Closed(until, reason, phase.claims, phase.slots, phase.behind_marker), phase)
    return Closed(until, reason)


def _later(new: Closed, phase: Phase) -> Closed:
    """What closed it for longer goes on to hold; a refusal holds verdicts, too, and so outranks a limit."""
    if isinstance(phase, Closed) and phase.reason in {new.reason, "refused"}:
        return replace(new, until=max(new.until, phase.until), reason=phase.reason)
    return new


def claims_under_way(phase: Phase) -> int:
    """Claims whose answer is on its way; one behind a marker comes when there is a job, if ever."""
    return phase.claims if isinstance(phase, Asking | Closed) and not phase.behind_marker else 0


def slots_promised(phase: Phase) -> int:
    return phase.slots if isinstance(phase, Asking | Closed) else 0


def _under_way(phase: Phase, answered_slots: int) -> tuple[int, int]:
    assert isinstance(phase, Asking | Closed), f"nobody asks in {phase}"
    return phase.claims - 1, phase.slots - answered_slots


# ------------------------------------------------------------------------------------------------ what follows
class View(NamedTuple):
    """One queue as a plan sees it. `room`: for how many jobs there is a place now; 0 also while claiming is not allowed
    at all. `has_verdicts`: some wait to be sent.
    """

    phase: Phase
    room: int
    has_verdicts: bool = False


class Exchange(NamedTuple):
    """Make an exchange with the queue at this position; claim, or send verdicts only."""

    position: int
    claims: bool


class Block(NamedTuple):
    """Block on the queue's marker. `may_claim`: no delayed job is known that could need a claim meanwhile."""


class Rest(NamedTuple):
    """Nothing to do before this time, or before something happens (None)."""

    until: float | None = None


def may_claim(phase: Phase, now: float) -> bool:
    match phase:
        case Ready():
            return True
        case Asking():
            return phase.plenty and phase.claims < CLAIMS_AT_ONCE and not phase.behind_marker
        case Closed():
            return now >= phase.until and phase.claims < CLAIMS_AT_ONCE
        case Idle():
            return phase.due_at is not None and now >= phase.due_at


def plan_exchange(views: Sequence[View], first: int, now: float) -> Exchange | Rest:
    """What an exchanger does next; queues take turns, beginning at `first`."""
    until: float | None = None
    for offset in range(len(views)):
        position = (first + offset) % len(views)
        phase, room, has_verdicts = views[position]
        opens_at = _opens_at(phase)
        if now < refused_until(phase):
            has_verdicts = False
        claims = room > 0 and may_claim(phase, now)
        if claims or has_verdicts:
            return Exchange(position, claims)
        if opens_at is not None and opens_at > now and (until is None or opens_at < until):
            until = opens_at
    return Rest(until)


def refused_until(phase: Phase) -> float:
    """Until when verdicts of this queue are kept; 0 if they may be sent."""
    return phase.until if isinstance(phase, Closed) and phase.reason == "refused" else 0.0


def plan_wait(view: View, now: float) -> Block | Rest:
    """What the waiter of one queue does next. With no room it does not watch: whoever pops a marker has to claim."""
    match view.phase:
        case Idle(due_at=due_at) if view.room > 0 and not (due_at is not None and now >= due_at):
            return Block()
        case _:
            return Rest()


def _opens_at(phase: Phase) -> float | None:
    """When time alone will make this queue worth asking."""
    match phase:
        case Idle():
            return phase.due_at
        case Closed():
            return phase.until
        case Ready() | Asking():
            return None
