"""What happens to one job between its claim and its verdict? Runs the handler, reads the outcome. No Redis here.

We cancel handlers, never attempts: whoever wants an attempt to end calls `cancel(reason)`, and the verdict is read
from how the handler then ended. A handler that does not listen is decided without it and keeps its slot until it ends.
"""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from oxcart.clock import now_ms
from oxcart.errors import Discard, InvalidInput, RateLimited, Snooze, WaitForChildren
from oxcart.handlers import CustomBackoff, HandlerSpec
from oxcart.job import Job, JobChannel, Reports
from oxcart.protocol.codec import decode, encode
from oxcart.verdicts import (
    Abandoned,
    Completed,
    Failed,
    Interrupted,
    RateLimitedFor,
    RetryLater,
    Snoozed,
    Verdict,
    WaitingForChildren,
)
from oxcart.worker.backoff import delay_ms
from oxcart.worker.claim import Claim, attempts_allowed
from oxcart.worker.handler_task import Run, Starter
from oxcart.worker.pools import Threads

LARGEST_RESULT_BYTES = 9 * 1024 * 1024
"""A return value above this is refused: managed servers take 10 MB in one request (docs/doctor.md, Q_REQ)."""

STACK_TRACES_KEPT = 10
"""Of a job whose options do not say: a job retried for a month would grow without end."""

DEAF_AFTER_SECONDS = 5.0
"""How long a handler may take to end after it was told to, before the attempt is decided without it."""


RETURNED_NOTHING = Completed(encode(None))
"""What most handlers come to."""


class CancelReason(Enum):
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    CLAIM_LOST = "claim lost"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True)
class Workplace:
    """What the attempts of one queue share. `on_verdict` is called once for each; `on_ended` once, when the slot is
    free, maybe later.
    """

    loop: asyncio.AbstractEventLoop
    channel: JobChannel
    threads: Threads
    starter: Starter
    backoffs: dict[str, CustomBackoff]
    on_verdict: Callable[[Attempt], None]
    on_ended: Callable[[Attempt], None]


