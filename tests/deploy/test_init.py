"""Does `oxcart init` write files that work, keep what is there, and say what is left to do?"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.command import Oxcart

APP = "from oxcart import Oxcart\n\napp = Oxcart()\n\n\n@app.job('greet')\nasync def greet(job): ...\n"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def oxcart(tmp_path: Path) -> Oxcart:
    return Oxcart(tmp_path, {})


def evaluated(path: Path) -> tuple[str, dict[str, Any]]:
    """As Railway's command line evaluates it: a module on its own, its PARTIAL, and what main() returns, as JSON."""
    pytest.importorskip("railway_sdk")
    spec = importlib.util.spec_from_file_location("railway_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    graph = json.loads(json.dumps(module.main().to_graph()))
    return module.PARTIAL, graph


def yaml_of(path: Path) -> Any:
    return pytest.importorskip("yaml").safe_load(path.read_text(encoding="utf-8"))


async def test_railway_gets_an_image_and_its_settings(oxcart: Oxcart, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)

    done = await oxcart("init", "railway", "--service", "Worker")

    assert done.code == 0, done.err
    assert "Generate Domain" in done.out
    assert "oxcart verify" in done.out
    partial, graph = evaluated(tmp_path / ".railway" / "railway.py")
    (service,) = graph["resources"]
    assert (partial, service["name"]) == ("Worker", "Worker")
    assert service["deploy"] == {
        "restartPolicyType": "ON_FAILURE",
        "restartPolicyMaxRetries": 10,
        "preDeployCommand": ["oxcart doctor app:app"],
        "healthcheckPath": "/health",
        "healthcheckTimeout": 120,
        "numReplicas": 1,
    }
    variables = service["variables"]
    assert variables["RAILWAY_DEPLOYMENT_DRAINING_SECONDS"] == {"type": "literal", "value": "60"}
    assert variables["UPSTASH_REDIS_REST_TOKEN"] == {"type": "preserve"}, "no secret is in the file"


def test_the_file_of_this_repository_differs_only_in_where_its_image_is_described() -> None:
    from oxcart.deploy.files import railway_file

    expected = railway_file("oxcart", "worker", variables={"RAILWAY_DOCKERFILE_PATH": "deploy/Dockerfile"})

    assert (ROOT / ".railway" / "railway.py").read_text(encoding="utf-8") == expected
    _, graph = evaluated(ROOT / ".railway" / "railway.py")
    assert graph["resources"][0]["variables"]["RAILWAY_DOCKERFILE_PATH"]["value"] == "deploy/Dockerfile"


async def test_docker_gets_a_worker_with_what_it_needs(oxcart: Oxcart, tmp_path: Path) -> None:
    done = await oxcart("init", "docker")

    assert done.code == 0, done.err
    compose = yaml_of(tmp_path / "compose.yaml")
    assert set(compose["services"]) == {"worker", "redis", "postgres"}
    assert_compose_is_sound(compose)
    assert compose["services"]["worker"]["build"] == {"context": ".", "dockerfile": "Dockerfile"}


def test_the_compose_file_of_this_repository_is_the_same_but_for_its_paths() -> None:
    compose = yaml_of(ROOT / "deploy" / "compose.yaml")

    assert_compose_is_sound(compose)
    assert compose["services"]["worker"]["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}


def assert_compose_is_sound(compose: Any) -> None:
    worker, redis = compose["services"]["worker"], compose["services"]["redis"]
    grace = float(worker["environment"]["OXCART_SHUTDOWN_GRACE_SECONDS"])
    assert grace + 3 <= float(worker["stop_grace_period"].removesuffix("s")), "Docker kills later than we stop"
    assert {"--appendonly", "yes", "noeviction"} <= set(redis["command"])
    assert all(port.startswith("127.0.0.1:") for port in worker["ports"]), "loopback only"
    assert "ports" not in redis
    volumes = {volume.partition(":")[0] for s in compose["services"].values() for volume in s.get("volumes", ())}
    assert volumes == set(compose["volumes"])


async def test_github_tests_builds_deploys_and_verifies_in_this_order(oxcart: Oxcart, tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(APP)
    (tmp_path / "requirements.txt").write_text("oxcart\n")

    done = await oxcart("init", "github", "--service", "crm-worker")

    assert done.code == 0, done.err
    workflow = yaml_of(tmp_path / ".github" / "workflows" / "deploy-worker.yml")
    assert list(workflow["jobs"]) == ["test", "build", "deploy"]
    assert workflow["jobs"]["deploy"]["needs"] == ["test", "build"]
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    steps = [step.get("run", "") for step in workflow["jobs"]["deploy"]["steps"]]
    order = [
        next(n for n, run in enumerate(steps) if word in run) for word in ("OXCART_RELEASE", "railway up", "verify")
    ]
    assert order == sorted(order)
    (proof,) = [step for step in workflow["jobs"]["deploy"]["steps"] if "oxcart verify" in step.get("run", "")]
    assert proof["shell"] == "bash", "GitHub's bash has pipefail: a failing verify fails the step, tee or not"
    assert '--expect-release "$GITHUB_SHA"' in proof["run"]
    assert workflow["jobs"]["deploy"]["env"]["SERVICE"] == "${{ vars.RAILWAY_SERVICE || 'crm-worker' }}"
    assert "@@" not in (tmp_path / ".github" / "workflows" / "deploy-worker.yml").read_text()


@pytest.mark.parametrize("kind", ["railway", "docker", "github"])
async def test_nothing_that_is_there_is_overwritten(oxcart: Oxcart, tmp_path: Path, kind: str) -> None:
    mine = {"Dockerfile": "FROM scratch\n", ".dockerignore": "*\n", "requirements.txt": "mine\n"}
    for name, content in mine.items():
        (tmp_path / name).write_text(content)

    kept = await oxcart("init", kind)
    again = await oxcart("init", kind)
    forced = await oxcart("init", kind, "--force")

    assert (kept.code, again.code, forced.code) == (0, 0, 0)
    assert "written" not in again.out
    assert (tmp_path / "requirements.txt").read_text() == "mine\n", "which packages there are is not ours to say"
    if kind != "github":
        assert "kept" in kept.out
        assert "--force" in kept.out
        assert "replaced   Dockerfile" in forced.out
        assert (tmp_path / "Dockerfile").read_text() != mine["Dockerfile"]


async def test_json_names_each_file_and_what_became_of_it(oxcart: Oxcart, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")

    done = await oxcart("init", "docker", "--app", "crm.jobs:app", "--json")

    assert done.json["app"] == "crm.jobs:app"
    assert {file["path"]: file["state"] for file in done.json["files"]} == {
        "requirements.txt": "written",
        "Dockerfile": "kept",
        ".dockerignore": "written",
        "compose.yaml": "written",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("init", "docker", "--app", "app.py"), "MODULE:APP"),
        (("init", "railway", "--service", "a/b"), "--service a/b"),
        (("init", "heroku"), "railway, docker, github"),
    ],
)
async def test_a_mistake_is_one_sentence_and_writes_nothing(
    oxcart: Oxcart, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = await oxcart(*arguments)

    assert done.code == 64
    assert words in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_written_is_one_sentence(oxcart: Oxcart, tmp_path: Path) -> None:
    (tmp_path / ".railway").write_text("a file where the folder should be")

    done = await oxcart("init", "railway", "--force")

    assert done.code == 1
    assert ".railway" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("files", "install"),
    [
        ({"requirements.txt": "x"}, "install -r requirements.txt"),
        ({"pyproject.toml": "[project]\nname = 'crm'\n"}, "install ."),
        ({"pyproject.toml": "", "uv.lock": "", "requirements.txt": ""}, "uv sync --frozen --no-dev"),
        ({}, "install -r requirements.txt"),
    ],
)
async def test_packages_are_installed_as_the_project_lists_them(
    oxcart: Oxcart, tmp_path: Path, files: dict[str, str], install: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    await oxcart("init", "docker")

    assert install in (tmp_path / "Dockerfile").read_text()
    assert (tmp_path / "requirements.txt").exists() == (not files or "requirements.txt" in files)


def test_an_app_is_found_by_reading_and_never_by_running(tmp_path: Path) -> None:
    from oxcart.deploy.project import look_at

    (tmp_path / "app.py").write_text("raise SystemExit('this was run')\n")
    (tmp_path / "main.py").write_text("import oxcart\nservice: oxcart.Oxcart = oxcart.Oxcart()\n")

    assert look_at(tmp_path).app == "main:service"
    assert look_at(tmp_path, "a.b:c").app == "a.b:c"
    assert sys.modules.get("app") is None
