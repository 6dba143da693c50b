"""How are checks run? In order, each with a deadline; what needs a failed one is skipped, and a bug is no traceback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from redis.exceptions import RedisError

from oxcart.checks import FAILS, Check, Finding, NotApplicable, State, Unanswerable, Verdict, failed_by
from oxcart.connection.failures import classify, failure_for, scrub
from oxcart.connection.target import RedisTarget
from oxcart.errors import InvalidInput, OxcartError, ServerRefused, SettingsError, Unavailable
from oxcart.language import tr

Context = TypeVar("Context")

CRASHED = "CHECK_CRASHED"
_BAD = frozenset({State.FAILED, State.CRASHED})
_RAW_LINKS = 4


@dataclass(frozen=True, slots=True)
class Result:
    """One check and what it found."""

    check: Check[object]
    finding: Finding
    duration_ms: int

    @property
    def is_bad(self) -> bool:
        return self.finding.state in _BAD


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every result in order; `verdict` is None exactly when no check failed or crashed."""

    results: tuple[Result, ...]
    verdict: Verdict | None

    @property
    def ok(self) -> bool:
        return self.verdict is None

    @property
    def exit_code(self) -> int:
        """That of the first check that failed: it is nearest to the cause."""
        otherwise = 0 if self.verdict is None else FAILS
        return next((result.check.exit_code for result in self.results if result.is_bad), otherwise)

    def has(self, state: State) -> bool:
        return any(result.finding.state is state for result in self.results)


def choose(checks: Sequence[Check[Context]], only: Sequence[str]) -> list[Check[Context]]:
    """The checks with these ids or groups, and what they need, in order; all of them if `only` is empty.

    Raises InvalidInput for a name that is neither.
    """
    names = named(checks, only)
    if not names:
        return list(checks)
    by_id = {check.id: check for check in checks}
    waiting = list(names)
    while waiting:
        check = by_id[waiting.pop()]
        more = {*check.needs, *check.after} - names
        names |= more
        waiting += more
    return [check for check in checks if check.id in names]


def named(checks: Iterable[Check[Context]], given: Sequence[str]) -> set[str]:
    """Ids of the checks that these ids and groups name. Raises InvalidInput with a guess."""
    import difflib

    known = {check.id: {check.id} for check in checks}
    for check in checks:
        known.setdefault(check.group, set()).add(check.id)
    found: set[str] = set()
    for name in given:
        if name not in known:
            guesses = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            guess = tr(" Did you mean {guess}?", guess=guesses[0]) if guesses else ""
            raise InvalidInput(
                tr(
                    'There is no check or group "{name}".{guess} oxcart doctor --list shows them all.',
                    name=name,
                    guess=guess,
                )
            )
        found |= known[name]
    return found


async def run_checks(
    checks: Sequence[Check[Context]],
    context: Context,
    *,
    target: Callable[[], RedisTarget | None],
    left_out: frozenset[str] = frozenset(),
    on_result: Callable[[Result], None] = lambda _: None,
) -> tuple[Result, ...]:
    """Run them one after the other. What needs a failed check is skipped, and so is what needs that; a check that
    could not say anything, or is in `left_out`, stops nothing.

    `target` gives the Redis that raw errors are about, as soon as it is known: its password is taken out of them.
    """
    blocked: dict[str, str] = {}
    results = []
    for check in checks:
        began = time.monotonic()
        reason = next((blocked[need] for need in check.needs if need in blocked), None)
        if check.id in left_out:
            finding = Finding(State.SKIPPED, tr("left out on request (--skip)"))
        elif reason is not None:
            finding = Finding(State.SKIPPED, reason)
            blocked[check.id] = reason
        else:
            finding = await _run(check, context, target)
        result = Result(check, finding, round((time.monotonic() - began) * 1000))  # type: ignore[arg-type]
        if result.is_bad:
            blocked[check.id] = because_of(result)
        results.append(result)
        on_result(result)
    return tuple(results)


