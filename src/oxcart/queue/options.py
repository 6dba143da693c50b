"""Which options may a caller give to a job, and what is wrong with those that cannot be used?

One sentence per mistake, before anything is sent. What is checked here is what BullMQ for Node checks too, so that a
job added from Python never surprises a Node worker.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, get_args

from oxcart.errors import InvalidInput
from oxcart.handlers import Backoff
from oxcart.handlers import parse_backoff as read_backoff
from oxcart.language import tr
from oxcart.protocol.job_options import Deduplication, JobOptions, KeepJobs, OnFailure, Parent
from oxcart.protocol.keys import LIKE_OTHER_KEYS

HIGHEST_PRIORITY_NUMBER = 2**21 - 1
"""BullMQ keeps the priority in the upper bits of a score, 32 bits above a counter; a double has 53."""

LONGEST_ID_BYTES = 32 * 1024
LONGEST_DELAY_MS = 10 * 365 * 86_400_000
"""Ten years. The score of a delayed job is its time times 4096 in a double, exact until 2039."""

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$")


class JobArguments(TypedDict, total=False):
    """The options of `Queue.add`; the same names in `add_many`, flows and schedules.

    `backoff`: milliseconds, "exponential:5s", "fixed:30s:0.5" (with jitter), or {"type", "delay", "jitter"}.
    `keep_completed`, `keep_failed`: True keeps all, False none, a number as many, {"age", "count", "limit"} (seconds).
    `deduplication`: an id, or {"id", "ttl", "extend", "replace", "reschedule", "keepLastIfActive"} (ms).
    `parent`: {"id", "queue"}; `on_failure` says what this job's final failure does to it.
    """

    job_id: str | None
    delay_seconds: float
    priority: int
    attempts: int | None
    backoff: Backoff | Mapping[str, Any] | str | int | float | None
    lifo: bool
    keep_completed: KeepJobs | Mapping[str, int] | bool | int | None
    keep_failed: KeepJobs | Mapping[str, int] | bool | int | None
    keep_logs: int | None
    timeout_seconds: float | None
    size_limit: int | None
    stack_trace_limit: int | None
    deduplication: Deduplication | Mapping[str, Any] | str | None
    parent: Parent | Mapping[str, str] | None
    on_failure: OnFailure | None
    timestamp_ms: int | None


def build_options(given: Mapping[str, Any]) -> JobOptions:
    """Check what a caller gave; raises InvalidInput with one sentence for the first mistake."""
    unknown = [name for name in given if name not in _BUILDERS]
    if unknown:
        raise InvalidInput(
            tr(
                'Adding a job: "{value}" is no option. Options are {builders}.',
                value=unknown[0],
                builders=", ".join(sorted(_BUILDERS)),
            )
        )
    built = {}
    for name, value in given.items():
        if value is not None:
            field, build = _BUILDERS[name]
            built[field] = build(name, value)
    options = JobOptions(**built)
    if options.deduplication and options.parent:
        raise InvalidInput(tr("A job cannot have both deduplication and a parent: its parent might wait for ever."))
    if options.on_failure and not options.parent:
        raise InvalidInput(
            tr('on_failure="{on_failure}" needs a parent; give one, or leave it out.', on_failure=options.on_failure)
        )
    return options


def check_job_id(job_id: str) -> str:
    """Raises InvalidInput for an id that BullMQ could mistake for one of its own."""
    if not isinstance(job_id, str) or not job_id:
        raise InvalidInput(tr("job_id: an id is a string that is not empty. Leave it out to get one."))
    if re.fullmatch(r"-?\d+", job_id):
        raise InvalidInput(
            tr(
                'job_id "{job_id}": a number could be taken for one of the server\'s ids. Add a letter.',
                job_id=job_id[:60],
            )
        )
    if LIKE_OTHER_KEYS.fullmatch(job_id) or job_id.startswith("repeat:"):
        raise InvalidInput(
            tr(
                'job_id "{job_id}": the queue keeps something of its own under this name. Add a word to it.',
                job_id=job_id[:60],
            )
        )
    if ":" in job_id and job_id.count(":") != 2:  # BullMQ lets two pass: its old repeatable jobs
        raise InvalidInput(
            tr('job_id "{job_id}": a ":" separates the parts of a key. Use "-" or "_".', job_id=job_id[:60])
        )
    if job_id.startswith("0:"):
        raise InvalidInput(
            tr('job_id "{job_id}": an id cannot start with "0:". Start it with a letter.', job_id=job_id[:60])
        )
    try:
        size = len(job_id.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(tr("job_id: it contains half of a surrogate pair. Use whole characters.")) from error
    if size > LONGEST_ID_BYTES:
        raise InvalidInput(
            tr(
                "job_id: it has {size} bytes, {longest_id_bytes} are the limit. Use a hash of it.",
                size=size,
                longest_id_bytes=LONGEST_ID_BYTES,
            )
        )
    return job_id


def parse_backoff(name: str, value: Any) -> Backoff:
    """The `backoff` of a job: milliseconds, a text as @app.job takes it, BullMQ's mapping. Raises InvalidInput."""
    if isinstance(value, str | Backoff):
        try:
            parsed = read_backoff(value)
        except InvalidInput as error:
            raise InvalidInput(f"{name}: {error}") from error
        assert parsed is not None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        parsed = Backoff("fixed", float(value))
    elif isinstance(value, Mapping) and isinstance(value.get("type"), str):
        delay = _number(f"{name}.delay", value.get("delay", 0))
        parsed = Backoff(value["type"], delay, _number(f"{name}.jitter", value.get("jitter", 0)))
    else:
        raise InvalidInput(
            tr('{name}: give milliseconds, a text such as "exponential:5s", or {{"type", "delay"}}.', name=name)
        )
    if not 0 <= parsed.delay_ms <= LONGEST_DELAY_MS:
        raise InvalidInput(
            tr(
                "{name}: a delay of {delay_ms:g} ms is out of range; 0 to {longest_delay_ms} ms are allowed.",
                name=name,
                delay_ms=parsed.delay_ms,
                longest_delay_ms=LONGEST_DELAY_MS,
            )
        )
    if not 0 <= parsed.jitter <= 1:
        raise InvalidInput(
            tr(
                "{name}: a jitter of {jitter:g} is out of range; it is a share from 0 to 1.",
                name=name,
                jitter=parsed.jitter,
            )
        )
    return parsed


