"""Does `run` serve the app it is given, say what is wrong with it, and end when it is told to?"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.command import Done, Oxcart, Running

from oxcart import Queue
from oxcart.testing import wait_until

APP = """
    import asyncio
    from oxcart import Oxcart, Job

    app = Oxcart()
    other = {}

    @app.job("greet")
    async def greet(job: Job) -> str:
        return "Hello " + job.data["name"]

    @app.job("slow")
    async def slow(job: Job) -> str:
        await asyncio.sleep(job.data["seconds"])
        return "done"
"""


def write(oxcart: Oxcart, name: str, text: str) -> None:
    path = oxcart.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")


@asynccontextmanager
async def worker(oxcart: Oxcart, *arguments: str, **environ: str) -> AsyncIterator[Running]:
    """`oxcart run`, connected to Redis, on a free port."""
    async with oxcart.running("run", *arguments, **{"PORT": "0", **environ}) as running:
        await wait_until(
            lambda: running.process.returncode is not None or "redis.ready" in running.events(),
            describe="the worker is ready",
            timeout=30,
        )
        assert running.process.returncode is None, running.err
        yield running


async def test_an_app_of_the_working_directory_adds_to_the_built_ins(oxcart: Oxcart, queue: Queue) -> None:
    write(oxcart, "jobs.py", APP)

    async with worker(oxcart, "jobs:app") as running:
        greeting = await queue.add("greet", {"name": "Ann"})
        built_in = await queue.add("test-job")

        assert await greeting.result(timeout_seconds=20) == "Hello Ann"
        assert (await built_in.result(timeout_seconds=20))["ok"] is True
        assert await running.stopped_by(signal.SIGTERM) == 0
    assert running.events()[-1] == "worker.stopped"
    assert running.err == ""


async def test_an_app_can_be_in_a_package_or_on_pythonpath(oxcart: Oxcart, queue: Queue, tmp_path: Path) -> None:
    write(oxcart, "elsewhere/shop/jobs.py", APP)

    async with worker(oxcart, "shop.jobs:app", PYTHONPATH=str(tmp_path / "elsewhere")):
        added = await queue.add("greet", {"name": "Bo"})

        assert await added.result(timeout_seconds=20) == "Hello Bo"


async def test_the_installed_command_finds_an_app_too(oxcart: Oxcart) -> None:
    """Unlike `python -m`, it does not have the working directory on its path."""
    script = Path(sys.executable).with_name("oxcart")
    process = await asyncio.create_subprocess_exec(
        script,
        "run",
        "jobs:ap",
        cwd=oxcart.folder,
        env={**os.environ, **oxcart.environ},
        stderr=asyncio.subprocess.PIPE,
    )
    write(oxcart, "jobs.py", APP)
    _, err = await process.communicate()

    assert process.returncode == 64
    assert "jobs:app" in err.decode()


async def test_options_win_over_the_environment(oxcart: Oxcart, queue: Queue) -> None:
    other = f"{queue.name}-b"

    async with worker(oxcart, "--queue", other, "--concurrency", "3", "--port", "0", JOB_CONCURRENCY="9") as running:
        started = next(line for line in running.lines() if line["event"] == "worker.started")

    assert started["queue"] == f"{other},oxcart"
    assert started["concurrency"] == 3


async def test_embedded_ignores_the_redis_that_is_set(oxcart: Oxcart) -> None:
    async with worker(oxcart, "--embedded", REDIS_URL="redis://127.0.0.1:1") as running:
        chosen = next(line for line in running.lines() if line["event"] == "redis.target")

    assert chosen["sources"] == ["the embedded server"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_job_that_ends_within_the_grace_is_completed(oxcart: Oxcart, queue: Queue, number: int) -> None:
    write(oxcart, "jobs.py", APP)

    async with worker(oxcart, "jobs:app", OXCART_SHUTDOWN_GRACE_SECONDS="30") as running:
        added = await queue.add("slow", {"seconds": 0.5})
        await wait_for_state(queue, added.id, "active")

        assert await running.stopped_by(number) == 0

    assert await queue.state(added.id) == "completed"


async def test_a_job_that_takes_longer_goes_back_and_the_worker_ends_in_time(oxcart: Oxcart, queue: Queue) -> None:
    write(oxcart, "jobs.py", APP)
    grace_seconds = 1.0

    async with worker(oxcart, "jobs:app", OXCART_SHUTDOWN_GRACE_SECONDS=str(grace_seconds)) as running:
        added = await queue.add("slow", {"seconds": 600})
        await wait_for_state(queue, added.id, "active")
        began = time.monotonic()

        assert await running.stopped_by(signal.SIGTERM) == 0
        seconds = time.monotonic() - began

    assert await queue.state(added.id) == "waiting"
    job = await queue.get(added.id)
    assert job is not None
    assert job.attempts_made == 0
    assert seconds < grace_seconds + 2, "the platform would have killed it"


async def wait_for_state(queue: Queue, job_id: str, state: str) -> None:
    async def is_so() -> bool:
        return await queue.state(job_id) == state

    await wait_until(is_so, describe=f"job {job_id} is {state}", timeout=20)


async def test_it_starts_without_redis_and_waits_for_it(oxcart: Oxcart) -> None:
    async with oxcart.running("run", REDIS_URL="redis://:hunter2@127.0.0.1:1", PORT="0") as running:
        await wait_until(lambda: "redis.lost" in running.events(), describe="Redis is known to be away", timeout=30)

        assert await running.stopped_by(signal.SIGTERM) == 0

    assert "hunter2" not in running.out + running.err


async def test_a_port_that_was_asked_for_and_is_taken_is_exit_1_naming_it(oxcart: Oxcart) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])

        done = await oxcart("run", "--port", port)

    assert done.code == 1
    assert port in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("app", "said"),
    [
        ("jobs", "module:app"),
        (":app", "module:app"),
        ("jobs:", "module:app"),
        ("jbos:app", "Did you mean jobs:app?"),
        ("jobs.py:app", "Did you mean jobs:app?"),
        ("./jobs:app", "Did you mean jobs:app?"),
        ("nowhere.at.all:app", "There is no module nowhere.at.all"),
        ("jobs:ap", "Did you mean jobs:app?"),
        ("jobs:other", "jobs:other is a dict, not an app"),
        ("empty:app", "Declare it there: app = Oxcart()"),
    ],
)
async def test_a_name_that_leads_to_no_app_is_exit_64(oxcart: Oxcart, app: str, said: str) -> None:
    write(oxcart, "jobs.py", APP)
    write(oxcart, "empty.py", "")

    done = await oxcart("run", app)

    assert done.code == 64
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("import no_such_package", "No module named 'no_such_package'"),
        ("def oops(:", "SyntaxError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("from oxcart import Oxcart\napp = Oxcart()\napp.job('')(print)", "@app.job needs the job's name"),
    ],
)
async def test_a_module_that_raises_is_exit_1_with_its_own_traceback(oxcart: Oxcart, text: str, shown: str) -> None:
    write(oxcart, "jobs.py", text)

    done: Done = await oxcart("run", "jobs:app")

    assert done.code == 1
    assert shown in done.err
    assert "jobs.py" in done.err
    assert done.err.splitlines()[-1].startswith("Importing jobs failed")
    assert "importlib" not in done.err, "only the program's own frames"
    assert done.out == ""


async def test_reload_serves_the_new_code_and_survives_a_syntax_error(oxcart: Oxcart, queue: Queue) -> None:
    write(oxcart, "jobs.py", APP)

    async def answer() -> str:
        added = await queue.add("greet", {"name": "Ann"})
        return str(await added.result(timeout_seconds=30))

    async with worker(oxcart, "jobs:app", "--reload") as running:
        assert await answer() == "Hello Ann"

        write(oxcart, "jobs.py", APP.replace('"Hello "', '"Goodbye "'))
        await wait_until(lambda: running.events().count("redis.ready") == 2, describe="it has restarted", timeout=30)
        assert await answer() == "Goodbye Ann"

        write(oxcart, "jobs.py", "def oops(:")
        await wait_until(lambda: "starts again when a file" in running.err, describe="the error is shown", timeout=30)
        assert "SyntaxError" in running.err

        write(oxcart, "jobs.py", APP.replace('"Hello "', '"Welcome back, "'))
        assert await answer() == "Welcome back, Ann"
        assert await running.stopped_by(signal.SIGTERM) == 0


async def test_reload_gives_a_running_job_back(oxcart: Oxcart, queue: Queue) -> None:
    write(oxcart, "jobs.py", APP)

    async with worker(oxcart, "jobs:app", "--reload", OXCART_SHUTDOWN_GRACE_SECONDS="0") as running:
        added = await queue.add("slow", {"seconds": 600})
        await wait_for_state(queue, added.id, "active")
        write(oxcart, "jobs.py", APP.replace("await asyncio.sleep", "await asyncio.sleep(0) #"))

        assert await added.result(timeout_seconds=30) == "done"
        job = await queue.get(added.id)
        assert job is not None
        assert job.attempts_made == 1
        assert await running.stopped_by(signal.SIGINT) == 0


async def test_reload_ends_where_only_the_command_can_be_mended(oxcart: Oxcart) -> None:
    write(oxcart, "jobs.py", APP)

    done = await oxcart("run", "jobs:ap", "--reload")

    assert done.code == 64
    assert "jobs:app" in done.err


# ------------------------------------------------------------------------------------------------ names
async def test_names_of_only_and_except_that_the_app_does_not_have_are_told_with_a_guess(oxcart: Oxcart) -> None:
    write(oxcart, "jobs.py", APP)

    async with worker(oxcart, "jobs:app", "--only", "gret,slow", "--only", "test-job") as running:
        (told,) = [line["message"] for line in running.lines() if line["event"] == "worker.warning"]

    assert told.startswith(
        'OXCART_ONLY_JOBS names "gret", which has no handler here. Did you mean "greet"? Known here: '
    )
    assert "slow" in told


async def test_except_on_the_command_line_replaces_only_of_the_environment(oxcart: Oxcart) -> None:
    write(oxcart, "jobs.py", APP)

    async with worker(oxcart, "jobs:app", "--except", "sloww", OXCART_ONLY_JOBS="greet") as running:
        (told,) = [line["message"] for line in running.lines() if line["event"] == "worker.warning"]

    assert told.startswith('OXCART_EXCEPT_JOBS names "sloww"')


async def test_only_and_except_together_are_refused(oxcart: Oxcart) -> None:
    done = await oxcart("run", "--only", "a", "--except", "b")

    assert done.code == 78
    assert "--only and --except" in done.err
