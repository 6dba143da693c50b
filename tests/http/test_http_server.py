"""Does the server itself behave: its port, its errors, its end, and beside a blocked job loop?"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from support.http_site import Running, ask, serving

from oxcart.errors import PortUnavailable
from oxcart.http.listen import EVERYWHERE, LOOPBACK, open_sockets
from oxcart.http.routes import ROUTES, Auth, Route
from oxcart.http.server import HttpServer
from oxcart.http.site import CanaryResult, Site
from oxcart.secret import Secret
from oxcart.telemetry.events import HttpStarted
from oxcart.telemetry.logs import configure_logging


@pytest.fixture
def taken_port() -> Iterator[int]:
    sockets = open_sockets(0, LOOPBACK, may_move=False)
    yield sockets[0].getsockname()[1]
    for listener in sockets:
        listener.close()


def a_server(running: Running, **options: Any) -> HttpServer:
    return HttpServer(running.site(), running.events.append, loopback_only=True, **options)


@pytest.fixture
def worker() -> Iterator[Running]:
    with serving() as running:
        yield running


def test_it_answers_on_ipv4_and_ipv6_at_the_same_port(worker: Running) -> None:
    assert ask(worker.port, "/health", host="127.0.0.1").status == 200
    assert ask(worker.port, "/health", host="::1").status == 200
    assert worker.events == [HttpStarted(worker.port, 0, LOOPBACK)]


def test_unless_told_otherwise_it_listens_to_the_outside_in_both_families() -> None:
    running = Running()

    server = HttpServer(running.site(), running.events.append, port=0)

    assert server._hosts == EVERYWHERE == ("0.0.0.0", "::")


def test_a_taken_port_that_was_asked_for_is_an_error_that_names_it(taken_port: int) -> None:
    running = Running()

    with pytest.raises(PortUnavailable, match=f"port {taken_port}: another process has it") as caught:
        a_server(running, port=taken_port).start()

    assert caught.value.port == taken_port
    assert "PORT" in str(caught.value)
    assert running.events == []


def test_a_taken_default_port_is_left_for_the_next_free_one_and_that_is_announced(taken_port: int) -> None:
    running = Running()
    server = a_server(running, port=taken_port, may_move=True)

    port = server.start()
    try:
        assert port != taken_port
        assert ask(port, "/health").status == 200
        assert running.events == [HttpStarted(port, taken_port, LOOPBACK)]
    finally:
        server.stop()


def test_a_port_taken_in_one_family_only_is_taken() -> None:
    with closing(socket.socket(socket.AF_INET6)) as other:
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind(("::1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortUnavailable):
            open_sockets(port, LOOPBACK, may_move=False)

    for listener in open_sockets(port, LOOPBACK, may_move=False):
        listener.close()  # the IPv4 half of the failed try is free again


def test_the_port_is_free_again_after_the_end() -> None:
    running = Running()
    first = a_server(running, port=0)
    port = first.start()
    assert ask(port, "/health").status == 200
    first.stop()

    second = a_server(running, port=port)

    assert second.start() == port
    second.stop()


def test_stopping_twice_and_before_the_start_is_fine() -> None:
    server = a_server(Running(), port=0)
    server.stop()
    port = server.start()

    server.stop()
    server.stop()

    with pytest.raises(ConnectionRefusedError):
        ask(port, "/health")


def test_it_ends_although_callers_hold_connections_and_a_canary_runs() -> None:
    running, asked, never = Running(), threading.Event(), Future[CanaryResult]()

    def run_canary() -> Future[CanaryResult]:
        asked.set()
        return never

    running.run_canary = run_canary
    server = a_server(running, port=0)
    port = server.start()
    with (
        closing(socket.create_connection(("127.0.0.1", port))) as idle,
        closing(socket.create_connection(("127.0.0.1", port))) as waiting,
    ):
        idle.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        waiting.sendall(b"POST /canary HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        assert asked.wait(10)

        server.stop()

        assert server._thread is not None
        assert not server._thread.is_alive()


async def test_it_answers_while_the_main_event_loop_is_blocked(worker: Running) -> None:
    """The request blocks the loop that runs this test, as a bad handler blocks the job loop."""
    loop_ran = asyncio.Event()
    asyncio.get_running_loop().call_soon(loop_ran.set)

    answer = worker.get("/health")

    assert answer.status == 200
    assert not loop_ran.is_set()


async def test_two_hundred_callers_at_once_are_answered(worker: Running) -> None:
    async def one() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    answers = await asyncio.gather(*(one() for _ in range(200)))

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


@pytest.mark.parametrize("path", [route.path for route in ROUTES if "GET" in route.methods and route.path != "/"])
def test_head_is_get_without_the_body(worker: Running, path: str) -> None:
    answer = ask(worker.port, path, "HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == worker.get(path).headers["content-type"]


def test_the_front_leads_to_what_there_is_to_see_and_repeats_no_host(worker: Running) -> None:
    answer = ask(worker.port, "/", headers={"Host": "evil.example"})

    assert (answer.status, answer.headers["location"]) == (303, "/health")


@pytest.mark.parametrize("path", ["/healthz", "/health/", "/metrics/x", "/%2e%2e/etc"])
def test_an_unknown_path_is_404_with_one_sentence(worker: Running, path: str) -> None:
    answer = worker.get(path)

    assert answer.status == 404
    assert list(answer.content) == ["error"]
    assert "/health" in answer.content["error"]


@pytest.mark.parametrize(("path", "method", "allowed"), [("/health", "POST", "GET"), ("/canary", "GET", "POST")])
def test_a_wrong_method_is_405_and_names_the_right_one(worker: Running, path: str, method: str, allowed: str) -> None:
    answer = ask(worker.port, path, method)

    assert answer.status == 405
    assert allowed in answer.headers["allow"]
    assert f"{method} is not possible here" in answer.content["error"]


def test_an_error_of_ours_shows_no_traceback_and_goes_to_the_log() -> None:
    def broken_status() -> Any:
        raise ZeroDivisionError("status broke")

    running, output = Running(), io.StringIO()
    log = configure_logging(stream=output, format="json")
    site = Site(status=broken_status, metrics=running.metrics, run_canary=running.run_canary, steer=print, version="1")
    server = HttpServer(site, running.events.append, port=0, loopback_only=True)
    port = server.start()

    answer = ask(port, "/health")

    server.stop()
    log.close()
    assert answer.status == 500
    assert list(answer.content) == ["error"]
    assert b"status broke" not in answer.body
    (line,) = (json.loads(line) for line in output.getvalue().splitlines())
    assert (line["level"], line["error"]) == ("error", "ZeroDivisionError: status broke")
    assert "broken_status" in line["stack"]


def test_other_parts_add_their_routes_as_rows() -> None:
    async def greet(site: Site, request: Request) -> Response:
        return Response(f"{request.path_params['name']} {site.version}")

    with serving(
        more_routes=[
            Route("/hello/{name}", ("POST",), Auth.OPEN, greet),
            Route("/inner/{name}", ("GET",), Auth.OPERATOR, greet),
        ],
        tokens=(Secret("token"),),
    ) as worker:
        assert worker.post("/hello/ann").body == b"ann 1.2.3"
        assert worker.get("/inner/ann").status == 401
        assert worker.get("/inner/ann", Authorization="Bearer token").body == b"ann 1.2.3"


def test_no_answer_shows_a_token() -> None:
    token = "a-token-nobody-may-see"
    with serving(tokens=(Secret(token),)) as worker:
        answers = [
            *(worker.get(route.path, Authorization=f"Bearer {token}") for route in ROUTES),
            worker.post("/canary", {"Authorization": f"Bearer {token}"}),
            worker.get(f"/{token}"),
        ]

        for answer in answers:
            assert token not in answer.body.decode()
            assert token not in str(answer.headers)


def test_garbage_is_refused_without_a_word_in_the_log(worker: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), closing(socket.create_connection(("127.0.0.1", worker.port))) as scanner:
        scanner.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert scanner.recv(100).startswith(b"HTTP/1.1 400")

    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []
    assert worker.get("/health").status == 200


def test_the_status_is_read_at_each_request(worker: Running) -> None:
    worker.change(uptime_seconds=1.0)
    first = worker.get("/health").content["uptime"]
    worker.change(uptime_seconds=2.0)

    second = worker.get("/health").content["uptime"]

    assert (first, second) == (1.0, 2.0)


def test_what_runs_beside_it_begins_and_ends_on_its_own_thread() -> None:
    steps: list[tuple[str, str]] = []

    @asynccontextmanager
    async def beside() -> AsyncIterator[None]:
        steps.append(("in", threading.current_thread().name))
        yield
        steps.append(("out", threading.current_thread().name))

    with serving(beside=beside()) as worker:
        assert steps == [("in", "http")]
        assert worker.get("/health").status == 200

    assert steps == [("in", "http"), ("out", "http")]
