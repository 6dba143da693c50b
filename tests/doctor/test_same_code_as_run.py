"""Does `oxcart run` say in /health and in its log what the doctor says, when Redis cannot be used from the start?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from doctor.test_faults import conversation, full_backlog
from support.examined import TOKEN, examined
from support.fake_redis import FakeRedis
from support.http_site import ask
from support.ports import closed_port
from support.tls import Certificate, TlsFront
from support.valkey import free_port

from oxcart.testing import wait_until


def everywhere(error: str) -> dict[str, str]:
    """Said to whatever is asked, as a server does that serves nobody."""
    return dict.fromkeys(("PING", "INFO", "EVALSHA", "EVAL", "SET", "HMGET", "CONFIG", "CLIENT"), error)


def to_writers(error: str) -> dict[str, str]:
    """Said to whatever may write."""
    return dict.fromkeys(("EVALSHA", "EVAL", "SET"), error)


ANSWERS: dict[str, dict[str, str]] = {
    "AUTH_BAD": {"AUTH": "-WRONGPASS invalid username-password pair or user is disabled."},
    "AUTH_NONE": everywhere("-NOAUTH Authentication required."),
    "PERM": to_writers("-NOPERM User default has no permissions to run the 'evalsha' command"),
    "Q_MONTH": {"AUTH": "-ERR max requests limit exceeded. Limit: 500000, Usage: 500000"},
    "DB_TIMEOUT": {"AUTH": "-ERR DB connection timed-out"},
    "LOADING": everywhere("-LOADING Redis is loading the dataset in memory"),
    "MASTERDOWN": everywhere("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    "BUSY": everywhere("-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
    "MISCONF": to_writers("-MISCONF Redis is configured to save snapshots, but it's unable to persist to disk."),
    "OOM": to_writers("-OOM command not allowed when used memory > 'maxmemory'."),
    "READONLY": to_writers("-READONLY You can't write against a read only replica."),
}
CERTIFICATES: dict[str, Certificate] = {
    "TLS_SELF": "self_signed",
    "TLS_CA": "unknown_ca",
    "TLS_HOST": "wrong_name",
    "TLS_EXPIRED": "expired",
}
PORTS: dict[str, Callable[[], AbstractContextManager[int]]] = {
    "TCP_REFUSED": lambda: nullcontext(closed_port()),
    "TCP_TIMEOUT": full_backlog,
    "TCP_RESET": lambda: conversation(None),
    "URL_PORT443": lambda: conversation(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
}
TROUBLES = (*ANSWERS, *CERTIFICATES, *PORTS, "Q_CONN", "DNS_NX", "TLS_TO_PLAIN")


@contextmanager
def trouble(code: str) -> Iterator[dict[str, str]]:
    """The environment of a worker whose Redis is in this trouble."""
    with ExitStack() as stack:
        host, scheme, environ = "localhost", "redis", {"OXCART_REDIS_CONNECT_TIMEOUT_SECONDS": "1"}
        if code in PORTS:
            host, port = "127.0.0.1", stack.enter_context(PORTS[code]())
        elif code == "TLS_TO_PLAIN":
            host, scheme, port = "127.0.0.1", "rediss", stack.enter_context(conversation(b"-ERR unknown command\r\n"))
        elif code == "Q_CONN":
            port = stack.enter_context(FakeRedis({}, greeting="-ERR max number of clients reached")).port
        elif code == "DNS_NX":
            host, port = "nobody.invalid", 6379
        else:
            port = stack.enter_context(FakeRedis(ANSWERS.get(code, {}))).port
        if code in CERTIFICATES:
            front = TlsFront(port, CERTIFICATES[code])
            stack.enter_context(front)
            scheme, port = "rediss", front.port
            environ["OXCART_REDIS_TLS_CA_FILE"] = front.ca_file
        yield {"REDIS_URL": f"{scheme}://default:{TOKEN}@{host}:{port}", **environ}


def health(port: int) -> Any:
    try:
        return ask(port, "/health").content
    except OSError:
        return None


@pytest.mark.parametrize("code", TROUBLES)
async def test_run_and_the_doctor_agree(code: str, tmp_path: Path) -> None:
    with trouble(code) as environ:
        http_port = free_port()
        log_path = tmp_path / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "oxcart", "run"],
                env={**os.environ, **environ, "PORT": str(http_port), "OXCART_LOG_FORMAT": "json"},
                cwd=tmp_path,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            await wait_until(
                lambda: (told := health(http_port)) is not None and told["redis"]["errorCode"] == code,
                describe=f"/health says {code}",
                timeout=30,
            )
            seen = await examined(environ)
        finally:
            process.terminate()
            process.wait(30)

    lines = [json.loads(line) for line in log_path.read_text().splitlines()]
    assert seen.verdict == code
    assert code in {line.get("errorCode") for line in lines}
    assert TOKEN not in log_path.read_text()
    assert process.returncode == 0, "it never exits because Redis is away"
