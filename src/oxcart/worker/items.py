"""What does a verdict look like on its way in, and what did the server say to it? Values only, no server here."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import assert_never

from oxcart.handlers import HandlerSpec
from oxcart.protocol import exchange as wire
from oxcart.protocol.codec import pack
from oxcart.protocol.exchange import Item, ItemHead, Policy
from oxcart.protocol.job_options import KeepJobs
from oxcart.queue.options import parse_keep
from oxcart.settings import KeepPolicy
from oxcart.telemetry.events import FinishedJob
from oxcart.verdicts import (
    Abandoned,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    RateLimitedFor,
    RetryLater,
    Returned,
    Snoozed,
    Verdict,
    WaitingForChildren,
)
from oxcart.worker.attempt import Attempt
from oxcart.worker.claim import Shared, attempts_allowed
from oxcart.worker.error_text import account_of


class Policies:
    """The keep policies of one exchange, numbered from 1 in the order in which they are first used."""

    def __init__(self, keep_completed: Policy, keep_failed: Policy) -> None:
        self._defaults = {"c": keep_completed, "f": keep_failed}
        self._numbers: dict[Policy, int] = {}
        self._completed_of: Shared | None = None
        self._completed_head: ItemHead | None = None

    def number(self, attempt: Attempt, kind: str) -> int:
        policy = self.of(attempt, kind)
        return self._numbers.setdefault(policy, len(self._numbers) + 1)

    def of(self, attempt: Attempt, kind: str) -> Policy:
        """The job's own policy, else the decorator's, else the worker's."""
        options, spec = attempt.claim.options, attempt.spec
        own = options.keep_completed if kind == "c" else options.keep_failed
        return own.policy if own is not None else _declared(spec, kind) or self._defaults[kind]

    def completed_head(self, attempt: Attempt) -> ItemHead:
        """Of the jobs that were claimed alike and completed, which most of an exchange are: one head."""
        shared = attempt.claim.shared
        if self._completed_head is None or self._completed_of is not shared:
            self._completed_of, self._completed_head = shared, _head(shared, "c", self.number(attempt, "c"))
        return self._completed_head

    @property
    def in_order(self) -> list[Policy]:
        return list(self._numbers)


def _declared(spec: HandlerSpec | None, kind: str) -> Policy | None:
    if spec is None:
        return None
    name = "keep_completed" if kind == "c" else "keep_failed"
    setting = spec.keep_completed if kind == "c" else spec.keep_failed
    return parse_keep(name, setting).policy if setting is not None else None


def item_of(attempt: Attempt, policies: Policies) -> Item:
    """The wire form of an attempt's verdict."""
    verdict = attempt.verdict
    if isinstance(verdict, Completed):
        return Item(attempt.claim.job_id, verdict.returnvalue, policies.completed_head(attempt))
    return _other_item(attempt, verdict, policies)


def fail_unpackable(batch: Sequence[Attempt], policies: Policies) -> None:
    """An exchange could not be packed, and nobody knows how that could be: whoever is to blame fails its job alone."""
    for attempt in batch:
        try:
            pack(item_of(attempt, policies))
        except Exception as error:  # noqa: BLE001 - the border around the packing of a verdict
            attempt.verdict = Failed(f"The verdict could not be packed: {account_of(error)}", None)


def _head(shared: Shared, kind: str, policy: int, b: bytes | str = "", c: bytes | str | int = "") -> ItemHead:
    return ItemHead(shared.token, shared.ats, shared.processed_on_ms, shared.atm, shared.fields, kind, policy, b, c)


