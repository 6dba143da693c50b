"""What do we know of a job that we hold? A claim (id, token, ats, processedOn) and the fields that came with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeGuard

import msgspec

from oxcart.handlers import Backoff, HandlerSpec, KeepSetting
from oxcart.protocol.exchange import ClaimedJob, Policy

_decode = msgspec.json.Decoder().decode
_NEVER_REMOVED_PER_CALL = 1000  # BullMQ's own default for keepJobs.limit


@dataclass(frozen=True, slots=True)
class WireOptions:
    """The options that a job carries and a worker obeys; None: the job says nothing. Times in ms."""

    attempts: int | None = None
    backoff: Backoff | None = None
    keep_completed: Policy | None = None
    keep_failed: Policy | None = None
    timeout_ms: float | None = None
    lifo: bool = False
    keep_logs: int | None = None
    stack_trace_limit: int | None = None
    repeat: Mapping[str, Any] | None = None


@dataclass(slots=True, eq=False)
class Claim:
    """One job in our hands, and the right to write its end (design, decision 6)."""

    job_id: bytes
    token: str
    ats: int
    processed_on_ms: int
    name: str
    data: bytes
    options: WireOptions
    atm: int
    timestamp_ms: int
    priority: int
    scheduler_id: str | None
    parent_key: str | None
    deferred_failure: str | None
    stacktrace: bytes | None
    raw_options: bytes


def read_claim(job: ClaimedJob, token: str, processed_on_ms: int) -> Claim:
    """One job of an exchange's answer. A field that cannot be read counts as absent: the job must stay finishable."""
    job_id, ats, fields = job
    name, data, opts, _, atm, _, timestamp, priority, _, scheduler, parent, deferred, stacktrace = fields
    return Claim(
        job_id=job_id,
        token=token,
        ats=ats,
        processed_on_ms=processed_on_ms,
        name=name.decode("utf-8", "replace") if name else "",
        data=data or b"{}",
        options=read_options(opts) if opts else _NO_OPTIONS,
        atm=_int(atm),
        timestamp_ms=_int(timestamp),
        priority=_int(priority),
        scheduler_id=scheduler.decode("utf-8", "replace") if scheduler else None,
        parent_key=parent.decode("utf-8", "replace") if parent else None,
        deferred_failure=deferred.decode("utf-8", "replace") if deferred else None,
        stacktrace=stacktrace,
        raw_options=opts or b"{}",
    )


def _int(value: bytes | None) -> int:
    if not value:
        return 0
    try:
        return int(value)
    except ValueError:
        return 0


_NO_OPTIONS = WireOptions()


@lru_cache(maxsize=512)
def read_options(text: bytes) -> WireOptions:
    """Parse a job's `opts`; what has a wrong shape counts as not said. Equal text is parsed once."""
    try:
        raw = _decode(text)
    except msgspec.DecodeError:
        return _NO_OPTIONS
    if not isinstance(raw, dict):
        return _NO_OPTIONS
    attempts, timeout, repeat = raw.get("attempts"), raw.get("timeout"), raw.get("repeat")
    keep_logs, limit = raw.get("kl", raw.get("keepLogs")), raw.get("stackTraceLimit")
    return WireOptions(
        attempts=int(attempts) if _is_number(attempts) and attempts >= 1 else None,
        backoff=_backoff(raw.get("backoff")),
        keep_completed=read_keep(raw.get("removeOnComplete")),
        keep_failed=read_keep(raw.get("removeOnFail")),
        timeout_ms=timeout if _is_number(timeout) and timeout > 0 else None,
        lifo=raw.get("lifo") is True,
        keep_logs=int(keep_logs) if _is_number(keep_logs) and keep_logs > 0 else None,
        stack_trace_limit=int(limit) if _is_number(limit) and limit >= 0 else None,
        repeat=repeat if isinstance(repeat, dict) else None,
    )


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _backoff(value: Any) -> Backoff | None:
    if _is_number(value):
        return Backoff("fixed", max(0.0, value))
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        delay, jitter = value.get("delay"), value.get("jitter")
        return Backoff(
            value["type"],
            max(0.0, delay) if _is_number(delay) else 0.0,
            min(1.0, max(0.0, jitter)) if _is_number(jitter) else 0.0,
        )
    return None


def read_keep(value: KeepSetting | Any) -> Policy | None:
    """BullMQ's removeOnComplete/removeOnFail: true removes, false keeps all, a number is a count, or {age, count}."""
    if value is True:
        return (0, -1, _NEVER_REMOVED_PER_CALL)
    if value is False:
        return (-1, -1, _NEVER_REMOVED_PER_CALL)
    if _is_number(value):
        return (int(value), -1, _NEVER_REMOVED_PER_CALL)
    if isinstance(value, Mapping):
        count, age, limit = value.get("count"), value.get("age"), value.get("limit")
        return (
            int(count) if _is_number(count) else -1,
            age if _is_number(age) and age >= 0 else -1,
            int(limit) if _is_number(limit) and limit > 0 else _NEVER_REMOVED_PER_CALL,
        )
    return None


def attempts_allowed(claim: Claim, spec: HandlerSpec | None) -> int:
    """The job's own number, else the decorator's, else one."""
    return claim.options.attempts or (spec.attempts if spec and spec.attempts else 1)
