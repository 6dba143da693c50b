"""Does what the pages name exist: links, commands with their options, settings, routes, metrics, codes, events?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from support.pages import PAGES, ROOT, anchors_of, blocks_of, links_of, name_of, page_named

from oxcart.cli.kommo_connect import VARIABLES
from oxcart.cli.program import build_command
from oxcart.connection.failures import BY_CODE
from oxcart.doctor.pages import render_page
from oxcart.http.health import FETCH_LATE
from oxcart.http.prometheus import render
from oxcart.http.routes import ROUTES, Auth
from oxcart.settings import render_settings_page
from oxcart.supervisor.sums import PROCESS_DOWN
from oxcart.telemetry.events_page import render_events_page
from oxcart.telemetry.metrics import Metrics
from oxcart.worker.status import RedisStatus, WorkerStatus

INDEX = (page_named("README.md"), page_named("docs/getting-started.md"))
COMMAND = re.compile(r"\boxcart ((?:[a-z-]+)(?: [^`\n|;]+)?)")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links_of(page):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name_of(page)} links to {target}, which does not exist"
        assert linked.is_relative_to(ROOT), f"{name_of(page)} links to {target}, outside of the project"
        if anchor:
            assert anchor in anchors_of(linked), f"{name_of(page)} links to {target}, but there is no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, to_read = set(), [INDEX[0]]
    while to_read:
        page = to_read.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = (target.partition("#")[0] for target in links_of(page) if "://" not in target)
        to_read += [(page.parent / target).resolve() for target in targets if target]

    assert set(PAGES) - {page_named("docs/index.md")} <= reached, "a page that nobody finds might as well not be there"


def commands_in(page: Path) -> Iterator[list[str]]:
    """Each `oxcart …` in code: in a span, or in a line of a shell block."""
    text = re.sub(r"(?<!`)`([^`]+)`(?!`)", lambda span: " ".join(span[0].split()), page.read_text(encoding="utf-8"))
    spans = [span for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text) if span.startswith("oxcart ")]
    lines = [line for block in blocks_of(page) if block.language == "bash" for line in block.text.splitlines()]
    for command in (*spans, *lines):
        found = COMMAND.search(command)
        if found:
            yield shlex.split(found[1])


def problem_of(words: list[str]) -> str | None:
    """What is wrong with a command line, None if its command and its options exist."""
    command: Any = build_command()
    words = list(words)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in command.commands:
            return f"there is no command {name}"
        command = command.commands[name]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    missing = [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]
    return f"{command.name} has no {', '.join(missing)}" if missing else None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_on_a_page_exists(page: Path) -> None:
    for words in commands_in(page):
        assert problem_of(words) is None, f"{name_of(page)}: oxcart {shlex.join(words)}: {problem_of(words)}"


def test_the_look_for_commands_finds_them() -> None:
    assert ["run", "jobs:app"] in list(commands_in(INDEX[0]))
    assert problem_of(["jobs", "list", "--state", "failed"]) is None
    assert problem_of(["jobs", "frobnicate"]) == "there is no command frobnicate"
    assert problem_of(["counts", "--fast"]) == "counts has no --fast"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_setting_on_a_page_exists(page: Path) -> None:
    settings = set(re.findall(r"`([A-Z][A-Z_]+)`", render_settings_page()))
    codes = set(re.findall(r"^## ([A-Z_]+)$", render_page(), re.MULTILINE))
    known = settings | {f"{name}_FILE" for name in settings} | codes | set(VARIABLES)
    named = set(re.findall(r"\b((?:OXCART|JOB|KOMMO|UPSTASH)_[A-Z_]+[A-Z])\b", page.read_text(encoding="utf-8")))

    assert named <= known, f"{name_of(page)} names {', '.join(sorted(named - known))}"


def test_the_files_that_how_it_works_names_exist() -> None:
    page = page_named("docs/how-it-works.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:[a-z_]+/)*[a-z_]+\.py)\b", page)) - {"test_equivalence.py"}
    missing = [
        name for name in named if not (ROOT / "src" / "oxcart" / name).exists() and not name.startswith("tests/")
    ]

    assert len(named) > 20
    assert missing == []


def test_the_codes_of_troubleshooting_are_those_of_the_failure_table() -> None:
    page = page_named("docs/troubleshooting.md").read_text(encoding="utf-8")
    section = page.partition("### /health says 503")[2].partition("###")[0]
    named = {
        code for line in section.splitlines() for code in re.findall(r"`([A-Z]+_?[A-Z0-9]*)`", line.split(" | ")[0])
    }

    assert len(named) > 10
    assert named <= {*BY_CODE, FETCH_LATE, PROCESS_DOWN}, named - set(BY_CODE)


def test_the_events_that_troubleshooting_names_exist() -> None:
    page = page_named("docs/troubleshooting.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:job|jobs|worker|outbox|redis)\.[a-z_]+)`", page))
    named -= {"redis.error", "redis.advice", "job.cancelled", "jobs.py"}  # of /health, of Python, a file
    known = set(re.findall(r"`([a-z]+\.[a-z_]+)`", render_events_page()))

    assert named
    assert named <= known, named - known


def test_http_md_has_every_route_and_who_may_call_it() -> None:
    table = page_named("docs/http.md").read_text(encoding="utf-8").partition("## ")[0]
    who = {Auth.OPEN: "everyone", Auth.OPERATOR: "operators"}

    for route in ROUTES:
        assert f"| `{route.methods[0]} {route.path}` | {who[route.auth]} |" in table


def test_http_md_has_every_series() -> None:
    redis = RedisStatus(
        connected=True, failure=None, host="h", port=1, tls=False, last_fetch_age_seconds=1.0, reconnect_attempts=0
    )
    status = WorkerStatus(
        healthy=True,
        state="running",
        queue_names=("q",),
        concurrency=1,
        jobs_processing=0,
        unknown_jobs=(),
        uptime_seconds=1.0,
        loop_lag_seconds=0.0,
        redis=redis,
    )
    body, _ = render(Metrics().counts(), status, "text/plain")
    families = dict(re.findall(r"^# TYPE (\w+) (\w+)$", body.decode(), re.MULTILINE))
    page = page_named("docs/http.md").read_text(encoding="utf-8")

    assert len(families) > len(fields(RedisStatus))
    for family in families:
        assert f"`{family}`" in page


def test_the_versions_of_node_interop_are_those_that_are_tested() -> None:
    page = page_named("docs/node-interop.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `bullmq` |"))

    for major in ("5", "6"):
        package = (ROOT / "tests" / "interop" / f"package-{major}.json").read_text(encoding="utf-8")
        version = re.search(r'"bullmq": "([\d.]+)"', package)
        assert version is not None
        assert version[1] in row
