"""Do the programs in examples/ do what their first lines say?"""

from __future__ import annotations

import importlib
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.programs import environment, free_port, run, running

from oxcart import Discard, Queue
from oxcart.testing import run_handler, running_worker, wait_until

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**environment(tmp_path), "PYTHONPATH": str(FOLDER)}


def commands_of(name: str) -> list[str]:
    """The command lines in an example's docstring."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(("oxcart ", "python ", "curl "))]


def shell(line: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", line]


@pytest.mark.parametrize(
    ("name", "answer"),
    [("greeting.py", "Hello Ann"), ("orders.py", {"order": 7, "parcels": 1})],
)
def test_a_worker_and_its_job(name: str, answer: Any, tmp_path: Path, environ: dict[str, str]) -> None:
    serve, enqueue = commands_of(name)

    with running(["bash", "-c", f"exec {serve}"], tmp_path, environ):
        said = run(shell(enqueue), tmp_path, environ)

    assert json.loads(said.splitlines()[-1]) == answer


async def test_a_schedule_is_made_by_its_worker(tmp_path: Path, environ: dict[str, str]) -> None:
    serve, show = commands_of("heartbeat.py")

    with running(["bash", "-c", f"exec {serve}"], tmp_path, environ) as output:
        await wait_until(lambda: output.read_text().count("still here") >= 2, describe="it has run twice", timeout=30)
        listed = run(shell(show), tmp_path, environ)

    assert "beat" in listed
    assert "0 6 * * 1-5 Europe/Madrid" in listed


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flow.py", "{'pages': 3, 'words': 600}\n"),
        ("rate_limited.py", "".join(f"sent {number}\n" for number in range(5))),
    ],
)
def test_a_program_by_itself(name: str, said: str, tmp_path: Path, environ: dict[str, str]) -> None:
    assert run([sys.executable, str(FOLDER / name)], tmp_path, environ) == said


async def test_a_web_server_adds_jobs(
    redis_url: str, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    app = importlib.import_module("greeting").app
    port = free_port()
    command = [sys.executable, str(FOLDER / "producer.py"), str(port)]
    with running(command, tmp_path, {**environ, "REDIS_URL": redis_url}) as output:
        await wait_until(lambda: str(port) in output.read_text(), describe="it listens", timeout=30)
        async with running_worker(app, url=redis_url), Queue("agent-jobs", redis_url) as queue:
            status, added = post(f"http://127.0.0.1:{port}/greet", b'{"name": "Ann"}')
            assert await queue.result(added["id"], timeout_seconds=20) == "Hello Ann"
            refused, reason = post(f"http://127.0.0.1:{port}/greet", b"Ann")
            await queue.pause()
            await queue.obliterate(force=True)

    assert (status, refused) == (202, 400)
    assert "Expecting value" in reason["error"]


def post(url: str, body: bytes) -> tuple[int, Mapping[str, str]]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


async def test_an_order_that_cannot_be_shipped_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    app = importlib.import_module("orders").app

    with pytest.raises(Discard, match="no article sofa"):
        await run_handler(app, "order:ship", {"number": 8, "lines": [{"article": "sofa", "pieces": 1}]})
