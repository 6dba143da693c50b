"""Which names are claimed, which are left, and why?"""

from __future__ import annotations

from collections.abc import Collection

import pytest

from oxcart import Job, Oxcart
from oxcart.names import (
    LONG_MS,
    MAX_NAME_CHARACTERS,
    MAX_NAMES,
    ForeignJobs,
    LeftNames,
    NameFilter,
    UnhandledJobs,
    UnknownJobs,
    names_to_claim,
    short,
    told,
)
from oxcart.settings import WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import Event, JobNameUnknown, WarningRaised
from oxcart.telemetry.lines import RULES
from oxcart.worker.left import MAX_KEPT, LeftJobs

HANDLED = ("a", "b", "c")
NOW_MS = 1_800_000_000_000
LONG_AGO_MS = NOW_MS - LONG_MS - 1


def filtered(*names: str, excludes: bool = False) -> NameFilter:
    return NameFilter(frozenset(names), excludes)


@pytest.mark.parametrize(
    ("unknown", "only", "except_", "expected"),
    [
        ("leave", (), (), filtered("a", "b", "c")),
        ("leave", ("a", "x"), (), filtered("a")),
        ("leave", (), ("a", "x"), filtered("b", "c")),
        ("fail", (), (), None),
        ("fail", ("a", "x"), (), filtered("a", "x")),
        ("fail", (), ("a",), filtered("a", excludes=True)),
    ],
)
def test_what_is_claimed(
    unknown: UnknownJobs, only: Collection[str], except_: Collection[str], expected: NameFilter | None
) -> None:
    assert names_to_claim(HANDLED, unknown=unknown, only=only, except_=except_) == expected


@pytest.mark.parametrize("unknown", ["leave", "fail"])
def test_only_and_except_of_the_same_names_share_all_handled_jobs_between_two_fleets(unknown: UnknownJobs) -> None:
    """Each job runs in exactly one of them."""
    fleets = (
        names_to_claim(HANDLED, unknown=unknown, only=("b",)),
        names_to_claim(HANDLED, unknown=unknown, except_=("b",)),
    )

    for name in HANDLED:
        assert sum(fleet is None or fleet.claims(name) for fleet in fleets) == 1


def test_an_app_without_handlers_claims_nothing_and_not_everything() -> None:
    assert names_to_claim((), unknown="leave") == filtered()
    assert not filtered().claims("a")
    assert filtered(excludes=True).claims("a")


@pytest.mark.parametrize(
    ("name", "only", "except_", "why"),
    [
        ("x", (), (), ("no handler", None)),
        ("x", ("a",), (), ("no handler", None)),
        ("x", (), ("x",), None),
        ("a", ("b",), (), None),
        ("a", (), ("a",), None),
        ("c", (), (), ("not possible here", "no DATABASE_URL")),
        ("c", ("b",), (), None),
        ("c", (), ("c",), None),
    ],
)
def test_what_is_left_by_choice_lacks_no_handler(
    name: str, only: Collection[str], except_: Collection[str], why: tuple[str, str | None] | None
) -> None:
    """Another fleet has it: a backlog there is not this worker's trouble."""
    assert LeftNames(HANDLED, {"c": "no DATABASE_URL"}, only=only, except_=except_).why(name) == why


def test_a_job_that_waits_for_less_than_a_minute_may_still_find_its_worker() -> None:
    names = LeftNames(HANDLED, {})

    young = names.unhandled("crm", [ForeignJobs("x", 3, NOW_MS - LONG_MS)], NOW_MS)
    old = names.unhandled("crm", [ForeignJobs("x", 3, LONG_AGO_MS)], NOW_MS)

    assert list(young) == []
    assert list(old) == [UnhandledJobs("crm", "x", 3, LONG_AGO_MS)]


def test_names_that_others_chose_are_told_in_a_bounded_way() -> None:
    found = told(f"name-{number}" for number in range(5000))

    assert len(found) == MAX_NAMES + 1
    assert found[-1] == f"and {5000 - MAX_NAMES} more"
    assert len(short("n" * 5000)) == MAX_NAME_CHARACTERS
    assert short("half \ud83d of one") == "half ? of one"


# ------------------------------------------------------------------------------------------------ what a worker keeps
def app_of(*names: str) -> Oxcart:
    app = Oxcart()

    async def handler(job: Job) -> None:
        pass

    for name in names:
        app.job(name)(handler)
    return app


def left_jobs(emit: Emit, *handled: str, **settings: object) -> LeftJobs:
    chosen = WorkerSettings(**settings)  # type: ignore[arg-type]
    return LeftJobs(app_of(*handled).handlers, chosen, emit, clock_ms=lambda: NOW_MS)


def test_each_name_is_told_once() -> None:
    events: list[Event] = []
    left = left_jobs(events.append, "a")

    for _ in range(3):
        left.met("crm", [b"x"])

    assert events == [JobNameUnknown("crm", "x", "leave", ("a",))]
    assert RULES[JobNameUnknown].line(events[0]).message == (
        "Jobs named x wait in queue crm and no worker here handles them: they stay there for a worker that does"
    )


def test_what_is_not_possible_here_is_told_with_what_lacks() -> None:
    line = RULES[JobNameUnknown].line(JobNameUnknown("crm", "crm:x", "leave", (), detail="no DATABASE_URL"))

    assert "(not possible here: no DATABASE_URL): they stay there" in line.message
    assert "jobId" not in line.fields


def test_what_is_left_by_choice_is_not_told() -> None:
    events: list[Event] = []
    left = left_jobs(events.append, "a", "b", only_jobs=("a",))

    left.met("crm", [b"b"])
    left.seen("crm", [ForeignJobs("b", 2, LONG_AGO_MS)])

    assert (events, left.unhandled, left.unknown_names) == ([], (), ())
    assert left.names_to_claim == filtered("a")


def test_jobs_that_are_gone_no_longer_count_and_their_name_is_still_known() -> None:
    left = left_jobs(lambda _: None, "a")

    left.met("crm", [b"x"])
    left.seen("crm", [ForeignJobs("x", 2, LONG_AGO_MS)])
    waiting = left.unhandled
    left.seen("crm", [])

    assert [(jobs.name, jobs.waiting) for jobs in waiting] == [("x", 2)]
    assert left.unhandled == ()
    assert left.unknown_names == ("x",)


def test_five_thousand_names_grow_nothing() -> None:
    events: list[Event] = []
    left = left_jobs(events.append, "a")

    for start in range(0, 5000, 100):
        names = [f"name-{number}" for number in range(start, start + 100)]
        left.met("crm", [name.encode() for name in names])
        left.seen("crm", [ForeignJobs(name, 1, LONG_AGO_MS) for name in names])

    assert len(left.unknown_names) == MAX_KEPT
    assert len(left.unhandled) <= MAX_KEPT
    assert [type(event) for event in events] == [JobNameUnknown] * MAX_NAMES + [WarningRaised]
