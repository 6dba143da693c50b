"""Is everything that a deploy fetches named by what it is, and is each secret given to the step that needs it alone?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from oxcart.deploy.files import Kind, files_for
from oxcart.deploy.project import Packages, Project

ROOT = Path(__file__).parents[2]
OURS = ("deploy/Dockerfile", "deploy/compose.yaml")


def written() -> Iterator[tuple[str, str]]:
    for path in OURS:
        yield path, (ROOT / path).read_text(encoding="utf-8")
    for kind in Kind:
        for packages in Packages:
            project = Project("crm", packages, "crm.jobs:app", "oxcart==0.1.0")
            for file in files_for(kind, project):
                yield f"{kind.value} {packages.name} {file.path}", file.content


FILES = dict(written())
WORKFLOWS = {name: content for name, content in FILES.items() if name.endswith("deploy-worker.yml")}


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(("Dockerfile", "compose.yaml"))])
def test_images_are_named_by_digest(name: str) -> None:
    text = FILES[name]
    images = re.findall(r"^(?:FROM|\s*image:) +(\S+)", text, re.MULTILINE)
    images += [found for found in re.findall(r"--from=(\S+)", text) if found != "build"]

    assert images
    for image in images:
        assert re.fullmatch(r"[a-z0-9./_-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}", image), image


def test_one_image_has_one_digest_wherever_it_is_named() -> None:
    pinned = {found for text in FILES.values() for found in re.findall(r"([a-z0-9./_-]+:[\w.-]+)@(sha256:\w+)", text)}

    assert len({name for name, _ in pinned}) == len(pinned)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_named_by_commit_and_say_which_version_that_is(name: str) -> None:
    uses = re.findall(r"uses: (.+)", WORKFLOWS[name])

    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_secret_is_in_the_one_step_that_needs_it(name: str) -> None:
    workflow: Any = yaml.safe_load(WORKFLOWS[name])
    needs = {"RAILWAY_TOKEN": "railway ", "OXCART_HTTP_TOKEN": "oxcart verify"}

    given = 0
    for job in workflow["jobs"].values():
        assert "secrets." not in str(job.get("env", {})), "every step of the job could read it"
        for step in job["steps"]:
            for secret in re.findall(r"secrets\.(\w+)", str(step)):
                assert step["run"].startswith(needs[secret]), step
                assert set(step["env"]) == {secret}
                given += 1
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    assert given == 4
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_tools_that_run_beside_a_secret_have_one_exact_version(name: str) -> None:
    workflow: Any = yaml.safe_load(WORKFLOWS[name])
    runs = "\n".join(step.get("run", "") for step in workflow["jobs"]["deploy"]["steps"])

    assert re.search(r"npm install --global @railway/cli@\d+\.\d+\.\d+$", runs, re.MULTILINE)


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/requirements.lock", "deploy/build.lock"])
def test_every_locked_package_has_an_exact_version_and_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]

    assert len(entries) > 10
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_image_has_the_versions_that_the_tests_ran_with() -> None:
    def versions(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))

    tested, image = versions("requirements.lock"), versions("deploy/requirements.lock")

    assert image.items() <= tested.items() | {("async-timeout", image.get("async-timeout", ""))}


def test_the_image_takes_nothing_without_a_hash() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) ([^&\n]+)", text)

    assert installs
    for arguments in installs:
        assert "--require-hashes" in arguments or "--no-deps --no-" in arguments, arguments
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert {f"!{path.removeprefix('./')}" for path in copied.split()} <= set(ignored)
