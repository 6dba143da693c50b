"""How does one job become bytes, and which script adds it? Prepares and checks jobs; no connection here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import NoneType
from typing import Any, TypeAlias

from oxcart import clock
from oxcart.errors import InvalidInput, JobNotFound, OxcartError, PayloadTooLarge, StateConflict
from oxcart.protocol import codec
from oxcart.protocol.job_options import JobOptions, Parent
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import ScriptCall, adding, ours
from oxcart.queue.options import build_options

JobItem: TypeAlias = tuple[str, Any] | tuple[str, Any, Mapping[str, Any]]
"""(name, data) or (name, data, options), the options being those of `Queue.add`."""

NO_DATA: Mapping[str, Any] = {}
"""What a job has whose caller gave nothing: BullMQ's empty object."""

LARGEST_JOB_BYTES = 10_000_000 - 65_536
"""Upstash refuses requests above 10 MB; what remains is for keys and framing."""

CHUNK_JOBS = 500
CHUNK_BYTES = 1024 * 1024
"""One script call blocks the server: about 10 ms for this much."""

_DEFAULT_OPTIONS = JobOptions()
_DEFAULT_OPTS = codec.encode(_DEFAULT_OPTIONS.to_wire())
_SIMPLE = frozenset({bool, int, float, str, NoneType})
_LONGEST_KEPT = 200
_MISSING_PARENT, _PARENT_TAKEN = -5, -7


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job ready to be sent. `data` and `opts` are JSON text; `size` is what it adds to a request, in bytes."""

    id: str
    name: str
    data: bytes = field(repr=False)
    opts: bytes = field(repr=False)
    options: JobOptions
    timestamp_ms: int
    size: int

    @property
    def is_plain(self) -> bool:
        """True if add_many.lua can add it: nobody waits for it, and it replaces nobody."""
        return self.options.parent is None and self.options.deduplication is None


def make_job_id() -> str:
    """A new id, ordered by time. It starts with a letter: a number could be one of the server's own."""
    return f"ox{clock.now_ms():011x}{clock.random_bytes(8).hex()}"


def prepare(keys: QueueKeys, name: str, data: Any, given: Mapping[str, Any], now_ms: int) -> NewJob:
    """Check and encode one job. Raises InvalidInput, or PayloadTooLarge with both sizes."""
    if not isinstance(name, str) or not name:
        raise InvalidInput("Adding a job: its name is a string that is not empty.")
    try:
        name_bytes = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput("Adding a job: its name contains half of a surrogate pair. Use whole characters.") from error
    options, opts = _read(keys, given) if given else (_DEFAULT_OPTIONS, _DEFAULT_OPTS)
    text = codec.encode(data)
    size = name_bytes + len(text) + len(opts)
    _check_size(f'Adding "{name[:60]}" to queue {keys.name}: the job', size, LARGEST_JOB_BYTES)
    if options.size_limit:
        _check_size(f'Adding "{name[:60]}" to queue {keys.name}: the data', len(text), options.size_limit)
    return NewJob(options.job_id or make_job_id(), name, text, opts, options, options.timestamp_ms or now_ms, size)


def prepare_all(keys: QueueKeys, items: Iterable[JobItem], defaults: Mapping[str, Any], now_ms: int) -> list[NewJob]:
    """Raises InvalidInput or PayloadTooLarge, naming the item."""
    jobs: list[NewJob] = []
    for position, item in enumerate(items):
        try:
            name, data, *options = item
            given = {**defaults, **(options[0] if options else {})}
            jobs.append(prepare(keys, name, data, given, now_ms))
        except PayloadTooLarge as error:
            raise PayloadTooLarge(f"Item {position}: {error}") from error
        except InvalidInput as error:
            raise InvalidInput(f"Item {position}: {error}") from error
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"Item {position}: give (name, data) or (name, data, options).") from error
    return jobs


def _read(keys: QueueKeys, given: Mapping[str, Any]) -> tuple[JobOptions, bytes]:
    """The options and their JSON text. Most programs give the same few again and again: those are read once."""
    kinds = tuple(map(type, given.values()))
    if _SIMPLE.issuperset(kinds) and "job_id" not in given and not (str in kinds and _has_long_text(given)):
        return _read_once(tuple(given.items()), kinds)
    options = _qualified(keys, build_options(given))
    return options, codec.encode(options.to_wire(), "options")


def _has_long_text(given: Mapping[str, Any]) -> bool:
    """What is kept must stay small, whoever the caller passes texts on from."""
    return any(isinstance(value, str) and len(value) > _LONGEST_KEPT for value in given.values())