def parse_keep(name: str, value: Any) -> KeepJobs:
    if isinstance(value, KeepJobs):
        return value
    if isinstance(value, bool):
        return KeepJobs(count=None if value else 0)
    if isinstance(value, int):
        return KeepJobs(count=_whole(name, value))
    if isinstance(value, Mapping) and value and not set(value) - {"age", "count", "limit"}:
        parts = {key: _whole(f"{name}.{key}", number) for key, number in value.items()}
        return KeepJobs(parts.get("count"), parts.get("age"), parts.get("limit"))
    raise InvalidInput(
        tr('{name}: give True (all), False (none), a number of jobs, or {{"age": seconds, "count": n}}.', name=name)
    )


def _parse_deduplication(name: str, value: Any) -> Deduplication:
    if isinstance(value, str):
        value = {"id": value}
    if isinstance(value, Deduplication):
        value = value.to_wire()
    if not isinstance(value, Mapping) or not isinstance(value.get("id"), str) or not value["id"]:
        raise InvalidInput(
            tr(
                '{name}: give an id, or {{"id": …, "ttl": milliseconds}}; the id is a text that is not empty.',
                name=name,
            )
        )
    unknown = set(value) - {"id", "ttl", "extend", "replace", "reschedule", "keepLastIfActive"}
    if unknown:
        raise InvalidInput(
            tr(
                "{name}: {unknown!r} is no part of it; id, ttl, extend, replace, reschedule, keepLastIfActive are.",
                name=name,
                unknown=min(unknown),
            )
        )
    ttl = value.get("ttl")
    return Deduplication(
        value["id"],
        None if ttl is None else _whole(f"{name}.ttl", ttl),
        extend=bool(value.get("extend")),
        replace=bool(value.get("replace")),
        keep_last_if_active=bool(value.get("keepLastIfActive")),
        reschedule=bool(value.get("reschedule")),
    )


def _parse_parent(name: str, value: Any) -> Parent:
    if isinstance(value, Parent):
        return value
    parts = (value.get("id"), value.get("queue")) if isinstance(value, Mapping) else (None, None)
    if not all(isinstance(part, str) and part for part in parts):
        raise InvalidInput(tr('{name}: give {{"id": …, "queue": …}}, the parent\'s job id and its queue.', name=name))
    if LIKE_OTHER_KEYS.fullmatch(str(parts[0])):
        raise InvalidInput(
            tr(
                '{name}: "{value}" is no job, the queue keeps something of its own there.',
                name=name,
                value=str(parts[0])[:60],
            )
        )
    return Parent(*parts)  # type: ignore[arg-type]


def _parse_on_failure(name: str, value: Any) -> OnFailure:
    for allowed in get_args(OnFailure):
        if value == allowed:
            return allowed  # type: ignore[no-any-return]
    raise InvalidInput(
        tr(
            "{name}: {value!r} is none of {onfailure}.",
            name=name,
            value=value,
            onfailure=", ".join(get_args(OnFailure)),
        )
    )


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(tr("{name}: {value!r} is no number.", name=name, value=str(value)[:40]))
    return float(value)


def _whole(name: str, value: Any, *, least: int = 0, most: int = 2**53 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidInput(
            tr(
                "{name}: {value!r} is no whole number from {least} to {most}.",
                name=name,
                value=str(value)[:40],
                least=least,
                most=most,
            )
        )
    return value


def _milliseconds(name: str, value: Any) -> int:
    seconds = _number(name, value)
    if not 0 <= seconds * 1000 <= LONGEST_DELAY_MS:
        raise InvalidInput(
            tr(
                "{name}: {seconds:g} s is out of range; 0 to {value} s are allowed.",
                name=name,
                seconds=seconds,
                value=LONGEST_DELAY_MS // 1000,
            )
        )
    return round(seconds * 1000)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(tr("{name}: {value!r} is neither True nor False.", name=name, value=str(value)[:40]))
    return value


_BUILDERS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "job_id": ("job_id", lambda _, value: check_job_id(value)),
    "delay_seconds": ("delay_ms", _milliseconds),
    "priority": ("priority", lambda name, value: _whole(name, value, most=HIGHEST_PRIORITY_NUMBER)),
    "attempts": ("attempts", lambda name, value: _whole(name, value, least=1)),
    "backoff": ("backoff", parse_backoff),
    "lifo": ("lifo", _flag),
    "keep_completed": ("keep_completed", parse_keep),
    "keep_failed": ("keep_failed", parse_keep),
    "keep_logs": ("keep_logs", _whole),
    "timeout_seconds": ("timeout_ms", _milliseconds),
    "size_limit": ("size_limit", _whole),
    "stack_trace_limit": ("stack_trace_limit", _whole),
    "deduplication": ("deduplication", _parse_deduplication),
    "parent": ("parent", _parse_parent),
    "on_failure": ("on_failure", _parse_on_failure),
    "timestamp_ms": ("timestamp_ms", _whole),
}
