"""What do we know of a job that we hold? A claim (id, token, ats, processedOn) and the fields that came with it."""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.handlers import HandlerSpec
from oxcart.protocol.exchange import USUAL_FIELDS, JobRow
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


def read_claim(job: JobRow, token: str, processed_on_ms: int) -> Claim:
    """One job of an exchange's answer. A field that cannot be read counts as absent: the job must stay finishable."""
    job_id, ats, fields = job
    name, data, opts, _, atm, timestamp, priority = fields[:USUAL_FIELDS]
    claim = Claim(  # by position: 15 names cost each job more than reading the values
        job_id,
        token,
        ats,
        processed_on_ms,
        name.decode("utf-8", "replace") if name else "",
        data or b"{}",
        read_options(opts or b""),
        _int(atm) if atm else 0,
        _int(timestamp) if timestamp else 0,
        _int(priority) if priority else 0,
        None,
        None,
        None,
        None,
        opts or b"{}",
    )
    if len(fields) > USUAL_FIELDS:
        scheduler, parent, deferred, claim.stacktrace = fields[USUAL_FIELDS:]
        claim.scheduler_id, claim.parent_key, claim.deferred_failure = _text(scheduler), _text(parent), _text(deferred)
    return claim


def _int(value: bytes) -> int:
    try:
        return int(value)
    except ValueError:
        return 0


def _text(value: bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if value else None


def attempts_allowed(claim: Claim, spec: HandlerSpec | None) -> int:
    """The job's own number, else the decorator's, else one."""
    return claim.options.attempts or (spec.attempts if spec and spec.attempts else 1)
