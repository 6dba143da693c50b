"""Is the simulation to be trusted? A seed is one history, time jumps, the dead stay dead, and it can fail."""

from __future__ import annotations

import asyncio
import contextvars
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from simulation.checker import PROMISES, check
from simulation.fleet import run_in
from simulation.history import History
from simulation.loop import Actor, SimEvent, SimThread, VirtualLoop
from simulation.planting import PLANTED
from simulation.proof import PAGE, page, read_figures
from simulation.schedule import Place, Schedule, make
from simulation.shrink import as_test, failure, shrink, story
from simulation.world import Outcome

ROOT = Path(__file__).parents[2]
FINDINGS = Path(__file__).parent / "findings"
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


def actor(name: str) -> Actor:
    return contextvars.Context().run(Actor, name)


# ------------------------------------------------------------------------------------------------ the whole
def busy_schedule() -> Schedule:
    """A worker that is killed in the middle of its jobs, beside another one."""
    places = [Place(name, "oxcart", 2, ["a", "b"], 3000, 2000, 2.0) for name in ("w1", "w2")]
    adds = [{"at": 1.0, "do": "add", "queue": "q1", "n": n, "name": "a", "run": 1.0, "id": f"j{n}"} for n in range(6)]
    kill = {"at": 1.5, "do": "kill", "who": "w1", "silently": False, "back": 5.0}
    return Schedule(7, ["q1"], places, [*adds, kill])


def test_the_same_schedule_is_the_same_history_and_keeps_every_promise() -> None:
    first, violations = failure(busy_schedule())
    again, _ = failure(busy_schedule())

    assert not violations
    assert first.history.text() == again.history.text()
    assert first.executions > 6, "what ran in the killed worker runs again"
    assert {found["states"][0] for found in first.jobs.values()} == {"completed"}


def test_a_schedule_survives_its_text() -> None:
    assert Schedule.from_json(make(3).to_json()) == make(3)


# ------------------------------------------------------------------------------------------------ promises
def sections() -> dict[int, str]:
    """By number; 0 is what is not promised."""
    found = {}
    for part in re.split(r"(?m)^(?=## )", GUARANTEES):
        numbered = re.match(r"## (\d+)\.", part)
        if numbered or part.startswith("## What we do not promise"):
            found[int(numbered[1]) if numbered else 0] = part
    return found


@pytest.mark.parametrize("invariant", PROMISES)
def test_each_invariant_checks_words_that_stand_in_the_guarantees(invariant: str) -> None:
    section, words = PROMISES[invariant]

    assert words in re.sub(r"\s+", " ", sections()[section])


def test_the_guarantees_name_each_invariant_where_it_belongs() -> None:
    named = {
        (section, name)
        for section, text in sections().items()
        for line in re.findall(r"^Simulated .*$", text, re.MULTILINE)
        for name in re.findall(r"`([a-z-]+)`", line)
    }

    assert named == {(section, invariant) for invariant, (section, _) in PROMISES.items()}


# ------------------------------------------------------------------------------------------------ it can fail
CLAIM = {"queue": "q1", "job": "j1", "ats": 1, "name": "a", "lock": 3000, "atm": 0}
HELD = ("w1", "claimed", {**CLAIM, "token": "w1.1:1"})
END = {"queue": "q1", "job": "j1", "ats": 1, "status": 0, "value": "1"}
ADDED = ("u1", "added", {"queue": "q1", "job": "j1", "name": "a", "plain": True})
BEGAN = {"queue": "q1", "job": "j1"}
STARTED = ("w1", "started", {"life": "w1.1", "names": ["a"], "worker": "x"})
SUCCEEDED = ("w1", "ended", {**BEGAN, "token": "w1.1:1", "how": "ok"})
STALLED = ("w2", "stalled", {"queue": "q1", "jobs": ["j1"]})
Told = tuple[str, str, dict[str, Any]]


def after(seconds: float, told: Told) -> Told:
    """So long after what was told before it; else it is a tenth of a second."""
    return told[0], told[1], {**told[2], "after": seconds}


