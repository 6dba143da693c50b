"""What may a job's options say, and how are they spelled on the wire? BullMQ's `opts`, versions 5 and 6 alike.

Long names are the public ones of BullMQ; some travel under a short name (`kl` for keepLogs). Both are read. Reading is
lenient: a value that makes no sense counts as not given, for one producer's slip must not cost the job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from oxcart.errors import InvalidInput
from oxcart.handlers import Backoff
from oxcart.protocol import codec

OnFailure = Literal["fail_parent", "continue_parent", "ignore_dependency", "remove_dependency"]
"""What a child's final failure does to its parent; BullMQ's four options of which one job may have one."""

SHORT_NAMES = {
    "failParentOnFailure": "fpof",
    "continueParentOnFailure": "cpof",
    "ignoreDependencyOnFailure": "idof",
    "removeDependencyOnFailure": "rdof",
    "keepLogs": "kl",
    "deduplication": "de",
}
_LONG_NAMES = {short: long for long, short in SHORT_NAMES.items()}
_ON_FAILURE: dict[OnFailure, str] = {
    "fail_parent": "failParentOnFailure",
    "continue_parent": "continueParentOnFailure",
    "ignore_dependency": "ignoreDependencyOnFailure",
    "remove_dependency": "removeDependencyOnFailure",
}


@dataclass(frozen=True, slots=True)
class KeepJobs:
    """How many finished jobs are kept: at most `count` (None: any number), none older than `age_seconds`.

    `limit` bounds how many are removed at once.
    """

    count: int | None = None
    age_seconds: int | None = None
    limit: int | None = None

    def to_wire(self) -> bool | int | dict[str, int]:
        """As `removeOnComplete` and `removeOnFail` have it: true removes at once, false keeps all."""
        if self.age_seconds is None and self.limit is None:
            return False if self.count is None else self.count or True
        named = {"age": self.age_seconds, "count": self.count, "limit": self.limit}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Deduplication:
    """Jobs with the same `id` count as one: until it has finished, or for `ttl_ms`."""

    id: str
    ttl_ms: int | None = None
    extend: bool = False
    replace: bool = False
    keep_last_if_active: bool = False

    def to_wire(self) -> dict[str, Any]:
        named = {
            "id": self.id,
            "ttl": self.ttl_ms,
            "extend": self.extend,
            "replace": self.replace,
            "keepLastIfActive": self.keep_last_if_active,
        }
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Parent:
    """The job that waits for this one. `queue` is qualified with its prefix: `bull:crm`."""

    id: str
    queue: str

    @property
    def key(self) -> str:
        return f"{self.queue}:{self.id}"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options of one job; None and 0 mean that the job itself says nothing. `other` holds what we do not know."""

    job_id: str | None = None
    delay_ms: int = 0
    priority: int = 0
    attempts: int | None = None
    backoff: Backoff | None = None
    lifo: bool = False
    keep_completed: KeepJobs | None = None
    keep_failed: KeepJobs | None = None
    keep_logs: int | None = None
    timeout_ms: int | None = None
    size_limit: int | None = None
    stack_trace_limit: int | None = None
    deduplication: Deduplication | None = None
    parent: Parent | None = None
    on_failure: OnFailure | None = None
    timestamp_ms: int | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """As the job's hash has them, with the short names; `attempts` is always there, as Node writes it."""
        named: dict[str, Any] = {
            **self.other,
            "attempts": self.attempts or 0,
            "jobId": self.job_id,
            "delay": self.delay_ms or None,
            "priority": self.priority or None,
            "backoff": self.backoff.to_wire() if self.backoff else None,
            "lifo": self.lifo or None,
            "removeOnComplete": self.keep_completed.to_wire() if self.keep_completed else None,
            "removeOnFail": self.keep_failed.to_wire() if self.keep_failed else None,
            "kl": self.keep_logs,
            "timeout": self.timeout_ms,
            "sizeLimit": self.size_limit,
            "stackTraceLimit": self.stack_trace_limit,
            "de": self.deduplication.to_wire() if self.deduplication else None,
            "parent": {"id": self.parent.id, "queue": self.parent.queue} if self.parent else None,
            "timestamp": self.timestamp_ms,
        }
        if self.on_failure:
            named[SHORT_NAMES[_ON_FAILURE[self.on_failure]]] = True
        return {name: value for name, value in named.items() if value is not None}


