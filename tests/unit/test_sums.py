"""Do several processes add up to one worker, also when one of them is away?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.http_site import WELL, left

from oxcart.connection.target import RedisTarget
from oxcart.errors import Failure, Kind
from oxcart.http.metrics import metrics_json
from oxcart.names import UnhandledJobs
from oxcart.supervisor.channel import Report
from oxcart.supervisor.sums import LATE_SECONDS, PROCESS_DOWN, Sums
from oxcart.telemetry import events
from oxcart.telemetry.events import FinishedJob, JobsFinished
from oxcart.telemetry.metrics import MAX_JOB_NAMES, OTHER_NAMES, Metrics
from oxcart.worker.status import WorkerStatus

REFUSED = Failure("TCP_REFUSED", Kind.TRANSIENT, True, "Nothing listens there.", "Look at host and port.")
AWAY = replace(WELL, healthy=False, redis=replace(WELL.redis, connected=False, failure=REFUSED))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def sums(processes: int = 2) -> tuple[Sums, Clock]:
    clock = Clock()
    return Sums(processes, RedisTarget("redis.example"), ("crm",), clock), clock


def counted(*jobs: tuple[str, str, float]) -> Metrics:
    """Each job by its name, its verdict and how long it took."""
    metrics = Metrics()
    metrics(
        JobsFinished("crm", [FinishedJob("1", name, verdict, ms, 1.0, 1, None, None) for name, verdict, ms in jobs])
    )
    return metrics


def report(metrics: Metrics | None = None, status: WorkerStatus = WELL) -> Report:
    return Report(status, (metrics or Metrics()).counts())


def both(first: Report, second: Report) -> Sums:
    several, _ = sums()
    for number, each in ((1, first), (2, second)):
        several.started(number)
        several.reported(number, each)
    return several


def test_metrics_are_sums_with_the_average_weighted() -> None:
    several = both(
        report(counted(("sync", "completed", 10), ("sync", "completed", 20), ("sync", "failed", 30))),
        report(counted(("sync", "completed", 100), ("hook", "retry_later", 5)), replace(WELL, jobs_processing=4)),
    )

    found = metrics_json(several.counts(), several.status())

    assert found["jobs"] == {
        "total": 4 + 7,
        "completed": 3,
        "failed": 1,
        "processing": 7,
        "byType": {
            "sync": {
                "completed": 3,
                "failed": 1,
                "retried": 0,
                "avgProcessingTime": 40.0,
                "maxProcessingTime": 100,
                "minProcessingTime": 10,
            },
            "hook": {
                "completed": 0,
                "failed": 0,
                "retried": 1,
                "avgProcessingTime": 5.0,
                "maxProcessingTime": 5,
                "minProcessingTime": 5,
            },
        },
    }
    assert found["performance"] == {"avgProcessingTime": 33.0, "maxProcessingTime": 100, "minProcessingTime": 5}
    assert found["redis"] == {"connected": True, "lastError": None, "reconnectAttempts": 8}
    assert found["worker"]["concurrency"] == 50


def test_buckets_and_incidents_add_up() -> None:
    stalled = events.JobsStalled("crm", ("7", "8"))
    first, second = counted(("sync", "completed", 1)), counted(("sync", "completed", 1), ("sync", "snoozed", 1))
    first(stalled)
    second(stalled)

    counts = both(report(first), report(second)).counts()

    assert counts.by_name["sync"].buckets[0] == 2
    assert counts.incidents == {"stalled": 4}
    assert counts.other_ends == {"snoozed": 1}


def test_health_is_that_of_the_worst() -> None:
    late = replace(WELL, unknown_jobs=("b", "agent:run"), redis=replace(WELL.redis, last_fetch_age_seconds=9.0))

    whole = both(report(), report(status=late)).status()

    assert whole.healthy
    assert whole.state == "running"
    assert whole.redis.last_fetch_age_seconds == 9.0
    assert whole.unknown_jobs == ("agent:run", "b")
    assert whole.dead_letters == 2, "both look at the same queues"
    assert whole.queue_names == WELL.queue_names


def test_what_waits_without_a_handler_is_told_once_however_many_processes_see_it() -> None:
    """They look at the same queues; one may have looked later."""
    early = replace(WELL, queues=left(UnhandledJobs("crm", "x", 3, 1000), UnhandledJobs("crm", "y", 1, 500)))
    late = replace(WELL, queues=left(UnhandledJobs("crm", "x", 5, 1000)), refused_queues={"bad": REFUSED})

    whole = both(report(status=early), report(status=late)).status()

    assert whole.unhandled == (UnhandledJobs("crm", "y", 1, 500), UnhandledJobs("crm", "x", 5, 1000))
    assert whole.refused_queues == {"bad": REFUSED}
    assert (whole.healthy, whole.is_whole) == (True, False)


@pytest.mark.parametrize("away", [1, 2])
def test_one_process_without_redis_is_the_whole_without_it(away: int) -> None:
    whole = both(
        report(status=AWAY if away == 1 else WELL),
        report(status=AWAY if away == 2 else WELL),
    ).status()

    assert not whole.healthy
    assert not whole.redis.connected
    assert whole.redis.failure == REFUSED


def test_before_the_first_report_it_is_starting() -> None:
    several, _ = sums()
    several.started(1)

    status = several.status()

    assert (status.healthy, status.state, status.queue_names) == (False, "starting", ("crm",))
    assert (status.redis.connected, status.redis.host) == (False, "redis.example")
    assert status.redis.failure is not None
    assert "1 of 2 is starting" in status.redis.failure.summary


def test_a_process_that_ended_is_named_and_what_it_counted_stays() -> None:
    several = both(report(counted(("sync", "completed", 10))), report(counted(("sync", "completed", 30))))

    several.ended(2, "has ended with exit code 3", 4.0)
    down, kept = several.status(), several.counts()
    several.started(2)
    several.reported(2, report(counted(("sync", "completed", 50))))

    assert down.redis.failure is not None
    assert down.redis.failure.code == PROCESS_DOWN
    assert down.redis.failure.summary == ("Worker process 2 of 2 has ended with exit code 3; another starts in 4 s.")
    assert down.redis.connected, "the other one is"
    assert not down.healthy
    assert (down.concurrency, down.redis.reconnect_attempts, down.exchanges) == (25, 8, 34)
    assert kept.all_names.completed == 2
    assert several.counts().all_names.completed == 3
    assert several.status().redis.reconnect_attempts == 12
    assert several.status().healthy


def test_one_that_says_nothing_is_named_until_it_does() -> None:
    several, clock = sums(processes=1)
    several.started(1)
    several.reported(1, report())

    clock.now += LATE_SECONDS + 2
    silent = several.status()
    several.reported(1, report())

    assert silent.redis.failure is not None
    assert silent.redis.failure.summary == "Worker process 1 of 1 has said nothing for 7 s."
    assert several.status().healthy


def test_an_outage_of_redis_is_told_before_a_process_that_is_down() -> None:
    several = both(report(), report(status=AWAY))

    several.ended(1, "was killed by SIGKILL", 0.5)

    assert several.status().redis.failure == REFUSED


def test_names_that_a_producer_makes_up_are_bounded_and_keep_their_series() -> None:
    several, _ = sums()
    for life in range(5):
        several.started(1)
        several.reported(1, report(counted(*((f"made-up-{life}-{n}", "completed", 1.0) for n in range(60)))))
        before = several.counts()
        several.ended(1, "has ended with exit code 1", 1.0)

        after = several.counts()
        assert {name: tally.completed for name, tally in after.by_name.items()} == {
            name: tally.completed for name, tally in before.by_name.items()
        }

    counts = several.counts()
    assert len(counts.by_name) == MAX_JOB_NAMES + 1
    assert counts.by_name[OTHER_NAMES].completed == 200
    assert counts.all_names.completed == 300


def test_while_it_stops_it_says_so() -> None:
    several = both(report(), report())

    several.stopping = True

    assert several.status().state == "stopping"


def test_a_worker_that_has_delivered_everything_has_stopped() -> None:
    several = both(report(), report(status=replace(WELL, state="stopped")))

    assert [several.has_stopped(number) for number in (1, 2)] == [False, True]
