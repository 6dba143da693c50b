"""What do scrapers and people get from /metrics?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from support.http_site import Running, left, serving

from oxcart.errors import Failure, Kind
from oxcart.names import MAX_NAMES, UnhandledJobs
from oxcart.telemetry import events
from oxcart.telemetry.events import FinishedJob, JobsFinished

# As Prometheus 3 sends it.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)

FAILURE = Failure("TCP_RESET", Kind.TRANSIENT, True, "The server closed the connection.", "Wait.")


def finish(worker: Running) -> None:
    def job(name: str, verdict: str, run_ms: float) -> FinishedJob:
        return FinishedJob("1", name, verdict, run_ms, 1.0, 1, None, None)

    worker.metrics(JobsFinished("agent-jobs", [job("crm:sync", "completed", 20), job("crm:sync", "failed", 40)]))
    worker.metrics(JobsFinished("agent-jobs", [job('we"ird\n', "completed", 3_000), job("x", "snoozed", 1)]))
    worker.metrics(events.RedisReady("h", 6379, True, None, 3.0, 2))
    worker.metrics(events.RedisLost("h", 6379, Failure("TCP_RESET", Kind.TRANSIENT, True, "reset", "wait")))


def series(text: str) -> dict[str, float]:
    """Values by series, a label's value after a colon."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[":".join([sample.name, *sample.labels.values()])] = sample.value
    return found


@pytest.fixture
def worker() -> Iterator[Running]:
    with serving() as running:
        yield running


def test_json_has_exactly_these_fields(worker: Running) -> None:
    finish(worker)

    answer = worker.get("/metrics")

    assert answer.headers["content-type"] == "application/json"
    assert answer.content == {
        "jobs": {
            "total": 6,
            "completed": 2,
            "failed": 1,
            "processing": 3,
            "byType": {
                "crm:sync": {
                    "completed": 1,
                    "failed": 1,
                    "retried": 0,
                    "avgProcessingTime": 30.0,
                    "maxProcessingTime": 40.0,
                    "minProcessingTime": 20.0,
                },
                'we"ird\n': {
                    "completed": 1,
                    "failed": 0,
                    "retried": 0,
                    "avgProcessingTime": 3000.0,
                    "maxProcessingTime": 3000.0,
                    "minProcessingTime": 3000.0,
                },
            },
        },
        "redis": {"connected": True, "lastError": None, "reconnectAttempts": 4},
        "worker": {
            "uptime": 61.235,
            "concurrency": 25,
            "queueName": "agent-jobs,oxcart",
            "unhandledJobs": [],
        },
        "queues": {
            "agent-jobs": {
                "counts": {"waiting": 0, "failed": 2},
                "paused": False,
                "limit": None,
                "oldestWaitSeconds": 0.0,
                "schedulesLate": 0,
                "seen": "2025-12-01T00:00:00.000Z",
            }
        },
        "problems": [],
        "performance": {"avgProcessingTime": 1020.0, "maxProcessingTime": 3000.0, "minProcessingTime": 20.0},
    }


def test_before_the_first_job_the_durations_are_zero(worker: Running) -> None:
    assert worker.get("/metrics").content["performance"] == {
        "avgProcessingTime": 0,
        "maxProcessingTime": 0,
        "minProcessingTime": 0,
    }


def test_last_error_is_the_summary_while_redis_is_away_and_null_again_after(worker: Running) -> None:
    worker.change_redis(connected=False, failure=FAILURE)
    assert worker.get("/metrics").content["redis"]["lastError"] == FAILURE.summary

    worker.change_redis(connected=True)

    assert worker.get("/metrics").content["redis"]["lastError"] is None