@pytest.mark.parametrize(
    ("invariant", "facts"),
    [
        ("kept", [ADDED]),
        ("kept", [("u1", "answered", {"do": "add", "queue": "q1", "n": 1, "ids": ["j1"]})]),
        ("runs-again", [HELD, ("w2", "claimed", {**CLAIM, "token": "w2.1:1"})]),
        ("runs-again", [HELD, STALLED]),
        ("last-claim", [("w1", "settled", {**END, "token": "w1.1:1", "kind": "f"})]),
        ("last-claim", [("w1", "settled", {**END, "token": "w1.1:1", "kind": "c", "status": 1})]),
        ("success", [
            HELD, SUCCEEDED, ("w1", "settled", {**END, "token": "w1.1:1", "kind": "f"}),
        ]),
        ("no-revival", [("w1", "renewed", {"queue": "q1", "job": "j1", "token": "w1.1:1", "lock": 3000, "status": 0})]),
        ("foreign", [("w1", "started", {"life": "w1.1", "names": ["b"], "worker": "x"}), HELD]),
        ("limits", [
            ("u1", "limited", {"queue": "q1", "name": "concurrency", "value": 1}),
            HELD, ("w1", "claimed", {**CLAIM, "job": "j2", "token": "w1.1:1"}),
        ]),
        ("outcome-known", [ADDED, ("u1", "answered", {
            "do": "add", "queue": "q1", "n": 1, "id": "j1", "error": "REFUSED", "outcome_unknown": False,
        })]),
        ("goes-on", [("server", "lying", {"queue": "q1", "seconds": 9.0, "idle": "w1"})]),
        ("goes-on", [
            ("w1", "hang", {"seconds": 1.0}),
            after(30, ("server", "lying", {"queue": "q1", "seconds": 29.0, "idle": "w1"})),
        ]),
        ("ends-once", [
            HELD, SUCCEEDED, ("w1", "settled", {**END, "token": "w1.1:1", "kind": "c"}),
            ("w2", "claimed", {**CLAIM, "token": "w2.1:1"}),
        ]),
        ("dead-noticed", [HELD, ("w1", "died", {"life": "w1.1"}), after(30, STALLED)]),
        ("not-blamed", [HELD, ("w1", "settled", {
            **END, "token": "w1.1:1", "kind": "f", "value": "job stalled more than allowable limit",
        })]),
        ("adopted", [("w1", "forget", {"seconds": 0.05, "share": 1.0}), HELD, after(5, STALLED)]),
        ("attempts", [HELD, ("w1", "settled", {**END, "token": "w1.1:1", "kind": "r"})]),
        ("stops", [STARTED, HELD, ("w1", "stopping", {}), after(1, ("w1", "began", {**BEGAN, "token": "w1.1:1"}))]),
        ("stops", [
            STARTED, after(20, ("w1", "stopping", {})), after(3, ("w1", "stopped", {"held": 0, "undelivered": 0})),
        ]),
        ("clean", [STARTED, after(20, ("w1", "stopping", {})), ("w1", "stopped", {"held": 1, "undelivered": 0})]),
        ("order", [
            ADDED, ("u1", "added", {"queue": "q1", "job": "j2", "name": "a", "plain": True}),
            ("w1", "claimed", {**CLAIM, "job": "j2", "token": "w1.1:1"}), ("w1", "looked", {}),
        ]),
        ("order", [
            HELD, ("w1", "claimed", {**CLAIM, "job": "j2", "token": "w1.1:2"}),
            ("w1", "began", {"queue": "q1", "job": "j2", "token": "w1.1:2"}),
            ("w1", "began", {**BEGAN, "token": "w1.1:1"}),
        ]),
    ],
)  # fmt: skip
def test_the_checker_sees(invariant: str, facts: list[Told]) -> None:
    assert invariant in broken_by(facts)


@pytest.mark.parametrize(
    ("invariant", "found"),
    [
        ("one-state", {"jobs": {("q1", "j1"): {"states": ["wait", "active"], "hash": {}}}}),
        ("one-state", {"jobs": {("q1", "j1"): {"states": ["wait"]}}}),
        ("ends-once", {"jobs": {("q1", "j1"): {"states": ["active"], "hash": {}}}}),
        ("attempts", {"jobs": {("q1", "j1"): {"states": ["completed"], "hash": {"atm": "2"}}}}),
        ("clean", {"left": ["a lock"]}),
        ("no-bug", {"bugs": ["the exchanger ended"]}),
    ],
)
def test_the_checker_sees_what_is_there_in_the_end(invariant: str, found: dict[str, Any]) -> None:
    assert invariant in broken_by([ADDED], **found)


@pytest.mark.parametrize(
    ("invariant", "facts"),
    [
        ("kept", [ADDED, ("u1", "removed", {"queue": "q1", "job": "j1", "children": False})]),
        ("kept", [
            ADDED, ("u1", "added", {"queue": "q1", "job": "j2", "parent": "j1"}),
            ("u1", "removed", {"queue": "q1", "job": "j1", "children": True}),
        ]),
        ("goes-on", [
            ("w1", "hang", {"seconds": 20.0}), ("server", "lying", {"queue": "q1", "seconds": 9.0, "idle": "w1"}),
        ]),
    ],
)  # fmt: skip
def test_the_checker_lets_pass(invariant: str, facts: list[Told]) -> None:
    assert invariant not in broken_by(facts)


