"""Do the counters add up, and stay small?"""

from __future__ import annotations

import threading

import pytest

from oxcart.errors import Failure, Kind
from oxcart.telemetry import events
from oxcart.telemetry.events import FinishedJob, JobsFinished
from oxcart.telemetry.metrics import DURATION_BOUNDS, MAX_JOB_NAMES, OTHER_NAMES, Metrics


def job(name: str = "crm:sync", verdict: str = "completed", run_ms: float = 10.0) -> FinishedJob:
    return FinishedJob("1", name, verdict, run_ms, 1.0, 1, None, None)


def test_jobs_are_counted_by_name_and_in_all() -> None:
    metrics = Metrics()

    metrics(JobsFinished("a", [job(run_ms=5), job(run_ms=40), job(verdict="failed", run_ms=15)]))
    metrics(JobsFinished("b", [job("kommo:webhook", "retry_later", 100), job("kommo:webhook", run_ms=1)]))

    counts = metrics.counts()
    sync, webhook = counts.by_name["crm:sync"], counts.by_name["kommo:webhook"]
    assert (sync.completed, sync.failed, sync.retried) == (2, 1, 0)
    assert (sync.average_ms, sync.min_ms, sync.max_ms) == (20.0, 5, 40)
    assert (webhook.completed, webhook.failed, webhook.retried) == (1, 0, 1)
    whole = counts.all_names
    assert (whole.completed, whole.failed, whole.retried, whole.timed) == (3, 1, 1, 5)
    assert (whole.min_ms, whole.max_ms, whole.total_ms) == (1, 100, 161)


def test_durations_fall_into_the_bucket_whose_bound_they_do_not_pass() -> None:
    metrics = Metrics()

    metrics(JobsFinished("a", [job(run_ms=5.0), job(run_ms=5.1), job(run_ms=1e9)]))

    buckets = metrics.counts().by_name["crm:sync"].buckets
    assert buckets == [1, 1, *[0] * (len(DURATION_BOUNDS) - 2), 1]


def test_verdicts_that_leave_a_job_unfinished_are_no_completions_and_have_no_duration() -> None:
    metrics = Metrics()
    verdicts = ["snoozed", "waiting_for_children", "rate_limited_for", "interrupted", "returned", "returned"]

    metrics(JobsFinished("a", [job(verdict=verdict) for verdict in verdicts]))

    counts = metrics.counts()
    assert counts.other_ends == {
        "snoozed": 1,
        "waiting_for_children": 1,
        "rate_limited_for": 1,
        "interrupted": 1,
        "returned": 2,
    }
    assert counts.by_name == {}
    assert counts.all_names.timed == 0


def test_made_up_names_end_in_one_tally() -> None:
    metrics = Metrics()

    for number in range(MAX_JOB_NAMES + 50):
        metrics(JobsFinished("a", [job(f"job-{number}")]))
    metrics(JobsFinished("a", [job("job-0")]))

    by_name = metrics.counts().by_name
    assert len(by_name) == MAX_JOB_NAMES + 1
    assert by_name[OTHER_NAMES].completed == 50
    assert by_name["job-0"].completed == 2


def test_a_name_without_utf8_is_counted_under_one_that_can_be_shown() -> None:
    metrics = Metrics()

    metrics(JobsFinished("a", [job("bad\ud800"), job("bad\ud800")]))

    assert {name: tally.completed for name, tally in metrics.counts().by_name.items()} == {"bad?": 2}


def test_a_snapshot_does_not_change_afterwards() -> None:
    metrics = Metrics()
    metrics(JobsFinished("a", [job()]))

    before = metrics.counts()
    metrics(JobsFinished("a", [job()]))

    assert before.by_name["crm:sync"].completed == 1
    assert sum(before.by_name["crm:sync"].buckets) == 1


@pytest.mark.parametrize(
    ("event", "name", "number"),
    [
        (events.JobsStalled("a", ("1", "2", "3")), "stalled", 3),
        (events.JobAbandoned("a", "1", "n", "lost"), "abandoned", 1),
        (events.JobAdopted("a", "1"), "adopted", 1),
        (events.JobUnconfirmed("a", "1", "n"), "unconfirmed", 1),
        (events.JobUnreadable("a", "1", "no hash"), "unreadable", 1),
        (events.HandlerDeaf("a", "1", "n"), "deaf", 1),
    ],
)
def test_incidents_are_counted(event: events.Event, name: str, number: int) -> None:
    metrics = Metrics()

    metrics(event)

    assert metrics.counts().incidents == {name: number}


def test_a_reconnect_is_a_return_after_an_outage_and_failures_are_counted_by_code() -> None:
    metrics = Metrics()
    reset = Failure("TCP_RESET", Kind.TRANSIENT, True, "reset", "wait")
    refused = Failure("TCP_REFUSED", Kind.TRANSIENT, True, "refused", "wait")

    metrics(events.RedisReady("h", 6379, False, None, 0.0, 1))
    metrics(events.RedisLost("h", 6379, reset))
    metrics(events.RedisFailureChanged("h", 6379, refused, 1.0))
    metrics(events.RedisReady("h", 6379, False, None, 2.5, 4))

    counts = metrics.counts()
    assert counts.redis_reconnects == 1
    assert counts.redis_failures == {"TCP_RESET": 1, "TCP_REFUSED": 1}


def test_reading_while_another_thread_adds_never_shows_half_a_job() -> None:
    metrics = Metrics()

    def add() -> None:
        for number in range(2_000):
            metrics(JobsFinished("a", [job(f"n{number % 7}", "failed"), job(f"n{number % 7}")]))

    adding = threading.Thread(target=add)
    adding.start()
    while adding.is_alive():
        whole = metrics.counts().all_names
        assert whole.completed == whole.failed
        assert whole.timed == sum(whole.buckets) == whole.completed + whole.failed
    adding.join()

    assert metrics.counts().all_names.completed == 2_000