def test_the_text_has_the_promised_series(worker: Running) -> None:
    finish(worker)

    answer = worker.get("/metrics/prometheus")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = series(answer.body.decode())
    assert found["worker_jobs_completed_total"] == 2
    assert found["worker_jobs_failed_total"] == 1
    assert found["worker_jobs_retried_total"] == 0
    assert found["worker_jobs_snoozed_total"] == 1
    assert found["worker_jobs_in_flight"] == 3
    assert found["worker_redis_connected"] == 1
    assert found["worker_redis_reconnect_total"] == 1
    assert found["worker_redis_failures_total:TCP_RESET"] == 1
    assert found["worker_uptime_seconds"] == 61.23456
    assert found["worker_exchanges_total"] == 17
    assert found["worker_outbox_verdicts"] == 1
    assert found["worker_last_fetch_age_seconds"] == 1.25
    assert found["worker_dead_letters"] == 2
    for incident in ("abandoned", "adopted", "stalled", "unconfirmed", "interrupted", "returned", "rate_limited"):
        assert found[f"worker_jobs_{incident}_total"] == 0


def test_jobs_without_a_handler_are_a_series_for_each_of_the_first_names(worker: Running) -> None:
    """A series is for ever, and others choose the names."""
    seen = tuple(UnhandledJobs("crm", f"name-{number}", 2, number) for number in range(100))
    worker.change(queues=left(*seen), refused_queues={"bad": FAILURE})

    found = series(worker.get("/metrics/prometheus").body.decode())

    shown = {key: value for key, value in found.items() if key.startswith("worker_unhandled_jobs")}
    assert len(shown) == MAX_NAMES + 1
    assert sum(shown.values()) == 200
    assert found["worker_refused_queues"] == 1
    assert len(worker.get("/metrics").content["worker"]["unhandledJobs"]) == MAX_NAMES + 1


def test_the_histogram_counts_up_to_each_bound(worker: Running) -> None:
    finish(worker)

    found = series(worker.get("/metrics/prometheus").body.decode())

    name = "worker_job_duration_seconds"
    buckets = {
        key.rsplit(":", 1)[1]: value for key, value in found.items() if key.startswith(f"{name}_bucket:crm:sync")
    }
    assert buckets["0.01"] == 0
    assert buckets["0.025"] == 1
    assert buckets["0.05"] == 2
    assert buckets["+Inf"] == 2
    assert found[f"{name}_sum:crm:sync"] == 0.06
    assert found[f'{name}_count:we"ird\n'] == 1


def test_openmetrics_is_spoken_when_asked_for(worker: Running) -> None:
    finish(worker)

    answer = worker.get("/metrics", Accept=PROMETHEUS)

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")
    families = parse_openmetrics(answer.body.decode())  # type: ignore[no-untyped-call]
    names = {family.name for family in families}
    assert "worker_job_duration_seconds" in names


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("text/plain;version=0.0.4;q=0,*/*;q=0.1", "application/json"),
        ("text/plain;version=0.0.4;q=bad", "application/json"),
        ("text/plain;version=0.0.4", "text/plain"),
        ("text/plain; version=0.0.4; q=0.5, */*; q=0.1", "text/plain"),
        ("TEXT/PLAIN", "text/plain"),
        ("application/openmetrics-text", "application/openmetrics-text"),
        (PROMETHEUS, "application/openmetrics-text"),
    ],
)
def test_accept_chooses_the_form(worker: Running, accept: str, kind: str) -> None:
    answer = worker.get("/metrics", Accept=accept)

    assert answer.status == 200
    assert answer.headers["content-type"].split(";")[0] == kind


def test_no_accept_header_gets_json(worker: Running) -> None:
    assert worker.get("/metrics").headers["content-type"] == "application/json"


def test_a_worker_that_nobody_scrapes_does_not_load_prometheus() -> None:
    program = "import sys, oxcart.http.server, oxcart.telemetry.metrics, oxcart.telemetry.logs; print(*sys.modules)"

    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()

    assert "oxcart.http.metrics" in listed
    assert not {"prometheus_client", "structlog", "uvloop", "httptools", "websockets", "pydantic"} & {*listed}
