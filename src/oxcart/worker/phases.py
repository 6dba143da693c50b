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


class Sent(NamedTuple):
    """`claims` are on their way, and may fill `slots`. `behind`: one more lies at the server behind a blocked pop,
    until a marker is set; it has no slots of its own, as it may lie there for long.
    """

    claims: int = 0
    slots: int = 0
    behind: bool = False


NOTHING_SENT = Sent()


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
    """Claims are under way. `hinted`: since the last was sent, something said that there may be more."""

    sent: Sent
    plenty: bool = False
    hinted: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing can be claimed until a time. `limited`: by a rate limit; `refused`: the server does not work on this
    queue, and verdicts wait, too. Claims that were under way still count.
    """

    until: float
    reason: Literal["limited", "refused"]
    sent: Sent = NOTHING_SENT


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


NO_ANSWER = Answer(more=True)
"""Nothing is known of the claim: there may be jobs as before."""


def sent(phase: Phase) -> Sent:
    return phase.sent if isinstance(phase, Asking | Closed) else NOTHING_SENT


# ------------------------------------------------------------------------------------------------ events
def claim_sent(phase: Phase, slots: int, *, behind: bool = False) -> Asking:
    """A claim that may fill so many slots is on its way."""
    before = sent(phase)
    if behind:
        now = Sent(before.claims, before.slots, behind=True)
    else:
        now = Sent(before.claims + 1, before.slots + slots, before.behind)
    return Asking(now, isinstance(phase, Ready | Asking) and phase.plenty)


def claim_answered(phase: Phase, slots: int, answer: Answer, *, behind: bool = False) -> Phase:
    """One claim is answered: its slots are free again, or taken by its jobs."""
    assert isinstance(phase, Asking | Closed), f"nobody asks in {phase}"
    before = phase.sent
    if behind:
        left = Sent(before.claims, before.slots, behind=False)
    else:
        left = Sent(before.claims - 1, before.slots - slots, before.behind)
    if answer.closed is not None:
        return _later(replace(answer.closed, sent=left), phase)
    if isinstance(phase, Closed):
        return replace(phase, sent=left)
    may_be_more = answer.more or phase.hinted
    if left.claims or left.behind:
        return Asking(left, answer.filled, may_be_more or (answer.filled and not left.claims))
    return PLENTY if answer.filled else READY if may_be_more else Idle(answer.due_at)


def hinted(phase: Phase) -> Phase:
    """Something says that there may be jobs: a popped marker, a look at the lists, a name that can be claimed now."""
    match phase:
        case Idle():
            return READY
        case Asking():
            return replace(phase, hinted=True)
        case Ready() | Closed():
            return phase


def marked(phase: Phase) -> Phase:
    """The marker is set: a claim that lies behind it is executed anyway."""
    return phase if sent(phase).behind else hinted(phase)


def due(phase: Phase, due_at: float) -> Phase:
    """A delayed job is due then. Whoever asks at present may have asked before it was added: asking again tells."""
    if isinstance(phase, Idle):
        return Idle(due_at if phase.due_at is None else min(due_at, phase.due_at))
    return hinted(phase)


def closed(phase: Phase, until: float, reason: Literal["limited", "refused"]) -> Closed:
    return _later(Closed(until, reason, sent(phase)), phase)


def _later(new: Closed, phase: Phase) -> Closed:
    """What closed it for longer goes on to hold; a refusal holds verdicts, too, and so outranks a limit."""
    if isinstance(phase, Closed) and phase.reason in {new.reason, "refused"}:
        return replace(new, until=max(new.until, phase.until), reason=phase.reason)
    return new


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
    """Block on the queue's marker."""


class Rest(NamedTuple):
    """Nothing to do before this time, or before something happens (None)."""

    until: float | None = None


def may_claim(phase: Phase, now: float) -> bool:
    match phase:
        case Ready():
            return True
        case Asking(sent=Sent(claims=0)):
            return phase.hinted
        case Asking():
            return phase.plenty and phase.sent.claims < CLAIMS_AT_ONCE
        case Closed():
            return now >= phase.until and phase.sent.claims < CLAIMS_AT_ONCE
        case Idle():
            return phase.due_at is not None and now >= phase.due_at


def plan_exchange(views: Sequence[View], first: int, now: float) -> Exchange | Rest:
    """What an exchanger does next; queues take turns, beginning at `first`."""
    until: float | None = None
    for offset in range(len(views)):
        position = (first + offset) % len(views)
        phase, room, has_verdicts = views[position]
        claims = room > 0 and may_claim(phase, now)
        if claims or (has_verdicts and now >= refused_until(phase)):
            return Exchange(position, claims)
        # When time alone will make this queue worth asking.
        opens_at = phase.due_at if isinstance(phase, Idle) else phase.until if isinstance(phase, Closed) else None
        if opens_at is not None and opens_at > now and (until is None or opens_at < until):
            until = opens_at
    return Rest(until)


def refused_until(phase: Phase) -> float:
    """Until when verdicts of this queue are kept; 0 if they may be sent."""
    return phase.until if isinstance(phase, Closed) and phase.reason == "refused" else 0.0


def plan_wait(view: View, now: float) -> Block | Rest:
    """What the waiter of one queue does next. With no room it does not watch: whoever pops a marker has to claim."""
    return Block() if isinstance(view.phase, Idle) and view.room > 0 and not may_claim(view.phase, now) else Rest()
