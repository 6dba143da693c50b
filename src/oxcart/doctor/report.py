"""How is a diagnosis told? As JSON for programs, as lines for a person, as a block to paste into an issue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from oxcart.checks import State, Verdict, anchor
from oxcart.doctor.run import Diagnosis, Result, because_of
from oxcart.language import tr

SCHEMA = 1

SYMBOLS = {State.OK: "✓", State.WARNING: "!", State.FAILED: "✗", State.SKIPPED: "-", State.CRASHED: "☠"}
PLAIN_SYMBOLS = {State.OK: "ok", State.WARNING: "!!", State.FAILED: "NO", State.SKIPPED: "--", State.CRASHED: "??"}
_GREEN, _YELLOW, _RED, _BOLD, _DIM = "32", "33", "31", "1", "2"
_BOLD_RED, _BOLD_GREEN, _BOLD_YELLOW, _BOLD_MAGENTA = "1;31", "1;32", "1;33", "1;35"
_STYLES = {
    State.OK: _GREEN,
    State.WARNING: _YELLOW,
    State.FAILED: _BOLD_RED,
    State.SKIPPED: _DIM,
    State.CRASHED: _BOLD_MAGENTA,
}


class Line(NamedTuple):
    """One line; `sgr` is its style as a terminal takes it; it goes on at column `hang` if the terminal is narrow."""

    text: str
    sgr: str = ""
    hang: int = 6


_BLANK = Line("")
_LABEL_WIDTH = 18


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    verdict = diagnosis.verdict
    return {
        "schema": SCHEMA,
        "ok": diagnosis.ok,
        "verdict": None if verdict is None else _verdict_as_json(verdict),
        "checks": [_as_json(result) for result in diagnosis.results],
    }


def _verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    again = {"retryable": verdict.retryable, "doubt": verdict.doubt or None}
    return {"id": verdict.id, "summary": verdict.summary, "action": verdict.action, **again}


def _as_json(result: Result) -> dict[str, Any]:
    check, finding = result.check, result.finding
    return {
        "id": check.id,
        "group": check.group,
        "title": tr(check.title),
        "state": finding.state.value,
        "evidence": finding.evidence,
        "hint": finding.hint,
        "docs": anchor(finding.code or check.id),
        "durationMs": result.duration_ms,
    }


class Lines:
    """Makes lines of results as they come: a heading for each group; what was skipped for a failure is only counted."""

    def __init__(self, *, verbose: bool = False, unicode: bool = True, wide: int = 38) -> None:
        self._verbose = verbose
        self._symbols = SYMBOLS if unicode else PLAIN_SYMBOLS
        self._wide = wide
        self._group = ""
        self._causes: list[str] = []
        self._skipped = 0

    def add(self, result: Result) -> Iterator[Line]:
        finding = result.finding
        if not self._verbose and finding.state is State.SKIPPED and (finding.quiet or finding.evidence in self._causes):
            self._skipped += not finding.quiet
            return
        if result.is_bad:
            self._causes.append(because_of(result))
        yield from self._heading(result)
        yield from self._lines_of(result)

    def flush(self) -> Iterator[Line]:
        """What was held back; call it at the end."""
        if self._skipped:
            yield _BLANK
            symbol = self._symbols[State.SKIPPED]
            told = tr("{count} checks that need these were skipped (-v lists them)", count=self._skipped)
            yield Line(f"{symbol} {told}", _DIM)

    def _heading(self, result: Result) -> Iterator[Line]:
        if result.check.group != self._group:
            if self._group:
                yield _BLANK
            self._group = result.check.group
            yield Line(tr(self._group), _BOLD)

    def _lines_of(self, result: Result) -> Iterator[Line]:
        check, finding = result.check, result.finding
        took = (
            f"  [{tr('{count} ms', count=result.duration_ms)}]"
            if self._verbose and finding.state is not State.SKIPPED
            else ""
        )
        evidence = f"  {finding.evidence}" if finding.evidence else ""
        told = f"  {self._symbols[finding.state]} {tr(check.title):<{self._wide}}{evidence}{took}".rstrip()
        yield Line(told, _STYLES[finding.state], self._wide + 6)
        if finding.state is State.WARNING or (result.is_bad and self._verbose):
            if finding.hint:
                yield Line(f"      {finding.hint}")
            yield Line(f"      oxcart explain {finding.code}", _DIM)
        if finding.raw and self._verbose:
            yield Line(f"      {tr('raw')}: {finding.raw}", _DIM, 11)


def conclusion(diagnosis: Diagnosis) -> Iterator[Line]:
    """What to do, at the end, where the eye is; then what else failed."""
    counts = {state: sum(result.finding.state is state for result in diagnosis.results) for state in State}
    verdict = diagnosis.verdict
    yield _BLANK
    if verdict is None:
        yield from _no_failure(diagnosis, counts)
        return
    cause = next((result for result in diagnosis.results if result.is_bad), None)
    yield Line(f"{verdict.id}: {verdict.summary}", _BOLD_RED, 2)
    if cause is not None and cause.check.matters:
        yield _labelled(tr("Why it matters"), tr(cause.check.matters))
    yield _labelled(tr("What to do"), verdict.action, _BOLD)
    again = (
        tr("may pass by itself; the worker goes on trying")
        if verdict.retryable
        else tr("does not help, change it first")
    )
    yield _labelled(tr("Trying again"), again)
    if verdict.doubt:
        yield _labelled(tr("Not certain"), verdict.doubt)
    yield _labelled(tr("More"), f"oxcart explain {verdict.id}")
    yield from _others(diagnosis, verdict, cause)


def _no_failure(diagnosis: Diagnosis, counts: Mapping[State, int]) -> Iterator[Line]:
    """Only what has no warning either is well."""
    codes = dict.fromkeys(r.finding.code for r in diagnosis.results if r.finding.state is State.WARNING)
    if codes:
        told = tr("No check failed, but see the warnings: {codes}.", codes=", ".join(codes))
        yield Line(told, _BOLD_YELLOW, 2)
    else:
        yield Line(tr("All is well: {count} checks ok.", count=counts[State.OK]), _BOLD_GREEN)


def _others(diagnosis: Diagnosis, verdict: Verdict, cause: Result | None) -> Iterator[Line]:
    for result in diagnosis.results:
        finding = result.finding
        if result.is_bad and result is not cause and finding.code != verdict.id:
            yield _BLANK
            yield Line(tr("Also {code}: {summary}", code=finding.code, summary=finding.summary), _RED, 2)
            yield _labelled(tr("What to do"), finding.hint)


def _labelled(label: str, text: str, style: str = "") -> Line:
    return Line(f"  {label:<{_LABEL_WIDTH - 2}}{text}", style, _LABEL_WIDTH)


def to_paste(diagnosis: Diagnosis, facts: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Markdown without host names and secrets: `facts` are about the installation, and as harmless."""
    verdict = diagnosis.verdict
    yield "### oxcart doctor"
    yield ""
    for name, value in facts:
        yield f"- {name}: {value}"
    yield f"- verdict: {verdict.id if verdict else 'none, all is well'}"
    yield ""
    yield "| check | state | code | ms | evidence |"
    yield "|---|---|---|---|---|"
    for result in diagnosis.results:
        finding = result.finding
        seen = finding.raw if finding.raw and result.is_bad else finding.evidence
        cell = " ".join(seen.split()).replace("|", "\\|")
        yield f"| {result.check.id} | {finding.state} | {finding.code} | {result.duration_ms} | {cell} |"