def test_each_invariant_is_seen_to_be_broken() -> None:
    """By one of the tests above: an invariant that nobody has seen fail may never fail."""
    seen = Path(__file__).read_text(encoding="utf-8")

    assert [name for name in PROMISES if f'("{name}", ' not in seen] == []


def test_a_queue_that_is_obliterated_has_no_limit_left() -> None:
    limited = ("u1", "limited", {"queue": "q1", "name": "concurrency", "value": 1})
    claims = [HELD, ("w1", "claimed", {**CLAIM, "job": "j2", "token": "w1.1:1"})]

    assert "limits" in broken_by([limited, *claims])
    assert "limits" not in broken_by(
        [limited, ("u1", "did", {"queue": "q1", "script": "obliterate", "reply": 0}), *claims]
    )


def broken_by(facts: list[Told], **found: Any) -> set[str]:
    """The promises that a history breaks. `found` is what was there in the end."""
    history, at = History(), 1100.0
    for who, what, details in facts:
        at += details.get("after", 0.1)
        history.add(at, who, what, **{name: value for name, value in details.items() if name != "after"})
    schedule = Schedule(1, ["q1"], [Place("w1", "oxcart", 1, ["a"], 3000, 2000, 0.0)])
    return {violation.invariant for violation in check(Outcome(schedule, history, **found))}


@pytest.mark.parametrize("diff", PLANTED, ids=lambda diff: diff.stem)
def test_each_planted_bug_still_fits_the_code(diff: Path) -> None:
    patch = shutil.which("patch")
    if patch is None:
        pytest.skip("patch is not installed")
    subprocess.run([patch, "-p1", "--dry-run", "--force", "-i", str(diff)], cwd=ROOT, check=True, capture_output=True)


def test_what_fails_is_made_small_and_told() -> None:
    schedule = make(1)
    wanted = schedule.steps[len(schedule.steps) // 3]

    smallest = shrink(schedule, lambda candidate: wanted in candidate.steps)
    history = History()
    history.add(1000.5, "w1", "died", life="w1.1")

    assert smallest.steps == [wanted]
    assert len(smallest.places) == 1
    assert "0.500  w1       died life=w1.1" in story(Outcome(smallest, history), [])
    assert "Schedule.from_json" in as_test(smallest, "kept")


# ------------------------------------------------------------------------------------------------ what it has found
@pytest.mark.parametrize("finding", sorted(FINDINGS.iterdir()), ids=lambda path: path.stem)
def test_what_it_has_found_stays_mended(finding: Path) -> None:
    """Each is the schedule of one seed, made small by `scripts/simulate --seed`."""
    _, violations = failure(Schedule.from_json(finding.read_text(encoding="utf-8")))

    assert not violations


# ------------------------------------------------------------------------------------------------ time and processes
def test_time_jumps_to_the_next_timer(loop: VirtualLoop) -> None:
    seen: list[float] = []
    loop.call_later(3600, lambda: seen.append(loop.time()))

    loop.run_until(loop.time() + 7200)

    assert seen == [4600.0]


def test_the_dead_never_run_again_and_the_stopped_go_on(loop: VirtualLoop) -> None:
    ran: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(1)
            ran.append(name)
        finally:
            ran.append(f"{name} ends")

    dead, stopped = actor("dead"), actor("stopped")
    for one in (dead, stopped):
        run_in(one, loop, partial(work, one.name))
    loop.run_until(loop.time() + 0.5)
    dead.kill()
    stopped.is_stopped = True
    loop.run_until(loop.time() + 10)
    assert ran == []

    stopped.go_on(loop)
    loop.run_until(loop.time() + 1)

    assert ran == ["stopped", "stopped ends"]


def test_a_thread_waits_in_virtual_time(loop: VirtualLoop) -> None:
    event, seen = SimEvent(), list[tuple[float, bool]]()

    def thread() -> None:
        seen.append((loop.time(), event.wait(60)))
        event.clear()
        seen.append((loop.time(), event.wait(60)))

    loop.call_soon(lambda: SimThread(target=thread).start())
    loop.call_later(5, event.set)
    loop.run_until(loop.time() + 100)

    assert seen == [(1000.0, True), (1005.0, False)]
    assert loop.time() == 1100.0


def test_the_page_says_what_the_figures_are() -> None:
    """`scripts/simulate --record` writes both."""
    assert PAGE.read_text(encoding="utf-8") == page(read_figures())
