"""Does the command itself prove a deploy? `oxcart run` as it is deployed, and `oxcart verify` beside it."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.command import Oxcart, Running
from support.waiting import wait_until

from oxcart import Queue

TOKEN = "the-http-t0ken"
RELEASE = "6bdcd911aa00bb11cc22dd33ee44ff5566778899"


@pytest.fixture
def oxcart(tmp_path: Path) -> Oxcart:
    return Oxcart(tmp_path, {})


@pytest.fixture
async def port(oxcart: Oxcart, redis_url: str, queue_name: str) -> AsyncIterator[int]:
    environ = {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name, "OXCART_RELEASE": RELEASE}
    async with oxcart.running("run", PORT="0", OXCART_HTTP_TOKEN=TOKEN, **environ) as running:
        await wait_until(lambda: _port(running), describe="HTTP answers", timeout=30)
        yield _port(running) or 0
        await running.stopped_by(signal.SIGTERM)


def _port(running: Running) -> int | None:
    return next((line["port"] for line in running.lines() if line["event"] == "http.started"), None)


async def test_a_running_worker_is_proved(oxcart: Oxcart, port: int) -> None:
    done = await oxcart(
        *("verify", f"http://127.0.0.1:{port}", "--expect-release", RELEASE[:8], "--wait", "30s", "--window", "0.1s"),
        OXCART_HTTP_TOKEN=f"{TOKEN},another",
    )

    assert done.code == 0, done.out + done.err
    assert "a job goes through" in done.out
    assert "All is well: 10 checks ok." in done.out
    assert TOKEN not in done.out + done.err


async def test_json_has_the_shape_of_the_doctor(oxcart: Oxcart, port: int, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    done = await oxcart(
        *("verify", f"http://127.0.0.1:{port}", "--json", "--window", "0.1s"),
        *("--token-file", "token", "--expect-release", "ffffffff"),
    )
    wanted = {"id", "group", "title", "state", "evidence", "hint", "docs", "durationMs"}

    assert done.code == 1
    assert set(done.json) == {"schema", "ok", "verdict", "checks"}
    assert (done.json["schema"], done.json["ok"], done.json["verdict"]["id"]) == (1, False, "VERIFY_RELEASE_OLD")
    assert all(set(check) == wanted for check in done.json["checks"])
    assert "docs/doctor.md#verify_release_old" in {check["docs"] for check in done.json["checks"]}


async def test_a_wrong_token_is_one_clear_sentence(oxcart: Oxcart, port: int) -> None:
    done = await oxcart(
        *("verify", f"http://127.0.0.1:{port}", "--json", "--wait", "30", "--window", "0.1s"),
        OXCART_HTTP_TOKEN="not-this-one",
    )

    assert done.code == 1
    assert done.json["verdict"]["id"] == "VERIFY_TOKEN"
    assert "not-this-one" not in done.out + done.err


async def test_by_redis_the_canary_is_a_job_of_the_workers_queue(
    oxcart: Oxcart, port: int, redis_url: str, queue_name: str
) -> None:
    """As an address that is not this machine's gives no free canary, the environment's Redis does."""
    from oxcart.cli.verify import _canary_by_redis

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", redis_url)
        enqueue = _canary_by_redis()
        assert enqueue is not None
        sentence = await enqueue(queue_name)

    assert "was run by Oxcart" in sentence
    async with Queue(queue_name, redis_url) as queue:
        assert (await queue.counts())["completed"] == 1


async def test_a_dead_host_ends_with_69_and_waiting_is_told_on_stderr(oxcart: Oxcart) -> None:
    done = await oxcart("verify", "http://127.0.0.1:9", "--wait", "0.2")

    assert done.code == 69
    assert done.err == "waiting: Nothing listens at 127.0.0.1.\n"
    assert "VERIFY_REFUSED" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify",), "URL"),
        (("verify", "http://x", "--wait", "soon"), "--wait soon"),
        (("verify", "http://x", "--token-file", "missing"), "cannot be read"),
        (("verify", "https://user:hunter2@worker.example"), "Leave it out"),
    ],
)
async def test_a_mistake_is_one_sentence(oxcart: Oxcart, arguments: tuple[str, ...], words: str) -> None:
    done = await oxcart(*arguments)

    assert done.code == 64
    assert words in done.err
    assert "Traceback" not in done.err
    assert "hunter2" not in done.err
    assert done.out == ""


async def test_a_warning_fails_only_with_strict(oxcart: Oxcart, port: int, redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue:
        await queue.add("nobody:handles-this")
        await wait_until(lambda: _is_unknown(port), describe="the worker has met the unknown name")
    arguments = ("verify", f"http://127.0.0.1:{port}", "--window", "0.1s", "--json")

    lenient = await oxcart(*arguments, OXCART_HTTP_TOKEN=TOKEN)
    strict = await oxcart(*arguments, "--strict", OXCART_HTTP_TOKEN=TOKEN)

    assert (lenient.code, strict.code) == (0, 1), lenient.out
    assert strict.json["ok"] is True


def _is_unknown(port: int) -> bool:
    from support.http_site import ask

    return "nobody:handles-this" in json.dumps(ask(port, "/health").content)
