"""Does the image start, say that it lives, and stop as it should? Its commands are run as written, without Docker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.waiting import wait_until

from oxcart import Queue
from oxcart.deploy.files import Kind, files_for
from oxcart.deploy.project import Packages, Project

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@dataclass
class Stage:
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [value for instruction, value in self.instructions if instruction == name]


def parse(text: str) -> list[Stage]:
    """Instructions by stage: continued lines joined, comments left out; what is no instruction fails."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, value = line.partition(" ")
        assert name in {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}, line
        if name == "FROM":
            stages.append(Stage(value))
        else:
            stages[-1].instructions.append((name, value.strip()))
    return stages


def dockerfiles() -> dict[str, str]:
    found = {"this repository": (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")}
    for packages in Packages:
        project = Project("crm", packages, "crm.jobs:app", "oxcart==0.1.0")
        (content,) = [file.content for file in files_for(Kind.DOCKER, project) if file.path == "Dockerfile"]
        found[f"a project with {packages.value or 'no list of packages'}"] = content
    return found


@pytest.fixture(params=list(dockerfiles()))
def image(request: pytest.FixtureRequest) -> list[Stage]:
    return parse(dockerfiles()[request.param])


def command_of(stage: Stage) -> list[str]:
    (command,) = stage.all("CMD")
    words: list[str] = json.loads(command)
    return words


def test_the_worker_is_process_one_and_no_root(image: list[Stage]) -> None:
    final = image[-1]

    assert command_of(final)[:2] == ["oxcart", "run"], "exec form: a shell would keep SIGTERM to itself"
    (user,) = final.all("USER")
    assert int(user) > 0
    order = [name for name, _ in final.instructions]
    assert order.index("USER") > max(index for index, name in enumerate(order) if name in {"RUN", "COPY"})


def test_the_final_stage_is_slim_and_builds_nothing(image: list[Stage]) -> None:
    build, final = image

    assert "-slim" in final.base
    assert build.base.endswith("AS build")
    assert not re.search(r"pip|apt|gcc|uv sync", " ".join(final.all("RUN")))
    assert "--from=build /venv /venv" in final.all("COPY")
    assert build.base.split("-")[0] == final.base.split("-")[0], "one Python in both, or /venv does not run"


def test_nothing_secret_is_baked_in(image: list[Stage]) -> None:
    for stage in image:
        assert not re.search(r"TOKEN|PASSWORD|SECRET|KEY|_URL", " ".join(stage.all("ENV")))
    project = Project("crm", Packages.NONE, None, "oxcart==0.1.0")
    (ignored,) = [file.content for file in files_for(Kind.DOCKER, project) if file.path == ".dockerignore"]
    assert {".env", ".env.*", ".git", "*.pem", ".oxcart"} <= set(ignored.splitlines())


def health_command(stage: Stage) -> list[str]:
    (check,) = stage.all("HEALTHCHECK")
    words: list[str] = json.loads(check[check.index("CMD") + 3 :])
    return words


@pytest.fixture
def started(redis_url: str, queue_name: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The start command of this repository's image, without a shell, PORT as a platform sets it."""
    log = tmp_path / "log"
    words = command_of(parse((ROOT / "deploy" / "Dockerfile").read_text())[-1])
    environ = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "REDIS_URL": redis_url,
        "JOB_QUEUE_NAME": queue_name,
        "PORT": "0",
        "RAILWAY_ENVIRONMENT_NAME": "production",
        "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "8",
    }
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=stream, cwd=tmp_path, env=environ)
    yield process, log
    if process.poll() is None:
        process.kill()
        process.wait()


def port_in(log: Path) -> int:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return next((line["port"] for line in lines if line["event"] == "http.started"), 0)


async def test_the_start_command_works_and_sigterm_ends_it_with_0(
    started: tuple[subprocess.Popen[bytes], Path], redis_url: str, queue_name: str
) -> None:
    process, log = started
    async with Queue(queue_name, redis_url) as queue:
        added = await queue.add("test-job")
        result = await added.result(timeout_seconds=30)
    assert result["ok"] is True

    process.send_signal(signal.SIGTERM)

    assert process.wait(8) == 0, log.read_text()
    assert "worker.stopped" in log.read_text()


async def test_the_health_check_says_alive_and_then_dead(started: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, log = started
    await wait_until(lambda: port_in(log), describe="HTTP answers", timeout=30)
    words = health_command(parse((ROOT / "deploy" / "Dockerfile").read_text())[-1])
    command = [sys.executable, *words[1:]]
    environ = {**os.environ, "PORT": str(port_in(log)), "http_proxy": "http://127.0.0.1:9"}

    alive = subprocess.run(command, env=environ, check=False, capture_output=True)
    process.send_signal(signal.SIGTERM)
    process.wait(8)
    dead = subprocess.run(command, env=environ, check=False, capture_output=True)

    assert alive.returncode == 0, alive.stderr
    assert dead.returncode != 0


def test_every_health_check_is_the_same(image: list[Stage]) -> None:
    ours = parse((ROOT / "deploy" / "Dockerfile").read_text())[-1]

    assert health_command(image[-1]) == health_command(ours)