def because_of(result: Result) -> str:
    """Why a check that needs this one was skipped."""
    if result.finding.state is State.CRASHED:
        return tr("because {check} crashed", check=result.check.id)
    return tr("because {check} failed", check=result.check.id)


async def _run(check: Check[Context], context: Context, target: Callable[[], RedisTarget | None]) -> Finding:
    try:
        async with asyncio.timeout(check.deadline_seconds) as limit:
            return await check.run(context)
    except Unanswerable as reason:
        return Finding(State.SKIPPED, str(reason), quiet=isinstance(reason, NotApplicable))
    except (Unavailable, ServerRefused) as error:
        return failed_by(error.failure, evidence=error.failure.summary, raw=raw_text(error, target()))
    except SettingsError as error:
        text = scrub(" ".join(error.problems), target())
        return Finding(State.FAILED, text, tr("Correct what the sentence names."), "SETTINGS_PROBLEM", text)
    except TimeoutError as error:
        if not limit.expired():
            return failed_by(classify(error, target=target()), raw=raw_text(error, target()))
        failure = failure_for("READ_TIMEOUT", target())
        return failed_by(failure, evidence=tr("no end after {seconds:g} s", seconds=check.deadline_seconds))
    except (RedisError, OSError) as error:
        return failed_by(classify(error, target=target()), raw=raw_text(error, target()))
    except OxcartError as error:
        text = scrub(str(error), target())
        return Finding(State.FAILED, text, tr("Run oxcart doctor -v, and report what it shows."), CRASHED, text)
    except Exception as error:  # noqa: BLE001 - one check with a bug must not hide what the others see
        return _crashed(error, target())


def _crashed(error: Exception, target: RedisTarget | None) -> Finding:
    kind = type(error).__name__
    summary = tr("The check itself met an error that it did not expect ({kind}).", kind=kind)
    hint = tr("Please report it in the project's issue tracker, with the output of oxcart doctor --report -v.")
    return Finding(State.CRASHED, kind, hint, CRASHED, summary, raw=raw_text(error, target))


def raw_text(error: BaseException, target: RedisTarget | None) -> str:
    """The error and what it came from, one after the other, without arguments of commands and the password."""
    parts: list[str] = []
    link: BaseException | None = error.__cause__ if isinstance(error, OxcartError) and error.__cause__ else error
    seen = set[int]()  # an error that was raised again may have come from itself
    while link is not None and len(parts) < _RAW_LINKS and id(link) not in seen:
        seen.add(id(link))
        text = f"{type(link).__name__}: {scrub(str(link), target)}".rstrip(": ")
        if text not in parts:
            parts.append(text)
        link = link.__cause__ or link.__context__
    return " <- ".join(" ".join(part.split())[:300] for part in parts)


def nothing_checked(results: Sequence[Result], wanted: Collection[str]) -> Verdict | None:
    """Of these checks, or of all, none had anything to look at: that is no good news. None: some had."""
    asked = [result for result in results if not wanted or result.check.id in wanted]
    if any(result.finding.state is not State.SKIPPED for result in asked):
        return None
    reasons = dict.fromkeys(result.finding.evidence for result in asked)
    summary = tr("Nothing was looked at: {reasons}.", reasons="; ".join(reasons))
    cure = tr("Set up what these checks are about, or run oxcart doctor without --only and --skip.")
    return Verdict("NOTHING_CHECKED", summary, cure, retryable=False)


def first_cause(results: Sequence[Result]) -> Verdict | None:
    """The first failure is the cause: what depends on it was skipped. A crash counts if nothing has failed."""
    bad = [result for result in results if result.is_bad]
    first = next((result for result in bad if result.finding.state is State.FAILED), bad[0] if bad else None)
    if first is None:
        return None
    finding = first.finding
    return Verdict(finding.code, finding.summary, finding.hint, finding.retryable)