class Attempt:
    """One run of one handler. `claimed_at` is on time.monotonic()'s clock; `number` tells in which order the worker's
    jobs were claimed; `request_bytes` belongs to the outbox.
    """

    __slots__ = (
        "_deaf_timer",
        "_kept_back",
        "_run",
        "_timeout_timer",
        "_workplace",
        "cancel_reason",
        "claim",
        "ended",
        "finished",
        "has_slot",
        "is_deaf",
        "job",
        "lock_uncertain",
        "number",
        "renewed_at",
        "request_bytes",
        "spec",
        "started",
        "times_sent",
        "verdict",
    )

    def __init__(self, claim: Claim, spec: HandlerSpec | None, workplace: Workplace, claimed_at: float) -> None:
        self.claim = claim
        self.spec = spec
        self.job: Job[Any] | None = None
        self.verdict: Verdict | None = None
        self.cancel_reason: CancelReason | None = None
        self.started = self.renewed_at = claimed_at
        self.finished = 0.0
        self.ended = False
        self.is_deaf = False
        self.has_slot = False
        self.lock_uncertain = False
        self.number = 0
        self.times_sent = 0
        self.request_bytes = 0
        self._kept_back: Verdict | None = None
        self._workplace = workplace
        self._run: Run | None = None
        self._timeout_timer: asyncio.TimerHandle | None = None
        self._deaf_timer: asyncio.TimerHandle | None = None

    # -------------------------------------------------------------------------------------------- starting
    def start(self, queue_name: str) -> None:
        """Run the handler; returns when its first step is done. Without a handler (or with a deferred failure, which
        a failed child or the stalled check left) the verdict is there at once.
        """
        self.started = time.monotonic()
        claim, spec, workplace = self.claim, self.spec, self._workplace
        shared = claim.shared
        if shared.deferred_failure is not None:
            self.decide_without_running(Failed(shared.deferred_failure, None))
            return
        assert spec is not None
        try:
            value = decode(claim.data, "the job's data")
            data = spec.parse(value) if spec.parse is not None else value
        except (InvalidInput, ValueError) as error:
            self.decide_without_running(self._failed_for_good(f"The job's data cannot be used: {error}", error))
            return
        self.job = job = Job(
            claim.job_id.decode("utf-8", "replace"),
            shared.name,
            data,
            queue_name=queue_name,
            attempts_made=shared.atm,
            channel=workplace.channel,
            timestamp_ms=claim.timestamp_ms,
            priority=shared.priority,
            parent_key=shared.parent_key,
            keep_logs=shared.options.keep_logs,
        )
        job._attempt = self  # noqa: SLF001 - the attempt is the job's other half
        seconds = self.timeout_seconds
        if seconds is not None:
            job.deadline = time.monotonic() + seconds
            self._timeout_timer = workplace.loop.call_later(seconds, self._time_is_up)
        if spec.is_async:
            self._run = workplace.starter.start(spec.function(job), self._handler_ended, claim)
        else:
            job._blocking_loop = workplace.loop  # noqa: SLF001
            workplace.threads.run(spec.function, job, self._thread_ended)

    @property
    def timeout_seconds(self) -> float | None:
        if self.claim.options.timeout_ms is not None:
            return self.claim.options.timeout_ms / 1000
        return self.spec.timeout_seconds if self.spec is not None else None

    def decide_without_running(self, verdict: Verdict) -> None:
        self._decide(verdict)
        self._end()

    # -------------------------------------------------------------------------------------------- cancelling
    def cancel(self, reason: CancelReason) -> None:
        """Tell the handler to stop; the first reason counts, but a lost claim outranks the others."""
        if self.verdict is not None or self._kept_back is not None:
            return
        first = self.cancel_reason is None
        if first or reason is CancelReason.CLAIM_LOST:
            self.cancel_reason = reason
        if not first:
            return
        if self._run is not None:
            self._run.cancel()
            self._deaf_timer = self._workplace.loop.call_later(DEAF_AFTER_SECONDS, self.decide_deaf)
        elif self.job is None:  # not begun: its schedule is being advanced, or its claim confirmed
            self.decide_without_running(self._verdict_of_cancelled())
        elif reason is not CancelReason.SHUTDOWN:
            self.decide_deaf()

    def decide_deaf(self) -> None:
        """Decide for a handler that is still running: in a thread, or deaf to its cancellation. Now, reports or not."""
        if self._kept_back is not None:
            self._hand_on()
        elif self.verdict is None:
            self.is_deaf = True
            self._decide(self._verdict_of_cancelled())

    def _time_is_up(self) -> None:
        self.cancel(CancelReason.TIMEOUT)

    @property
    def is_cancelled(self) -> bool:
        return self.cancel_reason is not None

    # -------------------------------------------------------------------------------------------- ending
    def _thread_ended(self, value: Any, error: BaseException | None) -> None:
        self._workplace.loop.call_soon_threadsafe(self._handler_ended, value, error)

    def _handler_ended(self, value: Any, error: BaseException | None) -> None:
        if self.verdict is None:
            self._decide(self._verdict_of(value, error))
        self._end()

    def _decide(self, verdict: Verdict) -> None:
        self.finished = time.monotonic()
        if self._timeout_timer is not None:
            self._timeout_timer.cancel()
        if self._deaf_timer is not None:
            self._deaf_timer.cancel()
        job = self.job
        if job is not None and job._reports is not None and self._reports_come_first(job._reports):  # noqa: SLF001
            self._kept_back = verdict
        else:
            self.verdict = verdict
            self._workplace.on_verdict(self)

    def _reports_come_first(self, reports: Reports) -> bool:
        """Nothing of a job changes after its end. A deaf handler may go on reporting: nobody waits for it."""
        return not self.is_deaf and reports.flush(self._hand_on)

    def _hand_on(self) -> None:
        if self._kept_back is not None:
            self.verdict, self._kept_back = self._kept_back, None
            self._workplace.on_verdict(self)

    def _end(self) -> None:
        self.ended = True
        self._run = None
        self._workplace.on_ended(self)

    # -------------------------------------------------------------------------------------------- the verdict
    def _verdict_of(self, value: Any, error: BaseException | None) -> Verdict:
        if self.cancel_reason is CancelReason.CLAIM_LOST:
            return Abandoned()
        if error is None:
            return self._completed(value)
        if isinstance(error, asyncio.CancelledError):
            return self._verdict_of_cancelled()
        match error:
            case Snooze():
                return Snoozed(round(error.delay_seconds * 1000))
            case RateLimited():
                return RateLimitedFor(max(1, round(error.delay_seconds * 1000)))
            case WaitForChildren():
                return WaitingForChildren()
            case Discard():
                return self._failed_for_good(_reason(error), error)
        if self.cancel_reason is not None:
            return self._verdict_of_cancelled()
        return self.failed(_reason(error), error)

    def _completed(self, value: Any) -> Verdict:
        if value is None:
            return RETURNED_NOTHING
        try:
            text = encode(value, "the return value")
        except InvalidInput as error:
            return self._failed_for_good(f"The handler's return value cannot be stored: {error}", error)
        if len(text) > LARGEST_RESULT_BYTES:
            return self._failed_for_good(
                f"The handler's return value has {len(text)} bytes, the limit is {LARGEST_RESULT_BYTES}: "
                "store it elsewhere and return where it is.",
                None,
            )
        return Completed(text)

    def _verdict_of_cancelled(self) -> Verdict:
        match self.cancel_reason:
            case CancelReason.CLAIM_LOST:
                return Abandoned()
            case CancelReason.SHUTDOWN:
                return Interrupted()
            case CancelReason.TIMEOUT:
                return self.failed(f"timed out after {self.timeout_seconds:g} s", None)
            case CancelReason.REQUESTED:
                return self._failed_for_good("cancelled on request", None)
            case None:
                return self.failed("the handler was cancelled from inside: it cancelled its own task", None)

    def failed(self, reason: str, error: BaseException | None) -> Verdict:
        """One attempt has failed: try again if the job has attempts left, else it is a dead letter.

        Source: BullMQ job.ts, shouldRetryJob; a strategy's -1 means no more attempts.
        """
        claim = self.claim
        if claim.shared.atm + 1 >= attempts_allowed(claim, self.spec):
            return self._failed_for_good(reason, error)
        backoff = claim.options.backoff or (self.spec.backoff if self.spec is not None else None)
        delay = delay_ms(backoff, claim.shared.atm + 1)
        if delay is None and backoff is not None:
            delay = self._custom_delay(backoff.kind, error)
            if delay is None:
                reason += (
                    f' (the backoff strategy "{backoff.kind}" is not known here, so it is tried again after 1 s: '
                    "register it with @app.backoff)"
                )
                delay = 1000
        if delay is not None and delay < 0:
            return self._failed_for_good(reason, error)
        return RetryLater(reason, self._stacktrace(error, reason), delay or 0)

    def _custom_delay(self, kind: str, error: BaseException | None) -> int | None:
        strategy = self._workplace.backoffs.get(kind)
        if strategy is None:
            return None
        cause = error if error is not None else TimeoutError("timed out")
        try:
            return round(strategy(self.claim.shared.atm + 1, kind, cause, self.job))  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001 - a user's function, at the border around a handler
            return None

    def _failed_for_good(self, reason: str, error: BaseException | None) -> Failed:
        return Failed(reason, self._stacktrace(error, reason))

    def _stacktrace(self, error: BaseException | None, reason: str) -> bytes:
        """The job's stack traces with this one appended, a JSON array of strings as Node keeps it."""
        try:
            traces = json.loads(self.claim.shared.stacktrace) if self.claim.shared.stacktrace else []
        except ValueError:
            traces = []
        limit = self.claim.options.stack_trace_limit
        keep = STACK_TRACES_KEPT if limit is None else limit
        traces = traces if isinstance(traces, list) else []
        traces.append(_trace(error) if error is not None else reason)
        return json.dumps(traces[-keep:] if keep else []).encode()

    @property
    def run_ms(self) -> float:
        return (self.finished - self.started) * 1000

    @property
    def waited_ms(self) -> float:
        """From when the job was added, or became due, to its claim; clocks of different machines may differ."""
        return max(0.0, self.claim.shared.processed_on_ms - (self.claim.timestamp_ms or now_ms()))


def _reason(error: BaseException) -> str:
    """BullMQ's failedReason is the error's message; an error without one is named by its type."""
    text = str(error)
    return text or type(error).__name__


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error, limit=-30))
