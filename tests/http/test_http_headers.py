"""Does a request with any headers at all get an answer, and never a traceback?"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_site import Running, ask, serving

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
NAMES = st.sampled_from(["Host", "Origin", "Accept", "Authorization", "Content-Type", "Forwarded", "X-Slow"]) | TOKEN
PIECES = st.sampled_from(
    [
        "[",
        "]",
        ":",
        "//",
        "http://",
        "[::1",
        "::1]",
        "%",
        "@",
        "\u00ff",
        ";",
        "q=",
        "nan",
        "1e999",
        ",",
        "text/plain",
        "Bearer",
    ]
)
VALUES = st.lists(PIECES | st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=5), max_size=8).map(
    "".join
)
PATHS = st.sampled_from(["/health", "/health/ready", "/metrics", "/metrics/prometheus", "/canary", "/nothing"])


@pytest.fixture(scope="module")
def worker() -> Iterator[Running]:
    with serving() as running:
        yield running


class Recorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def status_of(port: int, request: bytes) -> int:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.sendall(request)
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "[::1"),
        ("Host", "]"),
        ("Host", "localhost:port"),
        ("Host", "localhost:99999999"),
        ("Host", "[v1.x"),
        ("Origin", "http://["),
        ("Origin", "http://localhost:x"),
    ],
)
@pytest.mark.parametrize("path", ["/health", "/canary"])
def test_an_address_that_is_none_is_a_bad_request(worker: Running, name: str, value: str, path: str) -> None:
    answer = ask(worker.port, path, "POST" if path == "/canary" else "GET", {name: value})

    assert (answer.status, answer.content) == (400, {"error": f"The header {name} is no address."})


@given(PATHS, st.sampled_from(["GET", "POST", "HEAD", "DELETE"]), st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_every_request_is_answered(worker: Running, path: str, method: str, headers: list[tuple[str, str]]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    handler = Recorder()
    logging.getLogger().addHandler(handler)
    try:
        request = f"{method} {path} HTTP/1.1\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n"
        status = status_of(worker.port, request.encode("latin-1"))
    finally:
        logging.getLogger().removeHandler(handler)

    assert status in {200, 400, 401, 403, 404, 405}
    assert [
        record.getMessage() for record in handler.records if record.name.startswith(("oxcart", "uvicorn", "asyncio"))
    ] == []


@given(VALUES)
def test_a_host_that_is_taken_for_this_machine_is_one(worker: Running, value: str) -> None:
    request = f"POST /canary HTTP/1.1\r\nHost: {value}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    if status_of(worker.port, request.encode("latin-1")) == 200:
        assert urlsplit(f"//{value}").hostname in {"::1", "localhost", "127.0.0.1"}