@lru_cache(maxsize=256)
def _read_once(given: tuple[tuple[str, Any], ...], _kinds: tuple[type, ...]) -> tuple[JobOptions, bytes]:
    """`_kinds` tells True from 1, which are equal and mean different things."""
    options = build_options(dict(given))
    return options, codec.encode(options.to_wire(), "options")


def _check_size(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise PayloadTooLarge(
            f"{what} takes {size} bytes, {limit} are the limit. Store the data elsewhere and add where to find it."
        )


def _qualified(keys: QueueKeys, options: JobOptions) -> JobOptions:
    """A parent's queue without prefix is one beside ours."""
    parent = options.parent
    if parent is None or ":" in parent.queue:
        return options
    return replace(options, parent=Parent(parent.id, f"{keys.prefix}:{parent.queue}"))


def many_call(keys: QueueKeys, jobs: Sequence[NewJob]) -> ScriptCall:
    """All of `jobs`, which are plain, in one call of our own script."""
    values: list[Any] = []
    for job in jobs:
        options = job.options
        values += (
            job.id,
            job.name,
            job.data,
            job.opts,
            job.timestamp_ms,
            options.delay_ms,
            options.priority,
            options.lifo,
        )
    return ScriptCall(
        ours("add_many"),
        (
            keys.wait,
            keys.paused,
            keys.meta,
            keys.id,
            keys.delayed,
            keys.prioritized,
            keys.active,
            keys.events,
            keys.marker,
            keys.pc,
        ),
        (keys.base, codec.pack(values)),
    )


def upstream_call(keys: QueueKeys, job: NewJob, *, waits_for_children: bool = False) -> ScriptCall:
    """One job in one call of the script of BullMQ that its options ask for; answers as scripts.adding says."""
    args = (_packed_arguments(keys, job), job.data, codec.pack(codec.decode(job.opts)))
    if waits_for_children:
        named = (keys.meta, keys.id, keys.delayed, keys.waiting_children, keys.completed, keys.events)
        return ScriptCall(adding("addParentJob"), named, args)
    if job.options.delay_ms:
        named = (keys.marker, keys.meta, keys.id, keys.delayed, keys.completed, keys.events)
        return ScriptCall(adding("addDelayedJob"), named, args)
    if job.options.priority:
        return ScriptCall(
            adding("addPrioritizedJob"),
            (
                keys.marker,
                keys.meta,
                keys.id,
                keys.prioritized,
                keys.delayed,
                keys.completed,
                keys.active,
                keys.events,
                keys.pc,
            ),
            args,
        )
    return ScriptCall(
        adding("addStandardJob"),
        (
            keys.wait,
            keys.paused,
            keys.meta,
            keys.id,
            keys.completed,
            keys.delayed,
            keys.active,
            keys.events,
            keys.marker,
        ),
        args,
    )


def reschedule_call(keys: QueueKeys, job: NewJob) -> ScriptCall | None:
    """What to send behind the add script of a deduplicated job that is to move the one before it."""
    wanted = job.options.deduplication
    if wanted is None or not wanted.reschedule or wanted.replace:
        return None
    named = (keys.deduplication(wanted.id), keys.delayed, keys.meta, keys.marker, keys.events)
    args = (keys.base, job.id, job.options.delay_ms, job.timestamp_ms)
    return ScriptCall(ours("reschedule"), named, args, repeatable=True)


def _packed_arguments(keys: QueueKeys, job: NewJob) -> bytes:
    """The nine values that BullMQ's add scripts unpack first; addStandardJob-9.lua lists them."""
    parent, deduplication = job.options.parent, job.options.deduplication
    reference = None
    if parent:
        wire = job.options.to_wire()
        flags = {short: True for short in ("fpof", "cpof", "idof", "rdof") if wire.get(short)}
        reference = {"id": parent.id, "queueKey": parent.queue, **flags}
    return codec.pack(
        [
            keys.base,
            job.id,
            job.name,
            job.timestamp_ms,
            parent.key if parent else None,
            f"{parent.key}:dependencies" if parent else None,
            reference,
            None,
            keys.deduplication(deduplication.id) if deduplication else None,
        ]
    )


def refusal(doing: str, job: NewJob, code: int) -> OxcartError:
    """The error for a negative answer of an add script."""
    parent = job.options.parent.key if job.options.parent else "?"
    if code == _MISSING_PARENT:
        return JobNotFound(f"{doing}: its parent {parent} does not exist. Add the parent first, or add both as a flow.")
    if code == _PARENT_TAKEN:
        return StateConflict(
            f"{doing}: a job {job.id} exists and has another parent than {parent}. Use another job_id."
        )
    return OxcartError(f"{doing}: the server answered code {code}, which this version does not know. Update oxcart.")
