"""What do the probes say, and when?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from support.http_site import Running, serving

from oxcart.errors import Failure, Kind
from oxcart.queue.unhandled import UnhandledJobs

REFUSED = Failure(
    "TCP_REFUSED", Kind.TRANSIENT, True, "Nothing listens at fly-1.upstash.io:6379.", "Check the host and the port."
)


@pytest.fixture
def worker() -> Iterator[Running]:
    with serving() as running:
        yield running


def test_a_healthy_worker_answers_200_with_exactly_these_fields() -> None:
    with serving(release="abc123") as worker:
        answer = worker.get("/health")

        content = answer.content
        timestamp = datetime.fromisoformat(content.pop("timestamp"))
        assert timestamp.utcoffset() is not None
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert content == {
            "status": "ok",
            "service": "worker",
            "version": "1.2.3",
            "release": "abc123",
            "uptime": 61.235,
            "redis": {
                "connected": True,
                "error": None,
                "errorCode": None,
                "advice": None,
                "host": "fly-1.upstash.io",
                "port": 6379,
                "tls": True,
                "lastFetchAgeSeconds": 1.25,
            },
            "worker": {
                "queueName": "agent-jobs,oxcart",
                "concurrency": 25,
                "jobsProcessing": 3,
                "state": "running",
                "unknownJobs": ["agent:run"],
                "unhandledJobs": [],
            },
            "deadLetterQueue": {"available": True, "count": 2},
        }


def test_a_lost_redis_is_503_with_the_cause_and_the_cure(worker: Running) -> None:
    worker.change(healthy=False, dead_letters=None)
    worker.change_redis(connected=False, failure=REFUSED)

    answer = worker.get("/health")

    assert answer.status == 503
    assert answer.content["status"] == "degraded"
    assert answer.content["redis"]["connected"] is False
    assert answer.content["redis"]["error"] == REFUSED.summary
    assert answer.content["redis"]["errorCode"] == "TCP_REFUSED"
    assert answer.content["redis"]["advice"] == REFUSED.advice
    assert answer.content["release"] is None
    assert answer.content["deadLetterQueue"] == {"available": False, "count": None}


def test_an_open_socket_beside_a_dead_fetch_loop_is_503_and_says_so(worker: Running) -> None:
    worker.change(healthy=False)
    worker.change_redis(last_fetch_age_seconds=42.0)

    redis = worker.get("/health").content["redis"]

    assert redis["connected"] is True
    assert "42 s" in redis["error"]
    assert redis["errorCode"] == "FETCH_LATE"
    assert redis["advice"]


def test_before_the_first_connection_it_says_that_there_was_none(worker: Running) -> None:
    worker.change(healthy=False, state="starting")
    worker.change_redis(connected=False, last_fetch_age_seconds=None)

    answer = worker.get("/health")

    assert answer.status == 503
    assert answer.content["redis"]["error"] == "No connection has been made yet."
    assert answer.content["redis"]["lastFetchAgeSeconds"] is None


@pytest.mark.parametrize(("healthy", "status", "word"), [(True, 200, "ok"), (False, 503, "degraded")])
def test_ready_follows_health(worker: Running, healthy: bool, status: int, word: str) -> None:
    worker.change(healthy=healthy)

    answer = worker.get("/health/ready")

    assert (answer.status, answer.content) == (status, {"status": word})


def test_live_is_about_the_job_loop_and_never_about_redis(worker: Running) -> None:
    worker.change(healthy=False, loop_lag_seconds=299.0)
    worker.change_redis(connected=False, failure=REFUSED)
    assert worker.get("/health/live").status == 200

    worker.change(loop_lag_seconds=301.0)

    answer = worker.get("/health/live")
    assert answer.status == 503
    assert "has not run for 301 s" in answer.content["error"]


def test_nothing_is_ok_while_jobs_wait_that_nobody_here_takes(worker: Running) -> None:
    """And yet 200: a restart would change nothing."""
    agent = UnhandledJobs("agent-jobs", "agent:plan", 40, 1_800_000_000_000, "no handler")
    crm = UnhandledJobs("agent-jobs", "kommo:webhook", 2, 1_800_000_000_500, "not possible here: no DATABASE_URL")
    worker.change(unhandled=(agent, crm))

    answer = worker.get("/health")

    assert (answer.status, answer.content["status"]) == (200, "degraded")
    assert answer.content["redis"]["error"] is None
    assert answer.content["worker"]["unknownJobs"] == ["agent:run", "agent:plan"]
    assert answer.content["worker"]["unhandledJobs"] == [
        {
            "queue": "agent-jobs",
            "name": "agent:plan",
            "waiting": 40,
            "since": "2027-01-15T08:00:00.000Z",
            "reason": "no handler",
        },
        {
            "queue": "agent-jobs",
            "name": "kommo:webhook",
            "waiting": 2,
            "since": "2027-01-15T08:00:00.500Z",
            "reason": "not possible here: no DATABASE_URL",
        },
    ]
    assert worker.get("/health/ready").status == 200


def test_an_unknown_job_name_that_is_no_utf8_spoils_nothing(worker: Running) -> None:
    worker.change(unknown_jobs=("bad\ud800", "Имя"))

    assert worker.get("/health").content["worker"]["unknownJobs"] == ["bad\ud800", "Имя"]
