"""Who may run the canary, and what does it answer?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from support.http_site import Running, done, serving

from oxcart.errors import Failure, Kind, Unavailable
from oxcart.http.site import CanaryResult
from oxcart.secret import Secret

TOKENS = (Secret("first-token"), Secret("zweites-Tökén"))


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}".encode().decode("latin-1")}


@pytest.fixture
def worker() -> Iterator[Running]:
    with serving() as running:
        yield running


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (bearer("first-token"), 200),
        (bearer("zweites-Tökén"), 200),
        (bearer("first-token", "bearer"), 200),
        (bearer(" first-token "), 200),
        ({}, 401),
        (bearer(""), 401),
        (bearer("first-toke"), 401),
        (bearer("first-token,zweites-Tökén"), 401),
        (bearer("first-token", "Basic"), 401),
        ({"Authorization": "first-token"}, 401),
        ({**bearer("first-token"), "X-Forwarded-For": "1.2.3.4"}, 200),
    ],
)
def test_with_tokens_set_everybody_needs_one(headers: dict[str, str], status: int) -> None:
    with serving(tokens=TOKENS) as worker:
        answer = worker.post("/canary", headers)

        assert answer.status == status
        if status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "OXCART_HTTP_TOKEN" in answer.content["error"]
            assert b"first-token" not in answer.body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:3001"}, 200),
        ({"Host": "[::1]:3001"}, 200),
        (bearer("whatever"), 200),
        ({"X-Forwarded-For": "127.0.0.1"}, 403),
        ({"X-Forwarded-Proto": "https"}, 403),
        ({"Forwarded": "for=1.2.3.4"}, 403),
        ({"X-Real-IP": "1.2.3.4"}, 403),
        ({"CF-Connecting-IP": "1.2.3.4"}, 403),
        ({"cf-ray": "1"}, 403),
        ({"Via": "1.1 proxy"}, 403),
        ({"Host": "rebound.example:3001"}, 403),
        ({"Host": "127.0.0.1:3001", "Origin": "https://evil.example"}, 403),
        ({"Host": "127.0.0.1:3001", "Origin": "null"}, 403),
        ({"Host": "127.0.0.1:3001", "Origin": "http://127.0.0.1:3001"}, 200),
    ],
)
def test_without_a_token_only_this_machine_itself_may(worker: Running, headers: dict[str, str], status: int) -> None:
    answer = worker.post("/canary", headers)

    assert answer.status == status
    if status == 403:
        assert "set OXCART_HTTP_TOKEN" in answer.content["error"]


def test_probes_and_metrics_are_open_whatever_tokens_are_set() -> None:
    with serving(tokens=TOKENS) as worker:
        for path in ("/health", "/health/live", "/health/ready", "/metrics", "/metrics/prometheus"):
            assert worker.get(path, X_Forwarded_For="1.2.3.4").status == 200


def test_a_refused_caller_starts_no_canary() -> None:
    with serving(tokens=TOKENS) as worker:
        started = threading.Event()

        def run_canary() -> Future[CanaryResult]:
            started.set()
            return done(CanaryResult("1", 1.0))

        worker.run_canary = run_canary
        worker.post("/canary")

        assert not started.is_set()


def test_a_canary_that_came_through_names_its_job(worker: Running) -> None:
    answer = worker.post("/canary")

    assert (answer.status, answer.content) == (200, {"ok": True, "jobId": "ox-1", "durationMs": 12.346})


def test_a_canary_that_did_not_is_503_with_the_cause(worker: Running) -> None:
    gone = Failure("TCP_RESET", Kind.TRANSIENT, True, "the server closed the connection.", "Wait.")
    worker.run_canary = lambda: done(Unavailable(gone, "add test-job"))

    answer = worker.post("/canary")

    assert answer.status == 503
    assert answer.content == {
        "error": "The test job did not get through. add test-job: the server closed the connection. Wait."
    }


def test_a_canary_given_up_by_a_stopping_worker_is_503(worker: Running) -> None:
    future: Future[CanaryResult] = Future()
    future.cancel()
    worker.run_canary = lambda: future

    answer = worker.post("/canary")

    assert (answer.status, answer.content["error"]) == (503, "The test job was given up because the worker stops.")


def test_a_canary_settled_by_another_thread_is_answered(worker: Running) -> None:
    future: Future[CanaryResult] = Future()
    asked = threading.Event()

    def run_canary() -> Future[CanaryResult]:
        asked.set()
        return future

    worker.run_canary = run_canary

    def settle() -> None:
        assert asked.wait(10)
        future.set_result(CanaryResult("7", 5.0))

    thread = threading.Thread(target=settle)
    thread.start()
    answer = worker.post("/canary")
    thread.join(10)

    assert answer.content["jobId"] == "7"
