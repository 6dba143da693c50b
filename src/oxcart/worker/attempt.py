"""What happens to one job between its claim and its verdict? Runs the handler, reads the outcome. No Redis here.

We cancel handlers, never attempts: whoever wants an attempt to end calls `cancel(reason)`, and the verdict is read
from how the handler then ended. A handler that does not listen is decided without it and keeps its slot until it ends.

All code of a job's user (validators, the handler, what it returned or raised, backoff strategies) runs inside one
border: `_run_async` in the handler's task and context, `_run_in_thread` in its thread. Out of it comes a verdict, never
an error.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import CoroutineType
from typing import Any

from oxcart import clock
from oxcart.clock import now_ms
from oxcart.errors import Discard, InvalidInput, MoveToWait, RateLimited, Snooze, WaitForChildren
from oxcart.handlers import CustomBackoff, HandlerSpec
from oxcart.job import Job, JobChannel, Reports
from oxcart.protocol.codec import decode, encode
from oxcart.telemetry.in_hand import job_in_hand
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
from oxcart.worker.backoff import LONGEST_MS
from oxcart.worker.claim import Claim
from oxcart.worker.error_text import account_of, message_of
from oxcart.worker.failing import AGAIN_MS, failed, failed_for_good, failed_unrecoverably
from oxcart.worker.handler_task import Run, Starter
from oxcart.worker.pools import NoMoreThreads, Threads

LARGEST_RESULT_BYTES = 9 * 1024 * 1024
"""A return value above this is refused: managed servers take 10 MB in one request (docs/doctor.md, Q_REQ)."""

DEAF_AFTER_SECONDS = 5.0
"""How long a handler may take to end after it was told to, before the attempt is decided without it."""


RETURNED_NOTHING = Completed(encode(None))
"""What most handlers come to."""


class Stage(Enum):
    """Where an attempt was when its code raised; the words that the reason begins with."""

    DATA = "The job's data cannot be used"
    HANDLER = "The handler failed"
    RETURN = "The handler's return value cannot be stored"


_DATA, _HANDLER, _RETURN = Stage  # each look into an Enum costs as much as a tenth of a job


class CancelReason(Enum):
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    CLAIM_LOST = "claim lost"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True)
class Workplace:
    """What the attempts of one queue share. `keeps_errors`: someone listens to failures. `on_verdict` is called once
    for each; `on_ended` once, when the slot is free, maybe later.
    """

    loop: asyncio.AbstractEventLoop
    channel: JobChannel
    threads: Threads
    starter: Starter
    backoffs: dict[str, CustomBackoff]
    most_starts: int
    keeps_errors: bool
    on_verdict: Callable[[Attempt], None]
    on_ended: Callable[[Attempt], None]


@dataclass(slots=True, eq=False)
class Attempt:
    """One run of one handler. `started` is at first when it was claimed, as `renewed_at` is, by clock.monotonic();
    `number` tells in which order the worker's jobs were claimed; `request_bytes` belongs to the outbox.
    """

    claim: Claim
    spec: HandlerSpec | None
    _workplace: Workplace
    started: float
    renewed_at: float = 0.0
    finished: float = 0.0
    number: int = 0
    has_slot: bool = False
    job: Job[Any] | None = None
    verdict: Verdict | None = None
    cancel_reason: CancelReason | None = None
    cancel_request: str = "fail:"
    ended: bool = False
    is_deaf: bool = False
    error: BaseException | None = None
    lock_uncertain: bool = False
    times_sent: int = 0
    request_bytes: int = 0
    _kept_back: Verdict | None = None
    _run: Run | None = None
    _timeout_timer: asyncio.TimerHandle | None = None
    _deaf_timer: asyncio.TimerHandle | None = None

    # -------------------------------------------------------------------------------------------- starting
    def start(self, queue_name: str) -> None:
        """Run the handler; returns when its first step is done. Without a handler (or with a deferred failure, which
        a failed child or the stalled check left) the verdict is there at once.
        """
        self.started = clock.monotonic()
        claim, spec, workplace = self.claim, self.spec, self._workplace
        shared = claim.shared
        if shared.deferred_failure is not None:
            self.decide_without_running(failed_unrecoverably(claim, shared.deferred_failure))
            return
        if 0 < workplace.most_starts < shared.ats:
            self.decide_without_running(failed_unrecoverably(claim, "job started more than allowable limit"))
            return
        assert spec is not None
        try:
            self.job = job = _job_of(self, claim, workplace, queue_name)
            seconds = self.timeout_seconds
            if seconds is not None:
                job.deadline = clock.monotonic() + seconds
                self._timeout_timer = workplace.loop.call_later(seconds, self._time_is_up)
            if spec.is_async:
                self._run = workplace.starter.start(self._run_async(spec, job), self._handler_ended, claim)
            else:
                job._blocking_loop = workplace.loop  # noqa: SLF001
                workplace.threads.run(self._run_in_thread, job, self._thread_ended)
        except NoMoreThreads:  # nothing that the job can help
            self._handler_ended(Returned(AGAIN_MS), None)
        except Exception as error:  # the border around the preparation of a job
            if self.verdict is not None or self._kept_back is not None:
                raise
            self._handler_ended(self.failed(f"The job cannot be started: {account_of(error)}", error), None)

    def told(self, queue_name: str) -> Job[Any]:
        """For a listener. A job that was not run has its data as they were added. Raises InvalidInput if none can read
        them.
        """
        job = self.job
        if job is None:
            job = _job_of(self, self.claim, self._workplace, queue_name)
            job.data = decode(self.claim.data, "the job's data")
        if isinstance(self.verdict, Completed | Failed | RetryLater):
            job.attempts_made = self.claim.shared.atm + 1
        return job

    # -------------------------------------------------------------------------------------------- the user's code
    async def _run_async(self, spec: HandlerSpec, job: Job[Any]) -> Verdict:
        stage = _DATA
        job_in_hand.set(job)
        try:
            value = decode(self.claim.data, "the job's data")
            job.data = spec.parse(value) if spec.parse is not None else value
            stage = _HANDLER
            value = await spec.function(job)
            stage = _RETURN
            return RETURNED_NOTHING if value is None else _completed(value)
        except BaseException as error:  # noqa: BLE001 - the border around a handler; cancellation is an outcome too
            return self._verdict_of(error, stage)

    def _run_in_thread(self, job: Job[Any]) -> Verdict:
        spec, stage = self.spec, _DATA
        assert spec is not None
        job_in_hand.set(job)
        try:
            value = decode(self.claim.data, "the job's data")
            job.data = spec.parse(value) if spec.parse is not None else value
            stage = _HANDLER
            value = spec.function(job)
            stage = _RETURN
            return RETURNED_NOTHING if value is None else _completed(value)
        except BaseException as error:  # noqa: BLE001 - the border around a handler; sys.exit() ends only its job
            return self._verdict_of(error, stage)

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
            self._deaf_timer = self._workplace.loop.call_later(DEAF_AFTER_SECONDS, self.decide_deaf)
            with contextlib.suppress(BaseException):  # what it waits for may be an object of the user's
                self._run.cancel()
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
    def options(self) -> Mapping[str, Any]:
        return self.claim.options.to_public()

    @property
    def lock_token(self) -> str:
        return self.claim.shared.token

    @property
    def is_cancelled(self) -> bool:
        return self.cancel_reason is not None

    # -------------------------------------------------------------------------------------------- ending
    def _thread_ended(self, verdict: Verdict | None, error: BaseException | None) -> None:
        self._workplace.loop.call_soon_threadsafe(self._handler_ended, verdict, error)

    def _handler_ended(self, verdict: Verdict | None, error: BaseException | None) -> None:
        """`error` is there if not even the border was reached, as when a handler cancels its task and then returns."""
        if self.verdict is None:
            if self.cancel_reason is CancelReason.CLAIM_LOST:
                verdict = Abandoned()
            elif error is not None:
                verdict = self._verdict_of(error, Stage.HANDLER)
            assert verdict is not None
            self._decide(verdict)
        self._end()

    def _decide(self, verdict: Verdict) -> None:
        self.finished = clock.monotonic()
        if self._timeout_timer is not None:
            self._timeout_timer.cancel()
        if self._deaf_timer is not None:
            self._deaf_timer.cancel()
        try:
            reports = self.job._reports if self.job is not None else None  # noqa: SLF001
        except AttributeError:  # its handler has taken the job apart
            reports = None
        if reports is not None and self._reports_come_first(reports):
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
    def _verdict_of(self, error: BaseException, stage: Stage) -> Verdict:
        """In the handler's task or thread: the error's own methods are user code. Asks for its real type only."""
        kind = type(error)
        if self.cancel_reason is CancelReason.CLAIM_LOST:
            return Abandoned()
        if stage is Stage.RETURN or (stage is Stage.DATA and issubclass(kind, InvalidInput)):
            told = message_of(error) if issubclass(kind, InvalidInput) else account_of(error)
            return self._failed_for_good(f"{stage.value}: {told}", error)
        if issubclass(kind, asyncio.CancelledError):
            return self._verdict_of_cancelled()
        asked = _asked_for(error)
        if asked is not None:
            return asked
        reason = message_of(error) if stage is Stage.HANDLER else f"{stage.value}: {account_of(error)}"
        if issubclass(kind, Discard):
            return self._failed_for_good(reason, error)
        if self.cancel_reason is not None:
            return self._verdict_of_cancelled()
        return self.failed(reason, error)

    def _verdict_of_cancelled(self) -> Verdict:
        match self.cancel_reason:
            case CancelReason.CLAIM_LOST:
                return Abandoned()
            case CancelReason.SHUTDOWN:
                return Interrupted()
            case CancelReason.TIMEOUT:
                return self.failed(f"timed out after {self.timeout_seconds:g} s", None)
            case CancelReason.REQUESTED:
                how, _, why = self.cancel_request.partition(":")
                reason = f"cancelled on request: {why}" if why else "cancelled on request"
                return self.failed(reason, None) if how == "retry" else self._failed_for_good(reason, None)
            case None:
                return self.failed("the handler was cancelled from inside: it cancelled its own task", None)

    def failed(self, reason: str, error: BaseException | None) -> Verdict:
        self._keep(error)
        if 0 < self._workplace.most_starts <= self.claim.shared.ats:
            return failed_for_good(self.claim, reason, error)
        return failed(self.claim, self.spec, reason, error, strategies=self._workplace.backoffs, job=self.job)

    def _failed_for_good(self, reason: str, error: BaseException | None) -> Failed:
        self._keep(error)
        return failed_for_good(self.claim, reason, error)

    def _keep(self, error: BaseException | None) -> None:
        if self._workplace.keeps_errors:
            self.error = error

    @property
    def run_ms(self) -> float:
        return (self.finished - self.started) * 1000

    @property
    def waited_ms(self) -> float:
        """From when the job was added, or became due, to its claim; clocks of different machines may differ."""
        return max(0.0, self.claim.shared.processed_on_ms - (self.claim.timestamp_ms or now_ms()))


def _job_of(attempt: Attempt, claim: Claim, workplace: Workplace, queue_name: str) -> Job[Any]:
    shared = claim.shared
    job = Job(
        claim.job_id.decode("utf-8", "replace"),
        shared.name,
        None,
        queue_name=queue_name,
        attempts_made=shared.atm,
        attempts_started=shared.ats,
        stalled_count=shared.stalls,
        channel=workplace.channel,
        timestamp_ms=claim.timestamp_ms,
        priority=shared.priority,
        parent_key=shared.parent_key,
        keep_logs=shared.options.keep_logs,
    )
    job._attempt = attempt  # noqa: SLF001 - the attempt is the job's other half
    return job


def _completed(value: Any) -> Verdict:
    """Raises InvalidInput, and whatever the value's own methods raise."""
    if type(value) is CoroutineType:
        value.close()
        raise InvalidInput('it is a coroutine that nobody has awaited. Declare the handler with "async def".')
    text = encode(value, "the return value")
    if len(text) > LARGEST_RESULT_BYTES:
        raise InvalidInput(
            f"it has {len(text)} bytes, the limit is {LARGEST_RESULT_BYTES}: store it elsewhere and return where it is."
        )
    return Completed(text)


def _asked_for(error: BaseException) -> Verdict | None:
    """What a handler asked for by raising it; None for an error, and for a request that makes no sense."""
    kind = type(error)
    if issubclass(kind, MoveToWait):
        return GivenBack()
    if issubclass(kind, WaitForChildren):
        return WaitingForChildren()
    if not issubclass(kind, Snooze | RateLimited):
        return None
    try:
        delay = min(max(0, round(float(error.delay_seconds) * 1000)), LONGEST_MS)  # type: ignore[attr-defined]
    except BaseException:  # noqa: BLE001 - the border around user code: its class may be the user's
        return None
    return Snoozed(delay) if issubclass(kind, Snooze) else RateLimitedFor(max(1, delay))
