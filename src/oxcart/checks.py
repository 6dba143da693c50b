"""What is a diagnostic check, and what can it find? One `Check(...)` record each; doctor/run.py runs them in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from oxcart.errors import Failure, Kind

Context = TypeVar("Context")

PAGE = "docs/doctor.md"

# What a failed check ends the command with (docs/cli.md); they are sysexits.h's.
FAILS, UNREACHABLE, BAD_SETTINGS = 1, 69, 78


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"  # works now; someone should look this week
    FAILED = "failed"
    SKIPPED = "skipped"  # says nothing about what was to be checked
    CRASHED = "crashed"  # the check itself has a bug


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw. `evidence` is the observation, `hint` the exact step to take; neither holds a secret.

    A warning or failure has a `code` with a section in docs/doctor.md, and a `summary` in one sentence; `retryable` is
    whether trying again helps; `raw` is the foreign error behind it, shown on demand. `quiet`: not worth a line,
    unless someone asks for every line.
    """

    state: State
    evidence: str
    hint: str = ""
    code: str = ""
    summary: str = ""
    retryable: bool = False
    raw: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Check(Generic[Context]):
    """`id` is stable; `title` is a claim that holds when all is well; `matters` is why jobs depend on it.

    It is skipped when a check that it `needs` has failed, or was skipped for such a cause; those that it comes `after`
    it only wants to have been tried. `exit_code` is what its failure ends the command with.
    """

    id: str
    group: str
    title: str
    run: Callable[[Context], Awaitable[Finding]]
    matters: str
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    deadline_seconds: float = 10.0
    exit_code: int = FAILS


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one thing that is wrong: the cause, not what follows from it. `retryable`: it may pass by itself.

    `doubt` is what else looks like this from here, and what would tell the two apart; empty for what is certain.
    """

    id: str
    summary: str
    action: str
    retryable: bool
    doubt: str = ""


class Unanswerable(Exception):  # noqa: N818 - no error: the check cannot say anything here
    """Raise in a check to have it skipped, with the reason as half a sentence: "this server has no INFO"."""


class NotApplicable(Unanswerable):
    """As Unanswerable, where there is nothing to be checked: a person is not told unless they ask."""


def ok(evidence: str) -> Finding:
    return Finding(State.OK, evidence)


def warning(code: str, summary: str, hint: str, *, evidence: str = "", raw: str = "") -> Finding:
    return Finding(State.WARNING, evidence or summary, hint, code, summary, raw=raw)


def failed(
    code: str, summary: str, hint: str, *, evidence: str = "", retryable: bool = False, raw: str = ""
) -> Finding:
    return Finding(State.FAILED, evidence or summary, hint, code, summary, retryable, raw)


def failed_by(failure: Failure, *, evidence: str = "", raw: str = "") -> Finding:
    """The finding for a failure of the connection's table. `retryable`: whether that helps."""
    again = may_pass(failure.kind)
    return failed(failure.code, failure.summary, failure.advice, evidence=evidence, retryable=again, raw=raw)


def may_pass(kind: Kind) -> bool:
    """Whether a failure of this kind may pass by itself: the one answer that doctor and verify give."""
    return kind not in {Kind.CONFIGURATION, Kind.PERMANENT}


def anchor(name: str) -> str:
    """Where docs/doctor.md explains a check or a code."""
    return f"{PAGE}#{name.lower()}"
