"""What may a job's options say, and how are they spelled on the wire? BullMQ's `opts`, versions 5 and 6 alike.

Long names are the public ones of BullMQ; some travel under a short name (`kl` for keepLogs). Both are read. Reading is
lenient: numbers may be texts, and a value that makes no sense counts as not given, for one producer's slip must not
cost the job. Producers, operators and workers read options here, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from oxcart.errors import InvalidInput
from oxcart.handlers import Backoff
from oxcart.protocol import codec, js_values
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
    reschedule: bool = False

    def to_wire(self) -> dict[str, Any]:
        named = {
            "id": self.id,
            "ttl": self.ttl_ms,
            "extend": self.extend,
            "replace": self.replace,
            "keepLastIfActive": self.keep_last_if_active,
            "reschedule": self.reschedule,
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

    def to_public(self) -> dict[str, Any]:
        """As a producer gives them, with the long names."""
        return {_LONG_NAMES.get(name, name): value for name, value in self.to_wire().items()}


_LONG_NAMES = {short: long for long, short in SHORT_NAMES.items()}
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
    except InvalidInput:
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


# ------------------------------------------------------------------------------------------------ reading
# As Node's worker understands what a producer may have written: docs/node-interop.md has a table of forms, which
# tests/interop/test_option_forms.py tries on both.
def _whole(value: Any) -> int | None:
    """A whole number from 0 on, exact in a double; a fraction is cut off, as parseInt does. A text may be one."""
    if value is None or value == "" or type(value) is bool:
        return None
    read = js_values.number(value)
    return int(read) if 0 <= read <= codec.LARGEST_INTEGER else None


def _whole_from_one(value: Any) -> int | None:
    return _whole(value) or None


def _attempts(value: Any) -> int | None:
    """Node goes on while the attempts made are less: of 2.5 there are three."""
    read = js_values.number(value)
    return min(math.ceil(min(read, codec.LARGEST_INTEGER)), codec.LARGEST_INTEGER) if read >= 1 else None


def _traces_kept(value: Any) -> int | None:
    """How many of the latest stack traces stay. Node cuts by `slice(-limit)`: of -1 nothing is left, of "0" all."""
    if value is None or not (js_values.is_true(value) or (value == 0 and value is not False)):
        return None
    read = js_values.number(value)
    if value == 0 or read <= -1:
        return 0
    return int(min(read, codec.LARGEST_INTEGER)) or None if read >= 0 else None


def _truth(value: Any) -> bool | None:
    return js_values.is_true(value) or None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _backoff(value: Any) -> Backoff | None:
    """A number is a fixed delay in milliseconds."""
    if not isinstance(value, dict):
        delay = None if isinstance(value, list) else _whole(value)
        return None if delay is None else Backoff("fixed", delay)
    if not isinstance(value.get("type"), str):
        return None
    jitter = js_values.number(value.get("jitter"))
    return Backoff(value["type"], _whole(value.get("delay")) or 0, jitter if 0 <= jitter <= 1 else 0.0)


def _keep(value: Any) -> KeepJobs | None:
    """True removes the job at once, and so does a text, also "false" and "100"; false, "" or a negative number keeps
    all, a number as many; an object says more, and its numbers may be texts.
    """
    if isinstance(value, bool | str):
        return _REMOVE if value else _KEEP_ALL
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return KeepJobs(count=_whole(value))
    if isinstance(value, dict):
        age = js_values.number(value.get("age"))
        # Half a second is no zero, which would remove all at once.
        seconds = None if _whole(value.get("age")) is None else int(age) if age == int(age) else age
        return KeepJobs(_whole(value.get("count")), seconds, _whole(value.get("limit")))
    return None


def _deduplication(value: Any) -> Deduplication | None:
    if not isinstance(value, dict) or not _text(value.get("id")):
        return None
    return Deduplication(
        value["id"],
        _whole(value.get("ttl")) or None,
        extend=js_values.is_true(value.get("extend")),
        replace=js_values.is_true(value.get("replace")),
        keep_last_if_active=js_values.is_true(value.get("keepLastIfActive")),
        reschedule=js_values.is_true(value.get("reschedule")),
    )


def _parent(value: Any) -> Parent | None:
    if not isinstance(value, dict) or not _text(value.get("id")) or not _text(value.get("queue")):
        return None
    return Parent(value["id"], value["queue"])


def _consequence(meaning: OnFailure) -> Callable[[Any], OnFailure | None]:
    return lambda value: meaning if js_values.is_true(value) else None


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "jobId": ("job_id", _text),
    "delay": ("delay_ms", _whole),
    "priority": ("priority", _whole),
    "attempts": ("attempts", _attempts),
    "backoff": ("backoff", _backoff),
    "lifo": ("lifo", _truth),
    "removeOnComplete": ("keep_completed", _keep),
    "removeOnFail": ("keep_failed", _keep),
    "keepLogs": ("keep_logs", _whole),
    "timeout": ("timeout_ms", _whole_from_one),
    "sizeLimit": ("size_limit", _whole),
    "stackTraceLimit": ("stack_trace_limit", _traces_kept),
    "deduplication": ("deduplication", _deduplication),
    "parent": ("parent", _parent),
    "timestamp": ("timestamp_ms", _whole),
    **{long: ("on_failure", _consequence(meaning)) for meaning, long in _ON_FAILURE.items()},
}
_READERS.update({short: _READERS[long] for long, short in SHORT_NAMES.items()})
