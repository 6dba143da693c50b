"""Do pause, resume, drain, clean, limit and the schedules commands change what they say, and only when allowed to?"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from support.command import Oxcart

from oxcart import Job, Queue, Repeat
from oxcart import Oxcart as App
from oxcart.testing import running_worker


async def test_pause_and_resume_switch_a_queue(oxcart: Oxcart, queue: Queue) -> None:
    paused = await oxcart("pause", "--json")
    assert paused.json == {"queue": queue.name, "paused": True}
    assert await queue.is_paused()

    resumed = await oxcart("resume", "--json")
    assert resumed.json == {"queue": queue.name, "paused": False}
    assert not await queue.is_paused()


async def test_drain_removes_what_waits(oxcart: Oxcart, queue: Queue) -> None:
    await queue.add("a")
    await queue.add("b", priority=2)
    later = await queue.add("c", delay_seconds=60)

    done = await oxcart("drain", "--yes", "--json")

    assert done.json["removed"] == 2
    assert await queue.state(later.id) == "delayed"
    assert (await oxcart("drain", "--delayed", "--yes")).out == f"Removed 1 jobs of {queue.name}.\n"


async def test_clean_removes_old_jobs_of_a_state(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    app = App()

    @app.job("quick")
    async def quick(job: Job[Any]) -> None:
        return

    async with running_worker(app, url=redis_url, queue=queue.name):
        added = await queue.add("quick")
        await added.result(timeout_seconds=20)

    kept = await oxcart("clean", "--older-than", "1h", "--yes", "--json")
    removed = await oxcart("clean", "--state", "completed", "--yes", "--json")

    assert kept.json == {"queue": queue.name, "state": "completed", "removed": []}
    assert removed.json["removed"] == [added.id]


@pytest.mark.parametrize("command", ["drain", "clean"])
async def test_nothing_is_removed_where_nobody_can_be_asked(oxcart: Oxcart, queue: Queue, command: str) -> None:
    added = await queue.add("a")

    done = await oxcart(command, *(("--state", "waiting") if command == "clean" else ()), stdin="y\n")

    assert done.code == 64
    assert "--yes" in done.err
    assert done.err.count("\n") == 1
    assert await queue.state(added.id) == "waiting"


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 1), ("", 1, 1), ("y", 0, 0)])
async def test_a_person_at_a_terminal_is_asked(oxcart: Oxcart, queue: Queue, answer: str, code: int, left: int) -> None:
    await queue.add("a")
    terminal, end = os.openpty()

    process = await asyncio.create_subprocess_exec(
        *oxcart.command,
        "drain",
        cwd=oxcart.folder,
        env={**os.environ, **oxcart.environ},
        stdin=end,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    os.write(terminal, f"{answer}\n".encode())
    out, err = await process.communicate()
    os.close(terminal)
    os.close(end)

    assert process.returncode == code
    assert f"Remove 1 waiting jobs of {queue.name}? [y/N]" in err.decode()
    assert ("Removed 1 jobs" in out.decode()) == (code == 0)
    assert ("Nothing was changed" in err.decode()) == (code == 1)
    assert (await queue.counts())["waiting"] == left


async def test_limits_are_set_shown_and_lifted(oxcart: Oxcart, queue: Queue) -> None:
    done = await oxcart("limit", "--concurrency", "3", "--rate", "100/60s", "--json")
    assert done.json == {"queue": queue.name, "concurrency": 3, "rate": {"max": 100, "durationMs": 60_000}}
    assert await queue.limits() == {"concurrency": 3, "max": 100, "duration": 60_000}

    shown = await oxcart("limit")
    assert "3 jobs at once" in shown.out
    assert "100 jobs per 1 min" in shown.out

    lifted = await oxcart("limit", "--concurrency", "none", "--rate", "none", "--json")
    assert lifted.json == {"queue": queue.name, "concurrency": None, "rate": None}


async def test_a_rate_can_leave_out_the_one(oxcart: Oxcart) -> None:
    assert (await oxcart("limit", "--rate", "5/s", "--json")).json["rate"] == {"max": 5, "durationMs": 1000}


async def test_schedules_are_listed_run_and_removed(oxcart: Oxcart, queue: Queue) -> None:
    await queue.upsert_schedule("nightly", Repeat(cron="0 3 * * *", tz="Europe/Madrid"), name="sync", data={"all": 1})
    await queue.upsert_schedule("often", Repeat(every_seconds=3600))

    listed = (await oxcart("schedules", "list", "--json")).json
    for_people = await oxcart("schedules", "list")
    ran = await oxcart("schedules", "run-now", "nightly")
    removed = await oxcart("schedules", "remove", "nightly", "--json")

    nightly = next(schedule for schedule in listed if schedule["id"] == "nightly")
    assert (nightly["cron"], nightly["tz"], nightly["name"], nightly["queue"]) == (
        "0 3 * * *",
        "Europe/Madrid",
        "sync",
        queue.name,
    )
    assert nightly["data"] == {"all": 1}
    assert nightly["next"].endswith("Z")
    assert "0 3 * * * Europe/Madrid" in for_people.out
    assert "every 1 h" in for_people.out
    job = await queue.get(ran.last_line)
    assert job is not None
    assert (job.name, job.data) == ("sync", {"all": 1})
    assert removed.json == {"queue": queue.name, "removed": "nightly"}
    assert [schedule.id for schedule in await queue.schedules()] == ["often"]


@pytest.mark.parametrize("command", ["remove", "run-now"])
async def test_an_unknown_schedule_is_exit_1(oxcart: Oxcart, command: str) -> None:
    done = await oxcart("schedules", command, "nowhere")

    assert done.code == 1
    assert "nowhere" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("limit", "--concurrency", "0"), "from 1 on"),
        (("limit", "--concurrency", "many"), "from 1 on"),
        (("limit", "--rate", "5"), "100/60s"),
        (("limit", "--rate", "5/"), "100/60s"),
        (("limit", "--rate", "x/s"), "100/60s"),
        (("limit", "--rate", "5/fortnight"), "100/60s"),
        (("clean", "--state", "bogus", "--yes"), "bogus"),
        (("clean", "--state", "waiting-children", "--yes"), "cannot be cleaned"),
        (("clean", "--older-than", "soon", "--yes"), "soon"),
        (("clean", "--limit", "-1", "--yes"), "--limit"),
        (("pause", "--queue", "a:b"), '":"'),
    ],
)
async def test_a_mistake_is_exit_64_and_one_sentence(oxcart: Oxcart, arguments: tuple[str, ...], said: str) -> None:
    done = await oxcart(*arguments)

    assert done.code == 64
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
