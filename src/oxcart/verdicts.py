"""How can an attempt end? A verdict is a value: the attempt decides, the exchange writes (docs/decisions.md, 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned. `returnvalue` is JSON text, as Node reads it."""

    returnvalue: bytes


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The handler failed and attempts are left. `delay_ms` 0 puts the job back at once.

    `stacktrace` is the whole JSON array that the job's hash gets.
    """

    reason: str
    stacktrace: bytes
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler failed for good: a dead letter. `stacktrace` as in RetryLater; None leaves it as it is."""

    reason: str
    stacktrace: bytes | None


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The handler asked to run again later; no attempt is used."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class WaitingForChildren:
    """The handler parked the job until its children have finished; no attempt is used."""


@dataclass(frozen=True, slots=True)
class RateLimitedFor:
    """The handler found the queue's resource exhausted: the queue stops for a while, the job goes back."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A shutdown cut the attempt short, or it never began: the job goes back to the head, nothing is used."""


@dataclass(frozen=True, slots=True)
class GivenBack(Interrupted):
    """The handler has given the job back: it goes to the head, nothing is used."""


@dataclass(frozen=True, slots=True)
class Returned:
    """It could not begin here and now: the job goes back with a delay, nothing is used."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Another claim of this job exists: write nothing."""


Verdict: TypeAlias = (
    Completed | RetryLater | Failed | Snoozed | WaitingForChildren | RateLimitedFor | Interrupted | Returned | Abandoned
)