def parse_options(text: bytes | str | None) -> JobOptions:
    """Read the `opts` field of a job's hash. Raises InvalidInput only if it is no JSON object."""
    if not text:
        return JobOptions()
    wire = codec.decode(text, "opts")
    if not isinstance(wire, dict):
        raise InvalidInput(f"Reading opts: a {type(wire).__name__} is no JSON object. Look at the raw job.")
    return from_wire(wire)


def from_wire(wire: Mapping[str, Any]) -> JobOptions:
    """The options of a decoded `opts` object, with short or long names."""
    given = {_LONG_NAMES.get(name, name): value for name, value in wire.items()}
    on_failure: OnFailure | None = None
    for ours, theirs in _ON_FAILURE.items():
        if given.pop(theirs, None) and on_failure is None:
            on_failure = ours
    return JobOptions(
        job_id=_text(given.pop("jobId", None)),
        delay_ms=_whole(given.pop("delay", None)) or 0,
        priority=_whole(given.pop("priority", None)) or 0,
        attempts=_whole(given.pop("attempts", None)) or None,
        backoff=_backoff(given.pop("backoff", None)),
        lifo=given.pop("lifo", None) is True,
        keep_completed=_keep(given.pop("removeOnComplete", None)),
        keep_failed=_keep(given.pop("removeOnFail", None)),
        keep_logs=_whole(given.pop("keepLogs", None)),
        timeout_ms=_whole(given.pop("timeout", None)) or None,
        size_limit=_whole(given.pop("sizeLimit", None)),
        stack_trace_limit=_whole(given.pop("stackTraceLimit", None)),
        deduplication=_deduplication(given.pop("deduplication", None)),
        parent=_parent(given.pop("parent", None)),
        on_failure=on_failure,
        timestamp_ms=_whole(given.pop("timestamp", None)),
        other=given,
    )


def _whole(value: Any) -> int | None:
    """A whole number from 0 on; a fraction is cut off, as parseInt does."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _backoff(value: Any) -> Backoff | None:
    """A number is a fixed delay in milliseconds."""
    delay = _whole(value)
    if delay is not None:
        return Backoff("fixed", delay)
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return None
    jitter = value.get("jitter")
    usable = isinstance(jitter, int | float) and not isinstance(jitter, bool) and 0 <= jitter <= 1
    return Backoff(value["type"], _whole(value.get("delay")) or 0, float(jitter or 0) if usable else 0.0)


def _keep(value: Any) -> KeepJobs | None:
    """True removes the job at once, false or a negative number keeps all, a number as many; an object says more."""
    if isinstance(value, bool):
        return KeepJobs(count=0 if value else None)
    if isinstance(value, int | float) and math.isfinite(value):
        return KeepJobs(count=int(value) if value >= 0 else None)
    if isinstance(value, dict):
        return KeepJobs(_whole(value.get("count")), _whole(value.get("age")), _whole(value.get("limit")))
    return None


def _deduplication(value: Any) -> Deduplication | None:
    if not isinstance(value, dict) or not _text(value.get("id")):
        return None
    return Deduplication(
        value["id"],
        _whole(value.get("ttl")) or None,
        extend=bool(value.get("extend")),
        replace=bool(value.get("replace")),
        keep_last_if_active=bool(value.get("keepLastIfActive")),
    )


def _parent(value: Any) -> Parent | None:
    if not isinstance(value, dict) or not _text(value.get("id")) or not _text(value.get("queue")):
        return None
    return Parent(value["id"], value["queue"])
