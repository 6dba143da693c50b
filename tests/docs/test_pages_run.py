"""Does what the pages tell their readers to do work, in the order in which they tell it?"""

from __future__ import annotations

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.pages import ROOT, Block, blocks_of, matches, name_of, page_named
from support.programs import environment, run, running

FOLLOWED = [page_named("README.md"), page_named("docs/getting-started.md")]
EXECUTED = [page for page in sorted((ROOT / "docs").glob("*.md")) if page not in FOLLOWED]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder in which scripts/run starts what is installed here, without setting it up anew."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(ROOT / "scripts" / "run", scripts / "run")
    (scripts / "setup").write_text("#!/bin/sh\n")
    (scripts / "setup").chmod(0o755)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


@pytest.mark.parametrize("page", FOLLOWED, ids=name_of)
def test_a_reader_who_follows_the_page_gets_what_it_says(page: Path, clone: Path) -> None:
    environ = environment(clone)
    with ExitStack() as stack:
        for block in blocks_of(page):
            if block.is_run and block.language in {"bash", "python"}:
                follow(block, clone, environ, stack)


def follow(block: Block, folder: Path, environ: dict[str, str], stack: ExitStack) -> None:
    if block.file_name is not None:
        (folder / block.file_name).write_text(block.text)
        return
    assert block.language == "bash", f"{block}: a Python block is a file that a command runs"
    text = block.text.replace("localhost:3001", f"localhost:{environ['PORT']}")
    if block.goes_on:
        stack.enter_context(running(["bash", "-c", f"exec {text}"], folder, environ))
        return
    said = run(["bash", "-euo", "pipefail", "-c", text], folder, environ)
    assert block.printed is None or matches(said, block.printed), f"{block} printed\n{said}"


@pytest.mark.parametrize("page", EXECUTED, ids=name_of)
def test_the_python_of_a_page_can_be_executed(page: Path) -> None:
    """The blocks of a page are one program: each may use what the ones before it have defined."""
    program: dict[str, object] = {"__name__": "page"}
    for block in blocks_of(page):
        if block.language == "python" and block.is_run:
            exec(compile("\n" * block.line + block.text, name_of(page), "exec"), program)


def test_the_tests_that_a_page_shows_pass(clone: Path) -> None:
    page = page_named("docs/testing.md")
    program = "".join(block.text for block in blocks_of(page) if block.language == "python")
    (clone / "test_of_the_page.py").write_text(program)

    said = run([sys.executable, "-m", "pytest", "-q", "test_of_the_page.py"], clone, environment(clone))

    assert f"{program.count('def test_')} passed" in said


def test_no_more_than_a_few_blocks_are_left_out() -> None:
    left_out = [str(block) for page in FOLLOWED for block in blocks_of(page) if not block.is_run]

    assert len(left_out) <= 6, left_out


@pytest.mark.parametrize(
    ("said", "printed", "good"),
    [
        ("a\nb\nc\n", "a\nc\n", True),
        ("a\nb\n", "b\na\n", False),
        ('{"x":1,"y":2}\n', '{"x":1,…\n', True),
        ('{"x":1}\n', '{"y":…\n', False),
        ("ox12 Hello Ann\n", "… Hello Ann\n", True),
        ("1 failed\n", "1 passed…\n", False),
    ],
)
def test_the_comparison_of_what_was_printed(said: str, printed: str, good: bool) -> None:
    assert matches(said, printed) is good
