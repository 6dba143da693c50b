"""What does `oxcart doctor` print and return, and what is left when it is interrupted?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.examined import TOKEN
from support.fake_redis import FakeRedis
from support.http_site import serving
from support.ports import closed_port
from support.proxy import FaultProxy
from support.server import PrivateServer

from oxcart.checks import State
from oxcart.cli import main
from oxcart.doctor.scratch import PREFIX
from oxcart.doctor.visit import Visit
from oxcart.errors import Failure, Kind
from oxcart.testing import wait_until

Set = Callable[..., None]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Set:
    monkeypatch.chdir(tmp_path)

    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["doctor", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_healthy_redis_ends_with_0(environ: Set, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    environ(REDIS_URL=redis_url)

    assert main(["doctor"]) == 0
    output = capsys.readouterr().out
    assert "No check failed, but see the warnings: NO_PERSISTENCE." in output, "the test's server keeps nothing on disk"
    assert "✓ a job gets through from end to end" in output
    code, content = as_json(capsys)
    assert (code, content["ok"], content["verdict"]) == (0, True, None)


def test_strict_ends_with_1_for_a_warning(environ: Set, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The test's server keeps nothing on disk, which is a warning."""
    environ(REDIS_URL=redis_url)

    code, content = as_json(capsys, "--strict")

    assert (code, content["ok"]) == (1, True)


def test_settings_that_do_not_load_end_with_78_and_json(environ: Set, capsys: pytest.CaptureFixture[str]) -> None:
    environ(REDIS_URL="https://some.upstash.io", JOB_CONCURRENCY="many")

    code, content = as_json(capsys)

    assert code == 78
    assert content["verdict"]["id"] == "SETTINGS_PROBLEM"
    assert {check["id"]: check["state"] for check in content["checks"]}["redis-url"] == "failed"


def test_an_unreachable_redis_ends_with_69(environ: Set, capsys: pytest.CaptureFixture[str]) -> None:
    environ(REDIS_URL=f"redis://:{TOKEN}@127.0.0.1:{closed_port()}")

    assert main(["doctor"]) == 69
    output = capsys.readouterr()
    assert "TCP_REFUSED: Nothing listens at" in output.out
    assert "What to do" in output.out
    assert TOKEN not in output.out + output.err


