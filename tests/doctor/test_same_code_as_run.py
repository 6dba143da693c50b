"""Does `oxcart run` say in /health and in its log what the doctor says, when Redis cannot be used from the start?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.examined import TOKEN, examined
from support.fake_redis import FakeRedis
from support.http_site import ask
from support.tls import TlsFront
from support.valkey import free_port

from oxcart.testing import wait_until


def everywhere(error: str) -> dict[str, str]:
    """Said to whatever is asked, as a server does that serves nobody."""
    return dict.fromkeys(("PING", "INFO", "EVALSHA", "EVAL", "SET", "HMGET", "CONFIG", "CLIENT"), error)


def to_writers(error: str) -> dict[str, str]:
    """Said to whatever may write."""
    return dict.fromkeys(("EVALSHA", "EVAL", "SET"), error)


FAULTS: dict[str, dict[str, str]] = {
    "TCP_REFUSED": {},
    "AUTH_BAD": {"AUTH": "-WRONGPASS invalid username-password pair or user is disabled."},
    "Q_MONTH": {"AUTH": "-ERR max requests limit exceeded. Limit: 500000, Usage: 500000"},
    "DB_TIMEOUT": {"AUTH": "-ERR DB connection timed-out"},
    "LOADING": everywhere("-LOADING Redis is loading the dataset in memory"),
    "MASTERDOWN": everywhere("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    "BUSY": everywhere("-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
    "MISCONF": to_writers("-MISCONF Redis is configured to save snapshots, but it's unable to persist to disk."),
    "OOM": to_writers("-OOM command not allowed when used memory > 'maxmemory'."),
    "READONLY": to_writers("-READONLY You can't write against a read only replica."),
    "TLS_SELF": {},
    "TLS_HOST": {},
}


@contextmanager
def trouble(code: str) -> Iterator[dict[str, str]]:
    """The environment of a worker whose Redis is in this trouble."""
    with ExitStack() as stack:
        port = free_port()
        environ = {}
        scheme = "redis"
        if code != "TCP_REFUSED":
            port = stack.enter_context(FakeRedis(FAULTS[code])).port
        if code.startswith("TLS"):
            front = TlsFront(port, "self_signed" if code == "TLS_SELF" else "wrong_name")
            stack.enter_context(front)
            scheme, port = "rediss", front.port
            environ = {"OXCART_REDIS_TLS_CA_FILE": front.ca_file}
        yield {"REDIS_URL": f"{scheme}://default:{TOKEN}@localhost:{port}", **environ}


def health(port: int) -> Any:
    try:
        return ask(port, "/health").content
    except OSError:
        return None


@pytest.mark.parametrize("code", FAULTS)
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
