"""In which order do checks run, what stops what, and what becomes of one that hangs or has a bug?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from oxcart.checks import Check, Finding, NotApplicable, State, Unanswerable, failed, ok, warning
from oxcart.connection.target import RedisTarget
from oxcart.doctor.report import Lines, to_json
from oxcart.doctor.run import Diagnosis, choose, first_cause, named, raw_text, run_checks
from oxcart.errors import InvalidInput
from oxcart.secret import Secret

TARGET = RedisTarget("db.example.com", password=Secret("sesame-1234"))


async def good(_: object) -> Finding:
    return ok("seen")


async def bad(_: object) -> Finding:
    return failed("BAD", "It is bad.", "Mend it.")


async def odd(_: object) -> Finding:
    return warning("ODD", "It is odd.", "Look at it.")


async def mute(_: object) -> Finding:
    raise Unanswerable("nobody tells")


async def hung(_: object) -> Finding:
    await asyncio.Event().wait()
    raise AssertionError


async def buggy(_: object) -> Finding:
    raise KeyError("sesame-1234")


def check(
    name: str, run: Callable[[object], Awaitable[Finding]], *needs: str, deadline_seconds: float = 5
) -> Check[object]:
    return Check(name, "group", f"{name} is well", run, "", needs, deadline_seconds=deadline_seconds)


async def states(*checks: Check[object], left_out: frozenset[str] = frozenset()) -> dict[str, tuple[State, str]]:
    results = await run_checks(checks, object(), target=lambda: TARGET, left_out=left_out)
    return {result.check.id: (result.finding.state, result.finding.evidence) for result in results}


async def test_what_needs_a_failed_check_is_skipped_with_the_reason_and_so_on_down() -> None:
    seen = await states(check("a", bad), check("b", good, "a"), check("c", good, "b"), check("d", good))

    assert seen["b"] == seen["c"] == (State.SKIPPED, "because a failed")
    assert seen["d"][0] is State.OK


async def test_a_warning_and_a_check_that_cannot_say_anything_stop_nothing() -> None:
    seen = await states(check("a", odd), check("b", mute), check("c", good, "a", "b"))

    assert seen["b"] == (State.SKIPPED, "nobody tells")
    assert seen["c"][0] is State.OK


async def test_a_check_that_is_left_out_stops_nothing() -> None:
    seen = await states(check("a", bad), check("b", good, "a"), left_out=frozenset({"a"}))

    assert seen["a"][0] is State.SKIPPED
    assert seen["b"][0] is State.OK


async def test_a_check_that_hangs_ends_by_its_own_deadline() -> None:
    results = await run_checks([check("a", hung, deadline_seconds=0.05)], object(), target=lambda: TARGET)

    assert results[0].finding.code == "READ_TIMEOUT"


async def test_a_bug_in_a_check_is_told_without_a_traceback_or_a_secret() -> None:
    results = await run_checks([check("a", buggy), check("b", good)], object(), target=lambda: TARGET)
    diagnosis = Diagnosis(results, first_cause(results))

    told = str(to_json(diagnosis)) + "\n".join(
        line.text for result in results for line in Lines(verbose=True).add(result)
    )

    assert [result.finding.state for result in results] == [State.CRASHED, State.OK]
    assert diagnosis.verdict is not None
    assert diagnosis.verdict.id == "CHECK_CRASHED"
    assert "sesame" not in told
    assert "Traceback" not in told


async def test_a_failure_is_the_verdict_before_a_crash() -> None:
    results = await run_checks([check("a", buggy), check("b", bad)], object(), target=lambda: None)

    verdict = first_cause(results)

    assert verdict is not None
    assert verdict.id == "BAD"


def test_a_choice_brings_what_it_needs_in_order() -> None:
    checks = [check("a", good), check("b", good, "a"), check("c", good), check("d", good, "b")]

    assert [chosen.id for chosen in choose(checks, ["d"])] == ["a", "b", "d"]


def test_an_unknown_check_is_refused_with_a_guess() -> None:
    with pytest.raises(InvalidInput, match="Did you mean latency"):
        named([check("latency", good)], ["latencie"])


async def test_what_does_not_apply_is_shown_only_on_request() -> None:
    async def elsewhere(_: object) -> Finding:
        raise NotApplicable("not on this planet")

    results = await run_checks([check("a", elsewhere)], object(), target=lambda: None)

    assert list(Lines().add(results[0])) == []
    assert any("not on this planet" in line.text for line in Lines(verbose=True).add(results[0]))


async def test_an_error_that_came_from_itself_is_told_once() -> None:
    """Python links errors in a ring when a library raises one again that it had caught beside another; a connection
    that was reset under load did, and the doctor went round it for ever, past every deadline.
    """
    first, second = ConnectionResetError(104, "reset"), OSError(111, "refused")
    first.__context__, second.__context__ = second, first

    told = raw_text(first, TARGET)

    assert told == "ConnectionResetError: [Errno 104] reset <- ConnectionRefusedError: [Errno 111] refused"