@pytest.mark.parametrize("arguments", [["--only", "dsn"], ["--skip", "x"], ["--wait", "soon"], ["--no-such-option"]])
def test_a_mistake_on_the_command_line_ends_with_64(
    environ: Set, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    environ()

    assert main(["doctor", *arguments]) == 64
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_the_list_has_every_check(environ: Set, capsys: pytest.CaptureFixture[str]) -> None:
    environ()

    assert main(["doctor", "--list", "--json"]) == 0
    ids = [entry["id"] for entry in json.loads(capsys.readouterr().out)]
    assert ids[:3] == ["settings", "redis-url", "token"]
    assert ids.index("dns") < ids.index("tcp") < ids.index("tls") < ids.index("auth") < ids.index("scratch")


def test_only_and_skip_choose(environ: Set, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    environ(REDIS_URL=redis_url)

    _, chosen = as_json(capsys, "--only", "tcp")
    _, without = as_json(capsys, "--skip", "queue,persistence", "--skip", "cost")

    assert [check["id"] for check in chosen["checks"]] == ["settings", "redis-url", "token", "embedded", "dns", "tcp"]
    states = {check["id"]: check["state"] for check in without["checks"]}
    assert states["scratch"] == states["persistence"] == states["cost"] == "skipped"
    assert states["eviction"] == "ok"


def test_verbose_shows_the_raw_error(environ: Set, capsys: pytest.CaptureFixture[str]) -> None:
    environ(REDIS_URL=f"redis://:{TOKEN}@127.0.0.1:{closed_port()}")

    main(["doctor", "-v"])

    output = capsys.readouterr().out
    assert "raw: ConnectionRefusedError" in output
    assert "because tcp failed" in output


def test_a_report_names_neither_host_nor_user(environ: Set, capsys: pytest.CaptureFixture[str]) -> None:
    environ(REDIS_URL=f"rediss://ann:{TOKEN}@secret-name.example.com:6380")

    main(["doctor", "--report"])

    output = capsys.readouterr().out
    assert "| dns | failed |" in output
    for hidden in ("secret-name", "example.com", "ann:", TOKEN):
        assert hidden not in output


def test_waiting_ends_when_all_is_well(
    environ: Set, fresh_server: PrivateServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server is started by the remark that it is away: the first look must have failed."""
    environ(REDIS_URL=fresh_server.url)
    fresh_server.kill()
    process = subprocess.Popen(
        [sys.executable, "-m", "oxcart", "doctor", "--wait", "60s", "--only", "ping"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    remark = process.stderr.readline()
    fresh_server.start()
    output, _ = process.communicate(timeout=60)

    assert remark.startswith("TCP_REFUSED")
    assert "All is well" in output
    assert process.returncode == 0


def test_waiting_ends_when_the_time_is_up(environ: Set, capsys: pytest.CaptureFixture[str]) -> None:
    environ(REDIS_URL=f"redis://127.0.0.1:{closed_port()}")

    assert main(["doctor", "--wait", "0.1s"]) == 69
    assert "TCP_REFUSED" in capsys.readouterr().out


async def test_ctrl_c_in_the_middle_of_the_scratch_queue_leaves_nothing(
    fresh_server: PrivateServer, tmp_path: Path
) -> None:
    def leftovers() -> list[str]:
        with fresh_server.client() as client:
            return list(client.scan_iter(f"*{PREFIX}*"))

    with FaultProxy(fresh_server.port) as proxy:
        proxy.delay_ms = 40
        url = fresh_server.url.replace(f":{fresh_server.port}/", f":{proxy.port}/")
        process = subprocess.Popen(
            [sys.executable, "-m", "oxcart", "doctor"],
            env={**os.environ, "REDIS_URL": url},
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        await wait_until(
            lambda: any(key.endswith(":meta") for key in leftovers()),
            describe="the scratch queue is at work",
            timeout=30,
        )
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)

    assert process.returncode == 130
    assert error == b""
    assert leftovers() == []


# ------------------------------------------------------------------------------------------------ the worker
def test_a_worker_that_is_well_is_compared(environ: Set, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    environ(REDIS_URL=redis_url)
    with serving() as site:
        code, content = as_json(capsys, "--worker", f"http://127.0.0.1:{site.port}", "--only", "worker")

    assert code == 0
    assert content["checks"][-1]["state"] == "ok"


def test_a_worker_that_is_not_connected_is_stale(
    environ: Set, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environ(REDIS_URL=redis_url)
    with serving() as site:
        site.change(healthy=False)
        site.change_redis(
            connected=False,
            failure=Failure("AUTH_BAD", Kind.CONFIGURATION, retryable=True, summary="Refused.", advice=""),
        )
        code, content = as_json(capsys, "--worker", f"http://127.0.0.1:{site.port}/health", "--only", "worker")

    assert code == 1
    assert content["verdict"]["id"] == "WORKER_STALE"
    assert "Redeploy" in content["verdict"]["action"]
    assert "AUTH_BAD" in content["checks"][-1]["evidence"]


def test_a_worker_that_does_not_answer_is_named(
    environ: Set, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environ(REDIS_URL=redis_url)

    code, content = as_json(capsys, "--worker", f"http://127.0.0.1:{closed_port()}", "--only", "worker")

    assert code == 1
    assert content["verdict"]["id"] == "WORKER_UNREACHABLE"


def test_a_worker_is_not_blamed_for_what_is_wrong_here(environ: Set, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeRedis({"AUTH": "-WRONGPASS invalid username-password pair or user is disabled."}) as fake:
        environ(REDIS_URL=f"redis://:{TOKEN}@127.0.0.1:{fake.port}")
        _, content = as_json(capsys, "--worker", "http://127.0.0.1:1")

    assert content["verdict"]["id"] == "AUTH_BAD"
    assert content["checks"][-1]["state"] == State.SKIPPED.value


# ------------------------------------------------------------------------------------------------ explain
@pytest.mark.parametrize("name", ["AUTH_BAD", "auth_bad", "UPSTASH_TOKEN_WRONG", "tls-verified", "FETCH_LATE"])
def test_explain_prints_the_page(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", name]) == 0
    assert capsys.readouterr().out.lower().startswith(f"## {name.lower()}")


def test_explain_guesses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "AUTHBAD"]) == 64
    assert "Did you mean AUTH_BAD?" in capsys.readouterr().err


def test_a_visit_shows_no_secret(environ: Set) -> None:
    from oxcart.doctor.visit import begin_visit

    visit: Visit = begin_visit({"REDIS_URL": f"redis://:{TOKEN}@h"}, known_names=frozenset())

    assert TOKEN not in repr(visit.target)
