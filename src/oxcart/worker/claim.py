"""What do we know of a job that we hold? A claim (id, token, ats, processedOn) and the fields that came with it."""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.handlers import HandlerSpec
from oxcart.protocol.codec import LARGEST_INTEGER
from oxcart.protocol.exchange import ClaimedRun
from oxcart.protocol.job_options import JobOptions, read_options, repeat_key
from oxcart.protocol.suspects import STALLED_TOO_OFTEN, Trial, read_trial


@dataclass(frozen=True, slots=True)
class Shared:
    """What jobs that were claimed alike have in common; most of what a claim is.

    `stalls`: how often this one has lost its worker since a handler of it last ended. `given_up`: a stalled check says
    that it shall fail for that. Such a job is a suspect, and apart.py decides.
    """

    token: str
    ats: int
    processed_on_ms: int
    name: str
    options: JobOptions
    raw_options: bytes
    atm: int
    priority: int
    fields: int
    scheduler_id: str | None = None
    parent_key: str | None = None
    deferred_failure: str | None = None
    stacktrace: bytes | None = None
    stalls: int = 0
    trial: Trial | None = None
    given_up: bool = False

    @property
    def is_suspect(self) -> bool:
        return self.deferred_failure is None and (self.stalls > 0 or self.given_up)


class Claim:
    """One job in our hands, and the right to write its end (docs/decisions.md, 6)."""

    __slots__ = ("data", "job_id", "shared", "timestamp_ms")

    def __init__(self, job_id: bytes, data: bytes, timestamp_ms: int, shared: Shared) -> None:
        self.job_id = job_id
        self.data = data
        self.timestamp_ms = timestamp_ms
        self.shared = shared

    @property
    def name(self) -> str:
        return self.shared.name

    @property
    def options(self) -> JobOptions:
        return self.shared.options


_NO_REST = (None, None, None, None, None, None)


def read_claims(run: ClaimedRun, token: str, processed_on_ms: int) -> list[Claim]:
    """The jobs of one run. A field that cannot be read counts as absent: the job must stay finishable."""
    scheduler, parent, deferred, stacktrace, stalls, trial = run.rest or _NO_REST
    options = read_options(run.opts or b"")
    deferred_failure = _text(deferred)
    given_up = deferred_failure == STALLED_TOO_OFTEN
    shared = Shared(
        token,
        run.ats,
        processed_on_ms,
        run.name.decode("utf-8", "replace"),
        options,
        run.opts or b"{}",
        _int(run.atm),
        _int(run.priority),
        run.fields,
        _text(scheduler) or repeat_key(options.other),
        _text(parent),
        None if given_up else deferred_failure,
        stacktrace,
        _int(stalls),
        read_trial(_text(trial)),
        given_up,
    )
    values = iter(run.jobs)
    return [
        Claim(job_id, data or b"{}", _int(timestamp), shared)  # type: ignore[arg-type]  # a job without an id is none
        for job_id, data, timestamp in zip(values, values, values, strict=True)
    ]


def _int(value: bytes | None) -> int:
    """Bounded, for it goes back with the verdict: MessagePack ends at 64 bits, Lua's integers at 53."""
    try:
        return max(-LARGEST_INTEGER, min(LARGEST_INTEGER, int(value))) if value else 0
    except ValueError:
        return 0


def _text(value: bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if value else None


def attempts_allowed(claim: Claim, spec: HandlerSpec | None) -> int:
    """The job's own number, else the decorator's, else one."""
    return claim.options.attempts or (spec.attempts if spec and spec.attempts else 1)
