"""Does `enqueue` add exactly the job it was told to, and say what came of it?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.command import Oxcart

from oxcart import Job, Queue
from oxcart import Oxcart as App
from oxcart.testing import running_worker, wait_until


def handlers() -> App:
    app = App()

    @app.job("double")
    async def double(job: Job[dict[str, int]]) -> dict[str, Any]:
        return {"doubled": job.data["n"] * 2, "name": "Zoë"}

    @app.job("fails")
    async def fails(job: Job[Any]) -> None:
        raise ValueError("no such invoice")

    @app.job("leaves-nothing", keep_completed=False)
    async def leaves_nothing(job: Job[Any]) -> int:
        return 7

    return app


async def test_the_last_line_is_the_id_of_the_job_that_was_added(oxcart: Oxcart, queue: Queue) -> None:
    done = await oxcart(
        "enqueue", "greet", "--data", '{"name": "Ann"}', "--priority", "3", "--attempts", "4", "--backoff", "fixed:2s"
    )

    assert done.code == 0
    job = await queue.get(done.last_line)
    assert job is not None
    assert (job.name, job.data, job.priority) == ("greet", {"name": "Ann"}, 3)
    assert job.options.attempts == 4
    assert job.options.backoff is not None
    assert (job.options.backoff.kind, job.options.backoff.delay_ms) == ("fixed", 2000)
    assert done.err == ""


async def test_without_data_it_is_an_empty_object(oxcart: Oxcart, queue: Queue) -> None:
    job = await queue.get((await oxcart("enqueue", "greet")).last_line)

    assert job is not None
    assert job.data == {}


async def test_data_can_come_from_a_file_or_from_stdin(oxcart: Oxcart, queue: Queue) -> None:
    (oxcart.folder / "data.json").write_text('\ufeff{"from": "Zoë"}', encoding="utf-8")

    from_file = await oxcart("enqueue", "a", "--data", "@data.json")
    from_stdin = await oxcart("enqueue", "a", "--data", "-", stdin='["stdin"]')

    job = await queue.get(from_file.last_line)
    assert job is not None
    assert job.data == {"from": "Zoë"}
    job = await queue.get(from_stdin.last_line)
    assert job is not None
    assert job.data == ["stdin"]


async def test_a_job_can_be_delayed_and_named(oxcart: Oxcart, queue: Queue) -> None:
    done = await oxcart("enqueue", "a", "--delay", "60", "--job-id", "mine", "--json")

    assert done.json == {"id": "mine", "name": "a", "queue": queue.name}
    assert await queue.state("mine") == "delayed"
    job = await queue.get("mine")
    assert job is not None
    assert job.delay_ms == 60_000


async def test_with_wait_the_last_line_is_the_return_value(oxcart: Oxcart, redis_url: str, queue: Queue) -> None:
    async with running_worker(handlers(), url=redis_url, queue=queue.name):
        done = await oxcart("enqueue", "double", "--data", '{"n": 21}', "--wait", "30")

    assert done.code == 0
    job_id, value = done.out.splitlines()
    assert json.loads(value) == {"doubled": 42, "name": "Zoë"}
    assert await queue.state(job_id) == "completed"


async def test_with_wait_and_json_all_is_one_object(oxcart: Oxcart, redis_url: str, queue: Queue) -> None:
    async with running_worker(handlers(), url=redis_url, queue=queue.name):
        done = await oxcart("enqueue", "double", "--data", '{"n": 1}', "--wait", "30", "--json")

    assert set(done.json) == {"id", "name", "queue", "returnvalue"}
    assert done.json["returnvalue"]["doubled"] == 2


async def test_a_job_that_fails_is_exit_1_with_its_reason(oxcart: Oxcart, redis_url: str, queue: Queue) -> None:
    async with running_worker(handlers(), url=redis_url, queue=queue.name):
        done = await oxcart("enqueue", "fails", "--wait", "30")

    assert done.code == 1
    assert await queue.state(done.last_line) == "failed"
    assert "no such invoice" in done.err


async def test_no_end_in_time_is_exit_3_and_the_job_stays(oxcart: Oxcart, queue: Queue) -> None:
    done = await oxcart("enqueue", "later", "--wait", "0.2")

    assert done.code == 3
    assert await queue.state(done.last_line) == "waiting"
    assert "did not finish within 0.2 s" in done.err
    assert "No worker is connected" in done.err


async def test_a_result_that_is_not_kept_is_exit_0_or_its_value(oxcart: Oxcart, redis_url: str, queue: Queue) -> None:
    """The event still has it, if the command was reading in time; else it says that it is gone."""
    async with running_worker(handlers(), url=redis_url, queue=queue.name):
        done = await oxcart("enqueue", "leaves-nothing", "--wait", "30")

    assert done.code == 0
    assert done.last_line == "7" or "not kept" in done.err


async def test_a_result_that_is_gone_is_exit_0_with_a_note(oxcart: Oxcart, queue: Queue) -> None:
    """The job is removed while the command waits for it: it has ended, and how can no longer be known."""
    async with oxcart.running("enqueue", "later", "--wait", "50") as running:
        await wait_until(lambda: running.out.endswith("\n"), describe="the id was printed", timeout=30)
        await queue.remove(running.out.strip())

        await wait_until(lambda: running.process.returncode is not None, describe="it has ended", timeout=30)

    assert running.process.returncode == 0
    assert "its result is not kept" in running.err


@pytest.mark.parametrize(
    ("data", "where", "caret"),
    [
        ("{bad", "line 1, column 2", "  {bad\n   ^"),
        ("{'a': 1}", "line 1, column 2", "  {'a': 1}\n   ^"),
        ('{"a": 1', "line 1, column 8", '  {"a": 1\n         ^'),
        ('{\n  "a": 1,\n}', "line 3, column 1", "  }\n  ^"),
        ("[1, 2] 3", "line 1, column 8", "  [1, 2] 3\n         ^"),
    ],
)
async def test_broken_json_is_shown_where_it_breaks(oxcart: Oxcart, data: str, where: str, caret: str) -> None:
    done = await oxcart("enqueue", "x", "--data", data)

    assert done.code == 64
    assert where in done.err
    assert done.err.endswith(f"\n{caret}\n")
    assert done.out == ""


async def test_a_long_line_is_shown_around_the_place_where_it_breaks(oxcart: Oxcart) -> None:
    done = await oxcart("enqueue", "x", "--data", json.dumps(["abc"] * 200)[:-1] + " oops")

    shown, caret = done.err.splitlines()[-2:]
    assert len(shown) < 120
    assert shown[len(caret) - 1 :].startswith("oops")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", ""), "it is empty"),
        (("--data", "NaN"), "NaN is no JSON"),
        (("--data", "[9007199254740993]"), "9007199254740993"),
        (("--data", "[" * 100_000), "nested too deeply"),
        (("--data", "@missing.json"), "No such file"),
        (("--job-id", "12"), "Add a letter"),
        (("--job-id", "a:b"), '":"'),
        (("--job-id", "completed"), "under this name"),
        (("--delay", "-1"), "--delay"),
        (("--delay", "nan"), "no number"),
        (("--priority", "99999999"), "priority"),
        (("--attempts", "0"), "--attempts"),
        (("--backoff", "linear:5s"), "exponential:5s"),
        (("--wait", "0"), "above 0"),
        (("--wait", "inf"), "above 0"),
        (("--queue", "a:b"), '":"'),
        (("{}",), "unexpected"),
    ],
)
async def test_what_cannot_be_added_is_one_sentence_and_adds_nothing(
    oxcart: Oxcart, queue: Queue, arguments: tuple[str, ...], said: str
) -> None:
    done = await oxcart("enqueue", "x", *arguments)

    assert done.code == 64
    assert said in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert sum((await queue.counts()).values()) == 0


async def test_data_on_stdin_that_is_no_text_is_refused(oxcart: Oxcart) -> None:
    (oxcart.folder / "data.bin").write_bytes(b'{"a": "\xff"}')

    done = await oxcart("enqueue", "x", "--data", "@data.bin")

    assert done.code == 64
    assert "UTF-8" in done.err


async def test_an_id_that_exists_is_told_and_its_old_value_is_not_presented(
    oxcart: Oxcart, redis_url: str, queue: Queue
) -> None:
    async with running_worker(handlers(), url=redis_url, queue=queue.name):
        first = await oxcart("enqueue", "double", "--data", '{"n": 1}', "--job-id", "mine", "--wait", "10")
        again = await oxcart("enqueue", "double", "--data", '{"n": 2}', "--job-id", "mine", "--wait", "10")
        plain = await oxcart("enqueue", "double", "--job-id", "mine", "--json")

    assert (first.code, again.code, plain.code) == (0, 1, 0)
    assert again.out == "mine\n"
    assert f"Nothing was added: the job mine of {queue.name} exists, and is completed." in again.err
    assert plain.json == {"id": "mine", "name": "double", "queue": queue.name, "added": False, "state": "completed"}


async def test_a_deduplicated_job_is_told(oxcart: Oxcart, queue: Queue) -> None:
    first = await oxcart("enqueue", "x", "--dedup", "once", "--dedup-ttl", "60")
    again = await oxcart("enqueue", "x", "--dedup", "once")

    assert again.out == first.out
    assert f"Nothing was added: the job {first.out.strip()} of {queue.name} exists, and is waiting." in again.err


async def test_a_job_has_the_options_that_were_given(oxcart: Oxcart, queue: Queue) -> None:
    parent = await queue.add_flow({"name": "root", "children": [{"name": "leaf"}]})

    await oxcart("enqueue", "a")
    done = await oxcart(
        *("enqueue", "b", "--lifo", "--timeout", "1.5", "--keep", "7"),
        *("--parent", parent.id, "--on-failure", "ignore_dependency"),
    )
    kept = await oxcart("enqueue", "c", "--keep", "few")

    *_, lifo = sorted(await queue.jobs("waiting"), key=lambda job: job.id == done.out.strip())
    assert (await queue.jobs("waiting"))[0].id == lifo.id
    assert lifo.options.to_wire() == {
        "attempts": 0,
        "lifo": True,
        "removeOnComplete": 7,
        "removeOnFail": 7,
        "timeout": 1500,
        "idof": True,
        "parent": {"id": parent.id, "queue": queue.keys.qualified_name},
    }
    assert (kept.code, "give a number of jobs, all or none" in kept.err) == (64, True)
