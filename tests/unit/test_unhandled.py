"""What of the jobs that a worker leaves is told, and how much of it?"""

from __future__ import annotations

from typing import Any

import pytest

from oxcart.handlers import Handlers
from oxcart.names import NO_HANDLER
from oxcart.queue.unhandled import MOST_NAMES, UnhandledJobs, bounded, merged
from oxcart.settings import WorkerSettings
from oxcart.telemetry.events import Event, JobNameUnknown, WarningRaised
from oxcart.worker.unhandled import MOST_TOLD, PATIENCE_MS, ForeignJobs, Unhandled

NOW = 1_800_000_000_000
LONG_AGO = NOW - PATIENCE_MS - 1


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def unhandled(events: list[Event]) -> Unhandled:
    return Unhandled(Handlers(), WorkerSettings(), events.append, worker_name="oxcart-1")


def waiting(name: str = "x", **changes: Any) -> ForeignJobs:
    return ForeignJobs(name, 5, LONG_AGO, LONG_AGO)._replace(**changes)


def test_what_has_waited_for_more_than_a_minute_is_shown_and_told_once(
    unhandled: Unhandled, events: list[Event]
) -> None:
    unhandled.note("q", [waiting()], NOW)
    unhandled.note("q", [waiting(waiting=7)], NOW)

    assert unhandled.shown == (UnhandledJobs("q", "x", 7, LONG_AGO, NO_HANDLER),)
    assert events == [JobNameUnknown("q", "x", "wait", NO_HANDLER, ())]


@pytest.mark.parametrize(("oldest_ms", "first_seen_ms"), [(NOW - 50, LONG_AGO), (LONG_AGO, NOW - 50)])
def test_beside_a_worker_that_takes_them_at_once_nothing_is_told(
    unhandled: Unhandled, events: list[Event], oldest_ms: int, first_seen_ms: int
) -> None:
    """Either these jobs are new, or jobs of the name came only now, added or due."""
    unhandled.note("q", [waiting(oldest_ms=oldest_ms, first_seen_ms=first_seen_ms)], NOW)

    assert (unhandled.shown, events) == ((), [])


@pytest.mark.parametrize("oldest_ms", [0, NOW + 3_600_000])
def test_where_the_age_cannot_be_believed_what_we_saw_ourselves_counts(unhandled: Unhandled, oldest_ms: int) -> None:
    unhandled.note("q", [waiting(oldest_ms=oldest_ms)], NOW)

    assert unhandled.shown[0].since_ms == LONG_AGO


def test_what_waits_no_more_is_shown_no_more(unhandled: Unhandled) -> None:
    unhandled.note("q", [waiting("x"), waiting("y")], NOW)
    unhandled.note("other", [waiting("x")], NOW)
    unhandled.note("q", [waiting("y")], NOW)

    assert [(jobs.queue, jobs.name) for jobs in unhandled.shown] == [("other", "x"), ("q", "y")]


def test_five_thousand_names_fill_neither_the_log_nor_health(unhandled: Unhandled, events: list[Event]) -> None:
    unhandled.note("q", [waiting(f"name-{number:04}" + "x" * 200) for number in range(5000)], NOW)

    assert len(unhandled.shown) == MOST_NAMES + 1
    assert all(len(jobs.name) <= 100 for jobs in unhandled.shown)
    assert (unhandled.shown[-1].name, unhandled.shown[-1].waiting) == ("and 4980 more", 4980 * 5)
    assert sum(isinstance(event, JobNameUnknown) for event in events) == MOST_TOLD
    assert sum(isinstance(event, WarningRaised) for event in events) == 1


def test_names_that_were_failed_are_told_once(unhandled: Unhandled, events: list[Event]) -> None:
    unhandled.note_failed("q", "x")
    unhandled.note_failed("q", "x")

    assert unhandled.failed_names == ("x",)
    assert events == [JobNameUnknown("q", "x", "fail", NO_HANDLER, ())]


def test_several_processes_see_the_same_jobs() -> None:
    one = UnhandledJobs("q", "x", 5, NOW, NO_HANDLER)
    more = UnhandledJobs("q", "and 3 more", 9, NOW, "", 3)
    other = UnhandledJobs("q", "x", 7, NOW + 1, NO_HANDLER)
    still_more = UnhandledJobs("q", "and 4 more", 8, NOW, "", 4)

    assert merged([[one, more], [other, still_more]]) == (
        UnhandledJobs("q", "x", 7, NOW, NO_HANDLER),
        UnhandledJobs("q", "and 4 more", 9, NOW, "", 4),
    )


def test_the_longest_waiting_come_first() -> None:
    found = [UnhandledJobs("q", str(number), 1, NOW - number, NO_HANDLER) for number in range(3)]

    assert [jobs.name for jobs in bounded(found)] == ["2", "1", "0"]
