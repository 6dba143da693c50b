"""What becomes of a job whose attempt has failed? It is tried again after its backoff, or it is a dead letter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from oxcart.handlers import Backoff, CustomBackoff, HandlerSpec
from oxcart.job import Job
from oxcart.verdicts import Failed, RetryLater
from oxcart.worker.backoff import asked_ms, delay_ms
from oxcart.worker.claim import Claim, attempts_allowed
from oxcart.worker.error_text import account_of, plain_text, trace_of

STACK_TRACES_KEPT = 10
"""Of a job whose options do not say: a job retried for a month would grow without end."""

AGAIN_MS = 1000
"""Where nobody can say how long to wait."""


def failed(
    claim: Claim,
    spec: HandlerSpec | None,
    reason: str,
    error: BaseException | None,
    *,
    strategies: Mapping[str, CustomBackoff],
    job: Job[Any] | None,
) -> RetryLater | Failed:
    """Try again if the job has attempts left, else it is a dead letter; also if its strategy says so.

    Source: BullMQ job.ts, shouldRetryJob; a strategy's -1 means no more attempts.
    """
    if claim.shared.atm + 1 >= attempts_allowed(claim, spec):
        return failed_for_good(claim, reason, error)
    backoff = claim.options.backoff or (spec.backoff if spec is not None else None)
    delay = delay_ms(backoff, claim.shared.atm + 1)
    if delay is None and backoff is not None:
        delay, problem = _ask(strategies.get(backoff.kind), backoff, claim, job, error)
        if problem:
            kind = plain_text(backoff.kind, 80)
            reason += f' (the backoff strategy "{kind}" {problem}, so it is tried again after {AGAIN_MS // 1000} s)'
    if delay is not None and delay < 0:
        return failed_for_good(claim, reason, error)
    return RetryLater(reason, _stacktrace(claim, error, reason), delay or 0)


def failed_unrecoverably(claim: Claim, reason: str) -> Failed:
    """What no handler has raised: a child's failure, a limit. Node keeps the trace of an UnrecoverableError for it."""
    return Failed(reason, _stacktrace(claim, None, f"UnrecoverableError: {reason}"))


def failed_for_good(claim: Claim, reason: str, error: BaseException | None) -> Failed:
    return Failed(reason, _stacktrace(claim, error, reason))


def _ask(
    strategy: CustomBackoff | None, backoff: Backoff, claim: Claim, job: Job[Any] | None, error: BaseException | None
) -> tuple[int, str]:
    """How long a strategy of the user says, and what was wrong with it."""
    if strategy is None:
        return AGAIN_MS, "is not known here: register it with @app.backoff"
    cause = error if error is not None else TimeoutError("timed out")
    try:
        return asked_ms(strategy(claim.shared.atm + 1, backoff.kind, cause, job)), ""  # type: ignore[arg-type]
    except BaseException as raised:  # noqa: BLE001 - the border around user code
        return AGAIN_MS, f"cannot be used: {account_of(raised)}"


def _stacktrace(claim: Claim, error: BaseException | None, reason: str) -> bytes:
    """The job's stack traces with this one appended, a JSON array of strings as Node keeps it."""
    latest = trace_of(error) if error is not None else reason
    limit = claim.options.stack_trace_limit
    keep = STACK_TRACES_KEPT if limit is None else limit
    try:
        traces = json.loads(claim.shared.stacktrace) if claim.shared.stacktrace else []
        traces = [*traces, latest] if isinstance(traces, list) else [latest]
        return json.dumps(traces[-keep:] if keep else []).encode()
    except (ValueError, RecursionError):  # others have written what is there
        return json.dumps([latest]).encode()
