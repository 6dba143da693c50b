"""Is a mistake, an outage, a bug or an interruption told in the way that scripts and people need?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.command import COMMAND, Oxcart
from support.proxy import FaultProxy
from support.server import PrivateServer

from oxcart import Queue
from oxcart.testing import wait_until

# Runs the command line with one command that has a bug.
BUG = """
import sys
from oxcart.cli import counts, main
import oxcart.cli.session

def broken(name):
    raise KeyError("hunter2")

oxcart.cli.session.open_queue = broken
sys.exit(main(["counts"]))
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cuonts",), "counts"),
        (("counts", "--jsno"), "--json"),
        (("counts", "extra"), "extra"),
        (("counts", "--queue"), "--queue"),
        (("run", "--concurrency", "0"), "--concurrency"),
        (("run", "--port", "http"), "--port"),
        (("bench", "--jobs", "0"), "--jobs"),
        (("enqueue",), "NAME"),
        (("schedules", "lst"), "list"),
        (("--nonsense",), "--nonsense"),
    ],
)
async def test_usage_is_exit_64_and_one_sentence_with_the_help(
    bare_oxcart: Oxcart, arguments: tuple[str, ...], said: str
) -> None:
    done = await bare_oxcart(*arguments)

    assert done.code == 64
    assert done.out == ""
    assert said in done.err
    assert done.err.count("\n") == 1
    assert "--help" in done.err


@pytest.mark.parametrize("arguments", [(), ("--help",), ("jobs",), ("schedules",), ("jobs", "list", "--help")])
async def test_help_is_an_answer(bare_oxcart: Oxcart, arguments: tuple[str, ...]) -> None:
    done = await bare_oxcart(*arguments)

    assert done.code == 0
    assert done.out.startswith("Usage: oxcart")
    assert done.err == ""


async def test_the_version_is_an_answer(bare_oxcart: Oxcart) -> None:
    done = await bare_oxcart("--version")

    assert done.code == 0
    assert done.out.startswith("oxcart ")


async def test_a_redis_that_is_not_there_is_exit_69_with_advice(oxcart: Oxcart, server: PrivateServer) -> None:
    with FaultProxy(server.port) as proxy:
        proxy.refuse()

        done = await oxcart("counts", REDIS_URL=f"redis://:hunter2@127.0.0.1:{proxy.port}")

    assert done.code == 69
    assert done.out == ""
    assert f"Nothing listens at 127.0.0.1:{proxy.port}." in done.err
    assert "Check host and port" in done.err
    assert done.err.count("\n") == 1
    assert "hunter2" not in done.err


async def test_a_redis_that_does_not_answer_is_exit_69_though_one_try_may_take_longer(
    oxcart: Oxcart, server: PrivateServer
) -> None:
    with FaultProxy(server.port) as proxy:
        proxy.blackhole = True
        began = time.monotonic()

        done = await oxcart(
            "counts", REDIS_URL=f"redis://127.0.0.1:{proxy.port}", OXCART_REDIS_CONNECT_TIMEOUT_SECONDS="600"
        )

    assert done.code == 69
    assert time.monotonic() - began < 45, "it gives up long before the connect timeout"


async def test_a_wrong_password_is_exit_69_at_once(oxcart: Oxcart, server: PrivateServer) -> None:
    done = await oxcart("counts", REDIS_URL=f"redis://:hunter2@127.0.0.1:{server.port}")

    assert done.code == 69
    assert "password" in done.err
    assert "hunter2" not in done.err


async def test_warnings_go_to_stderr_and_leave_the_answer_alone(oxcart: Oxcart) -> None:
    done = await oxcart("counts", "--json", OXCART_LOCK_DURATON_SECONDS="3")

    assert done.code == 0
    assert done.json["paused"] is False
    assert "Did you mean OXCART_LOCK_DURATION_SECONDS?" in done.err


@pytest.mark.parametrize("debug", [{}, {"OXCART_DEBUG": "1"}, {"LOG_LEVEL": "debug"}])
async def test_a_bug_is_one_sentence_and_a_traceback_only_when_asked_for(tmp_path: Path, debug: dict[str, str]) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", BUG],
        cwd=tmp_path,
        env={**os.environ, **debug},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "Please report it" in done.stderr.splitlines()[-1]
    assert ("Traceback" in done.stderr) == bool(debug)
    assert ("hunter2" in done.stderr) == bool(debug), "an error's text may hold a secret"


async def test_ctrl_c_is_exit_130_and_says_nothing(oxcart: Oxcart, queue: Queue) -> None:
    async with oxcart.running("enqueue", "x", "--wait", "60") as running:
        await wait_until(lambda: running.out, describe="the job was added", timeout=30)

        assert await running.stopped_by(signal.SIGINT) == 130

    assert running.err == ""
    assert (await queue.counts())["waiting"] == 1


async def test_a_reader_that_leaves_is_no_failure(oxcart: Oxcart, queue: Queue) -> None:
    await queue.add_many([("a", {"text": "x" * 2000}) for _ in range(200)])

    done = await asyncio.to_thread(
        subprocess.run,
        f"set -o pipefail; {' '.join(COMMAND)} jobs list --state waiting --limit 200 --json | head -c 1",
        shell=True,
        executable="/bin/bash",
        cwd=oxcart.folder,
        env={**os.environ, **oxcart.environ},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    assert done.stdout == "["
    assert done.stderr == ""


async def test_the_embedded_server_is_shared_by_the_commands_of_a_folder(bare_oxcart: Oxcart) -> None:
    """And its password, which nobody chose, is shown by none of them."""
    added = await bare_oxcart("enqueue", "greet", "--job-id", "one")
    listed = await bare_oxcart("jobs", "list", "--state", "waiting", "--json")

    assert added.last_line == "one"
    assert [job["id"] for job in listed.json] == ["one"]
    password = (bare_oxcart.folder / ".oxcart" / "password").read_text().strip()
    assert password not in added.out + added.err + listed.out + listed.err
