"""What does a verdict look like on its way in, and what is told of it once it is written? Values only, no server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import assert_never

from oxcart.protocol.codec import pack
from oxcart.protocol.exchange import Item, ItemHead, Policy
from oxcart.protocol.job_options import KeepJobs
from oxcart.queue.options import parse_keep
from oxcart.settings import WorkerSettings
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

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._numbers: dict[Policy, int] = {}
        self._completed_of: Shared | None = None
        self._completed_head: ItemHead | None = None

    def number(self, attempt: Attempt, kind: str) -> int:
        policy = self.of(attempt, kind)
        return self._numbers.setdefault(policy, len(self._numbers) + 1)

    def of(self, attempt: Attempt, kind: str) -> Policy:
        """The job's own policy, else the decorator's, else the worker's."""
        options, spec, settings = attempt.claim.options, attempt.spec, self._settings
        if kind == "c":
            own, declared, default = options.keep_completed, spec and spec.keep_completed, settings.keep_completed
        else:
            own, declared, default = options.keep_failed, spec and spec.keep_failed, settings.keep_failed
        if own is None and declared is not None:
            own = parse_keep("keep", declared)
        return (own or KeepJobs(default.count, default.age_seconds)).policy

    def may_have_removed(self, attempt: Attempt) -> bool:
        """Could our own earlier write of this verdict have deleted the job, at once or by its keep policy?"""
        kind = "c" if isinstance(attempt.verdict, Completed) else "f" if isinstance(attempt.verdict, Failed) else ""
        return bool(kind) and self.of(attempt, kind)[:2] != (-1, -1)

    def completed_head(self, attempt: Attempt) -> ItemHead:
        """Of the jobs that were claimed alike and completed, which most of an exchange are: one head."""
        shared = attempt.claim.shared
        if self._completed_head is None or self._completed_of is not shared:
            self._completed_of, self._completed_head = shared, _head(shared, "c", self.number(attempt, "c"))
        return self._completed_head

    @property
    def in_order(self) -> list[Policy]:
        return list(self._numbers)


def items_of(batch: Sequence[Attempt], policies: Policies) -> list[Item]:
    """The wire form of attempts' verdicts. The border around packing: one that cannot be packed fails its job alone."""
    items: list[Item] = []
    for attempt in batch:
        try:
            items.append(_item_of(attempt, policies))
        except Exception as error:  # noqa: BLE001 - the border around packing
            attempt.verdict = Failed(f"The verdict could not be packed: {account_of(error)}", None)
            items.append(_item_of(attempt, policies))
    return items


def _item_of(attempt: Attempt, policies: Policies) -> Item:
    """Raises what packing it raises: what is completed has only texts and bounded numbers, all else is tried."""
    verdict = attempt.verdict
    if isinstance(verdict, Completed):
        return Item(attempt.claim.job_id, verdict.returnvalue, policies.completed_head(attempt))
    item = _other_item(attempt, verdict, policies)
    pack(item)
    return item


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
        _stack_of(verdict),
    )


def _stack_of(verdict: Verdict | None) -> str | None:
    """The last of a failure's stack traces, for the log."""
    if not isinstance(verdict, Failed | RetryLater) or verdict.stacktrace is None:
        return None
    try:
        traces = json.loads(verdict.stacktrace)
    except ValueError:
        return None
    return str(traces[-1]) if isinstance(traces, list) and traces else None


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
