"""What do the probes say, and when?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest
from support.http_site import Running, left, serving

from oxcart.errors import Failure, Kind
from oxcart.names import MAX_NAMES, UnhandledJobs

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
            "clock": {"aheadOfRedisSeconds": None, "warning": None},
            "worker": {
                "queueName": "agent-jobs,oxcart",
                "concurrency": 25,
                "jobsProcessing": 3,
                "state": "running",
                "unknownJobs": ["agent:run"],
                "unhandledJobs": [],
                "refusedQueues": [],
            },
            "problems": [],
            "deadLetterQueue": {"available": True, "count": 2},
        }


def test_a_clock_that_is_off_is_told(worker: Running) -> None:
    worker.change_redis(clock_skew_seconds=-3600.25)

    clock = worker.get("/health").content["clock"]

    assert clock["aheadOfRedisSeconds"] == -3600.25
    assert clock["warning"].startswith("This machine's clock is 3600 s behind the server's.")


def test_a_lost_redis_is_503_with_the_cause_and_the_cure(worker: Running) -> None:
    worker.change(healthy=False, queues=())
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


def test_an_unknown_job_name_that_is_no_utf8_spoils_nothing(worker: Running) -> None:
    worker.change(unknown_jobs=("bad\ud800", "Имя"))

    assert worker.get("/health").content["worker"]["unknownJobs"] == ["bad\ud800", "Имя"]


def unhandled(number: int) -> UnhandledJobs:
    return UnhandledJobs("agent-jobs", f"name-{number}", 2, 1_764_547_200_000 + number)


def test_jobs_that_wait_without_a_handler_are_named_and_the_worker_goes_on(worker: Running) -> None:
    """The fetch works, so no probe may restart or hold back the worker; and yet nothing is green."""
    lacking = UnhandledJobs("agent-jobs", "crm:x", 40, 1_764_547_200_000, "not possible here", "no DATABASE_URL")
    worker.change(queues=left(lacking))

    answer, ready = worker.get("/health"), worker.get("/health/ready")

    assert (answer.status, answer.content["status"]) == (200, "degraded")
    assert (ready.status, ready.content) == (200, {"status": "degraded"})
    assert answer.content["redis"]["errorCode"] is None
    assert answer.content["worker"]["unhandledJobs"] == [
        {
            "queue": "agent-jobs",
            "name": "crm:x",
            "waiting": 40,
            "since": "2025-12-01T00:00:00.000Z",
            "reason": "not possible here",
            "detail": "no DATABASE_URL",
        }
    ]


def test_names_that_others_chose_are_bounded(worker: Running) -> None:
    worker.change(queues=left(*map(unhandled, range(200))), unknown_jobs=tuple(map(str, range(200))))

    told = worker.get("/health").content["worker"]

    assert len(told["unhandledJobs"]) == len(told["unknownJobs"]) == MAX_NAMES + 1
    assert told["unknownJobs"][-1] == "and 180 more"
    assert told["unhandledJobs"][-1] == {
        "queue": None,
        "name": "and 180 more",
        "waiting": 360,
        "since": "2025-12-01T00:00:00.020Z",
        "reason": None,
        "detail": None,
    }


def test_one_refused_queue_of_several_is_named_and_is_not_the_whole_worker_s_trouble(worker: Running) -> None:
    worker.change(refused_queues={"bad": REFUSED})

    answer = worker.get("/health")

    assert (answer.status, answer.content["status"]) == (200, "degraded")
    assert answer.content["redis"]["error"] == f'Redis refuses to work on queue "bad": {REFUSED.summary}'
    assert answer.content["redis"]["errorCode"] == REFUSED.code
    assert answer.content["redis"]["advice"] == REFUSED.advice
    assert answer.content["worker"]["refusedQueues"] == [
        {"queue": "bad", "error": REFUSED.summary, "errorCode": REFUSED.code, "advice": REFUSED.advice}
    ]
