"""Do the `jobs` commands show jobs as they are, and change those that were named and no others?"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from support.command import Oxcart

from oxcart import Job, Queue
from oxcart import Oxcart as App
from oxcart.testing import running_worker, wait_until


def handlers() -> App:
    app = App()

    @app.job("fails")
    async def fails(job: Job[Any]) -> None:
        await job.log("about to \x1b[31mfail")
        raise ValueError(f"no such {job.data['what']}")

    @app.job("part")
    async def part(job: Job[Any]) -> int:
        return 20

    @app.job("sleeps", attempts=2, backoff="fixed:60s")
    async def sleeps(job: Job[Any]) -> None:
        await asyncio.sleep(60)

    @app.job("whole")
    async def whole(job: Job[Any]) -> int:
        return 42

    return app


async def failed_jobs(queue: Queue, redis_url: str, *what: str) -> list[str]:
    """Ids of jobs that failed with "no such WHAT"."""
    async with running_worker(handlers(), url=redis_url, queue=queue.name):
        ids = [(await queue.add("fails", {"what": item})).id for item in what]
        await wait_until_failed(queue, len(ids))
    return ids


async def wait_until_failed(queue: Queue, number: int) -> None:
    async def have_failed() -> bool:
        return (await queue.counts())["failed"] == number

    await wait_until(have_failed, describe=f"{number} jobs have failed")


async def test_list_shows_failed_jobs_newest_first(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    ids = await failed_jobs(queue, redis_url, "invoice")
    ids += [(await queue.add("waits")).id]

    done = await oxcart("jobs", "list", "--json")

    assert done.code == 0
    [job] = done.json
    assert (job["id"], job["name"], job["state"], job["queue"]) == (ids[0], "fails", "failed", queue.name)
    assert job["failedReason"] == "no such invoice"
    assert job["data"] == {"what": "invoice"}
    assert job["attemptsMade"] == 1
    assert job["finishedOn"].endswith("Z")


async def test_list_for_people_is_a_line_a_job_with_its_reason(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    [job_id] = await failed_jobs(queue, redis_url, "invoice")

    done = await oxcart("jobs", "list", TZ="Asia/Kolkata")

    heading, line = done.out.splitlines()
    assert heading.split() == ["ID", "NAME", "FAILED", "TRIES", "FAILED", "WITH"]
    assert line.split()[:2] == [job_id, "fails"]
    assert "+05:30" in line
    assert line.endswith("no such invoice")


@pytest.mark.parametrize("columns", [60, 100, 200])
async def test_a_terminal_of_any_width_shows_ids_and_cuts_only_the_reason(
    oxcart: Oxcart, queue: Queue, redis_url: str, columns: int
) -> None:
    [job_id] = await failed_jobs(queue, redis_url, "invoice " + "x" * 300)
    terminal, end = os.openpty()

    process = await asyncio.create_subprocess_exec(
        *oxcart.command,
        "jobs",
        "list",
        cwd=oxcart.folder,
        env={**os.environ, **oxcart.environ, "COLUMNS": str(columns)},
        stdout=end,
    )
    assert await process.wait() == 0
    lines = os.read(terminal, 65536).decode().splitlines()
    os.close(terminal)
    os.close(end)

    shown = job_id if columns >= 100 else f"…{job_id[-8:]}"
    assert any(line.startswith(shown) for line in lines)
    assert (await oxcart("jobs", "show", shown, "--json")).json["id"] == job_id, "what is shown can be pasted"
    [reason] = [line for line in lines if "no such invoice" in line]
    assert reason.endswith("…")
    assert len(reason) <= columns


async def test_list_shows_a_state_up_to_a_limit(oxcart: Oxcart, queue: Queue) -> None:
    added = [(await queue.add("later", {"n": n}, delay_seconds=60 + n)).id for n in range(3)]

    as_json = await oxcart("jobs", "list", "--state", "delayed", "--limit", "2", "--json")
    for_people = await oxcart("jobs", "list", "--state", "delayed", "--limit", "2")

    assert [job["id"] for job in as_json.json] == added[:2]
    assert "2 of 3 delayed jobs" in for_people.out


async def test_an_empty_list_says_where_the_jobs_are(oxcart: Oxcart, queue: Queue) -> None:
    await queue.add("waits")

    assert (await oxcart("jobs", "list")).out == f"No failed jobs in {queue.name}. There are 1 waiting: see --state.\n"
    assert (await oxcart("jobs", "list", "--json")).json == []


async def test_show_has_everything_about_a_job(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    [job_id] = await failed_jobs(queue, redis_url, "invoice")

    details = (await oxcart("jobs", "show", job_id, "--json")).json
    page = (await oxcart("jobs", "show", job_id)).out

    assert details["logs"] == ["about to \x1b[31mfail"]
    assert details["stacktrace"][0].endswith("ValueError: no such invoice\n")
    assert details["opts"] == {"attempts": 0}
    assert {"attemptsStarted", "stalledCounter", "parentKey", "childrenValues"} <= set(details)
    assert "failed with  no such invoice" in page
    assert "ValueError: no such invoice" in page
    assert '{"what":"invoice"}' in page
    assert "about to \\u001b[31mfail" in page, "a job's text must not colour the terminal"


async def test_show_has_the_values_of_children(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    async with running_worker(handlers(), url=redis_url, queue=queue.name):
        flow = await queue.add_flow({"name": "whole", "children": [{"name": "part"}]})
        assert await queue.result(flow.id, timeout_seconds=20) == 42

    details = (await oxcart("jobs", "show", flow.id, "--json")).json

    assert details["returnvalue"] == 42
    assert list(details["childrenValues"].values()) == [20]
    assert details["state"] == "completed"


async def test_show_shows_a_job_that_nobody_can_read(oxcart: Oxcart, queue: Queue, redis: Any) -> None:
    """A job written by something broken is what an operator most needs to see."""
    job_id = (await queue.add("odd")).id
    key = queue.keys.job(job_id)
    await redis.hset(key, mapping={"data": "{no json", "opts": "[", "timestamp": "9" * 30, "progress": "{"})

    details = await oxcart("jobs", "show", job_id, "--json")
    page = await oxcart("jobs", "show", job_id)

    assert details.json["data"] == "{no json"
    assert details.json["timestamp"] is None
    assert page.code == 0
    assert "{no json" in page.out


async def test_logs_are_printed_line_by_line(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    [job_id] = await failed_jobs(queue, redis_url, "invoice")

    assert (await oxcart("jobs", "logs", job_id)).out == "about to \\u001b[31mfail\n"
    assert (await oxcart("jobs", "logs", job_id, "--json")).json == ["about to \x1b[31mfail"]


async def test_retry_puts_named_jobs_back(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    first, second = await failed_jobs(queue, redis_url, "invoice", "contact")

    done = await oxcart("jobs", "retry", first, "--json")

    assert done.json == {"queue": queue.name, "retried": [first], "problems": []}
    assert (await queue.state(first), await queue.state(second)) == ("waiting", "failed")


async def test_retry_by_reason_takes_those_that_failed_for_it(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    first, second, third = await failed_jobs(queue, redis_url, "invoice", "contact", "invoice")

    done = await oxcart("jobs", "retry", "--reason", "no such inv", "--limit", "1")

    assert done.out == f"Retried 1 failed jobs of {queue.name}.\n"
    assert [await queue.state(job_id) for job_id in (first, second, third)] == ["waiting", "failed", "failed"]


async def test_retry_all_takes_every_failed_job(oxcart: Oxcart, queue: Queue, redis_url: str) -> None:
    ids = await failed_jobs(queue, redis_url, "invoice", "contact")

    done = await oxcart("jobs", "retry", "--all", "--reset-attempts", "--json")

    assert sorted(done.json["retried"]) == sorted(ids)
    job = await queue.get(ids[0])
    assert job is not None
    assert job.attempts_made == 0


async def test_one_job_that_cannot_be_changed_does_not_stop_the_others(oxcart: Oxcart, queue: Queue) -> None:
    ids = [(await queue.add("a", delay_seconds=60)).id for _ in range(2)]

    done = await oxcart("jobs", "promote", ids[0], "nowhere", ids[1])

    assert done.code == 1
    assert done.out == f"promoted {ids[0]}\npromoted {ids[1]}\n"
    assert done.err.count("\n") == 1
    assert "nowhere" in done.err
    assert (await queue.counts())["waiting"] == 2


async def test_one_job_is_removed_without_asking_and_several_only_with_yes(oxcart: Oxcart, queue: Queue) -> None:
    ids = [(await queue.add("a")).id for _ in range(3)]

    one = await oxcart("jobs", "remove", ids[0])
    refused = await oxcart("jobs", "remove", ids[1], ids[2])
    counts_between = await queue.counts()
    several = await oxcart("jobs", "remove", ids[1], ids[2], "--yes", "--json")

    assert (one.code, one.out) == (0, f"removed {ids[0]}\n")
    assert refused.code == 64
    assert "--yes" in refused.err
    assert counts_between["waiting"] == 2
    assert several.json["removed"] == ids[1:]
    assert (await queue.counts())["waiting"] == 0


@pytest.mark.parametrize("command", ["show", "logs", "retry", "remove", "promote"])
async def test_an_unknown_id_is_exit_1_and_one_sentence(oxcart: Oxcart, command: str) -> None:
    done = await oxcart("jobs", command, "nowhere")

    assert done.code == 1
    assert "nowhere" in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--state", "bogus"), "waiting-children"),
        (("list", "--limit", "0"), "--limit"),
        (("show",), "ID"),
        (("retry",), "--all"),
        (("retry", "a", "--all"), "either"),
        (("retry", "a", "--limit", "3"), "--limit"),
        (("lst",), "list"),
    ],
)
async def test_a_mistake_is_exit_64_and_one_sentence(oxcart: Oxcart, arguments: tuple[str, ...], said: str) -> None:
    done = await oxcart("jobs", *arguments)

    assert done.code == 64
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(("options", "state"), [((), "failed"), (("--retry",), "delayed")])
async def test_a_running_job_is_stopped_with_a_reason(
    oxcart: Oxcart, queue: Queue, redis_url: str, options: tuple[str, ...], state: str
) -> None:
    async with running_worker(handlers(), url=redis_url, queue=queue.name, lock_duration_ms=1000):
        added = await queue.add("sleeps")
        await wait_until(lambda: has_state(queue, added.id, "active"), describe="it runs")

        done = await oxcart("jobs", "cancel", added.id, "--because", "the account is closed", *options)
        await wait_until(lambda: has_state(queue, added.id, state), describe=f"it is {state}")

    job = await queue.get(added.id)
    assert done.code == 0, done.err
    assert job is not None
    assert "cancelled on request: the account is closed" in f"{job.failed_reason} {job.stacktrace}"


async def has_state(queue: Queue, job_id: str, state: str) -> bool:
    return await queue.state(job_id) == state