def _other_item(attempt: Attempt, verdict: Verdict | None, policies: Policies) -> Item:
    claim = attempt.claim

    def item(
        kind: str, policy: int = 0, a: bytes | str | int = "", b: bytes | str = "", c: bytes | str | int = ""
    ) -> Item:
        return Item(claim.job_id, a, _head(claim.shared, kind, policy, b, c))

    match verdict:
        case Failed(reason, stacktrace):
            attempts = attempts_allowed(claim, attempt.spec)
            return item("f", policies.number(attempt, "f"), _text(reason), stacktrace or b"", attempts)
        case RetryLater(reason, stacktrace, delay_ms):
            fields = pack(["failedReason", _text(reason), "stacktrace", stacktrace])
            if delay_ms > 0:
                return item("d", 0, delay_ms, "0", fields)
            return item("r", 0, "RPUSH" if claim.options.lifo else "LPUSH", "", fields)
        case Snoozed(delay_ms) | Returned(delay_ms):
            return item("d", 0, delay_ms, "1")
        case WaitingForChildren():
            return item("w")
        case RateLimitedFor(delay_ms):
            return item("l", 0, delay_ms)
        case Interrupted():
            return item("b")
        case Completed() | Abandoned() | None:
            raise AssertionError("it is written otherwise, or not at all")
        case _:
            assert_never(verdict)


def _text(reason: str) -> bytes:
    """UTF-8 for the wire; half a surrogate pair, as a message can contain, becomes a question mark."""
    return reason.encode("utf-8", "replace")


class Answer(Enum):
    """What the server said to one verdict."""

    DONE = "done"
    UNCONFIRMED = "unconfirmed"  # sent again, and its job is gone as our keep policy would have it
    LOST = "lost"  # another claim exists, or the job was removed: nothing was written
    PENDING_CHILDREN = "pending children"
    FAILED_CHILDREN = "failed children"
    ERROR = "error"


def answer_of(attempt: Attempt, status: int | bytes, policies: Policies) -> Answer:
    match status:
        case wire.WRITTEN | wire.REPEATED:
            return Answer.DONE
        case wire.NO_SUCH_JOB if attempt.times_sent > 1 and _may_be_gone(attempt, policies):
            return Answer.UNCONFIRMED
        case wire.NO_SUCH_JOB | wire.NOT_THERE | wire.CLAIMED_BY_ANOTHER:
            return Answer.LOST
        case wire.PENDING_CHILDREN:
            return Answer.PENDING_CHILDREN
        case wire.FAILED_CHILDREN:
            return Answer.FAILED_CHILDREN
        case _:
            return Answer.ERROR


def _may_be_gone(attempt: Attempt, policies: Policies) -> bool:
    """Could our own earlier write of this verdict have deleted the job, at once or by its keep policy?"""
    match attempt.verdict:
        case Completed():
            return policies.of(attempt, "c") != (-1, -1, policies.of(attempt, "c")[2])
        case Failed():
            return policies.of(attempt, "f") != (-1, -1, policies.of(attempt, "f")[2])
        case _:
            return False


def finished_job(attempt: Attempt) -> FinishedJob:
    """The record that logs and metrics get of a written verdict."""
    claim, verdict = attempt.claim, attempt.verdict
    reason, retry_in = None, None
    if not isinstance(verdict, Completed):
        match verdict:
            case Failed(text, _):
                reason = text
            case RetryLater(text, _, delay_ms):
                reason, retry_in = text, delay_ms
            case Snoozed(delay_ms) | Returned(delay_ms):
                retry_in = delay_ms
    return FinishedJob(
        claim.job_id.decode("utf-8", "replace"),
        claim.name,
        VERDICT_NAMES[type(verdict)],
        attempt.run_ms,
        attempt.waited_ms,
        claim.shared.atm + 1,
        reason,
        retry_in,
    )


VERDICT_NAMES: dict[type, str] = {
    Completed: "completed",
    RetryLater: "retry_later",
    Failed: "failed",
    Snoozed: "snoozed",
    WaitingForChildren: "waiting_for_children",
    RateLimitedFor: "rate_limited_for",
    Interrupted: "interrupted",
    Returned: "returned",
    GivenBack: "returned",
    Abandoned: "abandoned",
}


def keep_policy(policy: KeepPolicy) -> Policy:
    """The worker's own default as the wire has it."""
    return KeepJobs(policy.count, policy.age_seconds).policy
