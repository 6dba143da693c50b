"""What may a job's options say, and how are they spelled on the wire? BullMQ's `opts`, versions 5 and 6 alike.

Long names are the public ones of BullMQ; some travel under a short name (`kl` for keepLogs). Both are read. Reading is
lenient: a value that makes no sense counts as not given, for one producer's slip must not cost the job. Producers,
operators and workers read options here, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from oxcart.errors import InvalidInput
from oxcart.handlers import Backoff
from oxcart.protocol import codec
from oxcart.protocol.exchange import Policy

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
_ON_FAILURE: dict[OnFailure, str] = {
    "fail_parent": "failParentOnFailure",
    "continue_parent": "continueParentOnFailure",
    "ignore_dependency": "ignoreDependencyOnFailure",
    "remove_dependency": "removeDependencyOnFailure",
}
_LONGEST_KEPT, _TEXTS_KEPT = 2048, 512
"""Bytes of the options that are kept once they were read, and how many: ordinary ones have a hundred or two."""

_REMOVED_AT_ONCE = 1000
"""How many finished jobs one more may push out where nothing is said; BullMQ's own default of keepJobs.limit."""


@dataclass(frozen=True, slots=True)
class KeepJobs:
    """How many finished jobs are kept: at most `count` (None: any number), none older than `age_seconds`.

    `limit` bounds how many are removed at once. `policy` is the same as an exchange wants it.
    """

    count: int | None = None
    age_seconds: float | None = None
    limit: int | None = None
    policy: Policy = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = -1 if self.count is None else self.count
        age = -1 if self.age_seconds is None else self.age_seconds
        object.__setattr__(self, "policy", (count, age, self.limit or _REMOVED_AT_ONCE))

    def to_wire(self) -> bool | int | dict[str, float]:
        """As `removeOnComplete` and `removeOnFail` have it: true removes at once, false keeps all."""
        if self.age_seconds is None and self.limit is None:
            return False if self.count is None else self.count or True
        named = {"age": self.age_seconds, "count": self.count, "limit": self.limit}
        return {name: value for name, value in named.items() if value is not None}


_REMOVE, _KEEP_ALL = KeepJobs(count=0), KeepJobs()


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


_NOTHING_SAID = JobOptions()


def parse_options(text: bytes | str | None) -> JobOptions:
    """Read the `opts` field of a job's hash. Raises InvalidInput only if it is no JSON object."""
    if not text:
        return JobOptions()
    wire = codec.decode(text, "opts")
    if not isinstance(wire, dict):
        raise InvalidInput(f"Reading opts: a {type(wire).__name__} is no JSON object. Look at the raw job.")
    return from_wire(wire)


def read_options(text: bytes) -> JobOptions:
    """As parse_options, for a worker: text that is no JSON object says nothing, for a claimed job must stay finishable.

    Equal text is read once: most jobs of a queue carry the same. A long one is not kept: whoever adds jobs chooses it.
    """
    return _read_once(text) if len(text) <= _LONGEST_KEPT else _read_leniently(text)


def _read_leniently(text: bytes) -> JobOptions:
    try:
        return parse_options(text)
    except Exception:  # noqa: BLE001 - the border around the preparation of a job: others wrote this text
        return _NOTHING_SAID


_read_once = lru_cache(maxsize=_TEXTS_KEPT)(_read_leniently)


def repeat_key(options: Mapping[str, Any]) -> str | None:
    """Which repeatable job of Bull a job belongs to: Bull has no field for it beside the options."""
    repeat = options.get("repeat")
    key = repeat.get("key") if isinstance(repeat, dict) else None
    return key if isinstance(key, str) else None


def from_wire(wire: Mapping[str, Any]) -> JobOptions:
    """The options of a decoded `opts` object, with short or long names."""
    read: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for name, value in wire.items():
        known = _READERS.get(name)
        if known is None:
            other[name] = value
            continue
        option, reader = known
        meaning = reader(value)
        if meaning is not None:
            read[option] = meaning
    return JobOptions(**read, other=other)


def _whole(value: Any) -> int | None:
    """A whole number from 0 on, exact in a double; a fraction is cut off, as parseInt does."""
    kind = type(value)  # decoded JSON has no subclasses, and bool is none of these two
    if kind is int or (kind is float and math.isfinite(value)):
        return int(value) if 0 <= value <= codec.LARGEST_INTEGER else None
    return None


def _whole_from_one(value: Any) -> int | None:
    return _whole(value) or None


def _true(value: Any) -> bool | None:
    return True if value is True else None


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
        return _REMOVE if value else _KEEP_ALL
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return KeepJobs(count=_whole(value))
    if isinstance(value, dict):
        age = value.get("age")
        seconds = None if _whole(age) is None else age  # half a second is no zero, which would remove all at once
        return KeepJobs(_whole(value.get("count")), seconds, _whole(value.get("limit")))
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


def _consequence(meaning: OnFailure) -> Callable[[Any], OnFailure | None]:
    return lambda value: meaning if value else None


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "jobId": ("job_id", _text),
    "delay": ("delay_ms", _whole),
    "priority": ("priority", _whole),
    "attempts": ("attempts", _whole_from_one),
    "backoff": ("backoff", _backoff),
    "lifo": ("lifo", _true),
    "removeOnComplete": ("keep_completed", _keep),
    "removeOnFail": ("keep_failed", _keep),
    "keepLogs": ("keep_logs", _whole),
    "timeout": ("timeout_ms", _whole_from_one),
    "sizeLimit": ("size_limit", _whole),
    "stackTraceLimit": ("stack_trace_limit", _whole),
    "deduplication": ("deduplication", _deduplication),
    "parent": ("parent", _parent),
    "timestamp": ("timestamp_ms", _whole),
    **{long: ("on_failure", _consequence(meaning)) for meaning, long in _ON_FAILURE.items()},
}
_READERS.update({short: _READERS[long] for long, short in SHORT_NAMES.items()})
