"""What do we know of a job that we hold? A claim (id, token, ats, processedOn) and the fields that came with it."""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.handlers import HandlerSpec
from oxcart.protocol.exchange import ClaimedJob
from oxcart.protocol.job_options import JobOptions, read_options


@dataclass(slots=True, eq=False)
class Claim:
    """One job in our hands, and the right to write its end (design, decision 6)."""

    job_id: bytes
    token: str
    ats: int
    processed_on_ms: int
    name: str
    data: bytes
    options: JobOptions
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
        options=read_options(opts or b""),
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


def attempts_allowed(claim: Claim, spec: HandlerSpec | None) -> int:
    """The job's own number, else the decorator's, else one."""
    return claim.options.attempts or (spec.attempts if spec and spec.attempts else 1)
