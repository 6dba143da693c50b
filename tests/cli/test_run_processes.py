"""Does `run --processes` serve one app in several processes, on one embedded server, with one log and one voice?"""

from __future__ import annotations

import asyncio
import signal
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from support.command import Oxcart, Running

from oxcart import Queue
from oxcart.testing import wait_until

APP = """
    import os
    from pathlib import Path
    from oxcart import Oxcart, Job

    if Path("broken").exists():
        with Path("broken").open("a") as file:
            file.write("died\\n")
        os._exit(3)

    app = Oxcart()

    @app.job("who")
    async def who(job: Job) -> int:
        return os.getpid()

    @app.schedule(every_seconds=3600)
    async def hourly(job: Job) -> None:
        return None
"""


@asynccontextmanager
async def processes(oxcart: Oxcart, *arguments: str, **environ: str) -> AsyncIterator[Running]:
    """Two of them, connected to Redis, with an app of the working directory."""
    (oxcart.folder / "jobs.py").write_text(textwrap.dedent(APP), encoding="utf-8")
    async with oxcart.running("run", "jobs:app", "--processes", "2", *arguments, PORT="0", **environ) as running:
        await wait_until(
            lambda: running.process.returncode is not None or running.events().count("redis.ready") == 2,
            describe="both processes are ready",
            timeout=40,
        )
        assert running.process.returncode is None, running.err
        yield running


def members(running: Running) -> list[psutil.Process]:
    return psutil.Process(running.process.pid).children()


async def test_the_app_runs_in_both_and_each_line_says_which(oxcart: Oxcart, queue: Queue) -> None:
    async with processes(oxcart, JOB_CONCURRENCY="1") as running:
        pids: set[object] = set()

        async def both_have_answered() -> bool:
            added = await queue.add_many([("who", None) for _ in range(10)])
            pids.update(await asyncio.gather(*(each.result(timeout_seconds=20) for each in added)))
            return len(pids) == 2

        await wait_until(both_have_answered, describe="both have run a job", timeout=40)
        assert pids == {process.pid for process in members(running)}
        assert await running.stopped_by(signal.SIGTERM) == 0

    numbers = {line["event"]: line.get("process") for line in running.lines()}
    assert numbers["processes.started"] is None
    assert {line["process"] for line in running.lines() if line["event"] == "worker.started"} == {1, 2}
    assert running.err == ""


async def test_a_schedule_is_created_by_one_of_them(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    async with (
        processes(oxcart) as running,
        Queue("oxcart", redis_url) as own,
    ):

        async def is_there() -> bool:
            return [schedule.id for schedule in await own.schedules()] == ["hourly"]

        await wait_until(is_there, describe="the schedule is stored", timeout=20)
        delayed = (await own.counts())["delayed"]
        assert await running.stopped_by(signal.SIGTERM) == 0
        await own.remove_schedule("hourly")

    assert delayed == 1
    assert "worker.warning" not in running.events()


async def test_the_embedded_server_is_shared_and_its_password_shown_nowhere(bare_oxcart: Oxcart) -> None:
    async with processes(bare_oxcart, "--embedded") as running:
        password = _password(bare_oxcart.folder)
        shown = [text for process in members(running) for text in (*process.cmdline(), *process.environ().values())]
        added = await bare_oxcart("enqueue", "who", "--wait", "20")
        ports = {line["port"] for line in running.lines() if line["event"] == "redis.ready"}

        assert added.code == 0, added.err
        assert len(ports) == 1
        assert not any(password in text for text in (*shown, running.out, running.err))
        assert await running.stopped_by(signal.SIGINT) == 0


def _password(folder: Path) -> str:
    from oxcart.connection.embedded_watchdog import read_password

    found = read_password(folder / ".oxcart")
    assert found
    return found


async def test_one_that_dies_before_it_works_is_one_loss_however_often(oxcart: Oxcart) -> None:
    broken = oxcart.folder / "broken"
    async with processes(oxcart) as running:
        broken.touch()
        members(running)[0].kill()
        await wait_until(lambda: broken.read_text().count("died") >= 3, describe="it has died again", timeout=40)
        assert "process.replaced" not in running.events()
        broken.unlink()
        await wait_until(lambda: "process.replaced" in running.events(), describe="it works again", timeout=40)

        assert await running.stopped_by(signal.SIGTERM) == 0

    lost = [line for line in running.lines() if line["event"] == "process.lost"]
    assert [(line.get("signal"), line.get("exitCode")) for line in lost] == [("SIGKILL", None), (None, 3)]
    assert running.events().count("process.replaced") == 1


async def test_on_a_terminal_the_number_is_shown_too(oxcart: Oxcart) -> None:
    (oxcart.folder / "jobs.py").write_text(textwrap.dedent(APP), encoding="utf-8")
    async with oxcart.running("run", "--processes", "2", PORT="0", OXCART_LOG_FORMAT="human") as running:
        await wait_until(
            lambda: running.out.count("Redis connection ready  process=") == 2, describe="both say so", timeout=40
        )
        assert await running.stopped_by(signal.SIGTERM) == 0

    assert "Redis connection ready  process=2 host=" in running.out


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [(("--reload", "--processes", "2"), {}), (("--reload",), {"OXCART_PROCESSES": "2"})],
)
async def test_reload_with_several_is_refused(
    oxcart: Oxcart, arguments: tuple[str, ...], environ: dict[str, str]
) -> None:
    done = await oxcart("run", *arguments, **environ)

    assert done.code == 64
    assert done.err == "--reload follows one process only; run it with --processes 1 (OXCART_PROCESSES).\n"


@pytest.mark.parametrize("place", ["", "1:2", "a:b:c", "1:99999:99998"])
async def test_what_only_the_supervisor_may_say_is_refused_from_others(oxcart: Oxcart, place: str) -> None:
    done = await oxcart("run", "--supervised", place)

    assert done.code == 64
    assert "use --processes" in done.err
    assert done.err.count("\n") == 1


async def test_env_shows_the_number(oxcart: Oxcart) -> None:
    done = await oxcart("env", "--json", OXCART_PROCESSES="3")

    assert done.json["settings"]["OXCART_PROCESSES"] == 3


async def test_the_names_to_run_hold_for_each_process_and_a_wrong_one_is_told_once(oxcart: Oxcart) -> None:
    async with processes(oxcart, "--only", "who,hourli") as running:
        told = [line for line in running.lines() if line["event"] == "worker.warning"]

    assert [(line["process"], line["message"].split(".")[0]) for line in told] == (
        [(1, 'OXCART_ONLY_JOBS names "hourli", which has no handler here')]
    )
    assert 'Did you mean "hourly"?' in told[0]["message"]
