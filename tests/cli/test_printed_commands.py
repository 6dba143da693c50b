"""Does every command that Oxcart prints exist, with its options? In sentences, tables, texts and the handbook."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from oxcart.cli.output import wrapped
from oxcart.cli.program import build_command

ROOT = Path(__file__).parents[2]
ROOT_COMMAND = build_command()
_PRINTED = re.compile(r"\boxcart((?: [a-z][a-z-]+){1,2})((?: [^.;`\n]*)?)")
_OPTION = re.compile(r"(?<= )--[a-z][a-z-]*")
# Words that follow the name of the program in prose.
_PROSE = frozenset(
    ["that", "again", "is", "and", "with", "has", "as", "in", "on", "of", "import", "needs", "or", "from"]
)


def texts() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "src" / "oxcart").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "oxcart " in node.value:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
    for page in ("docs/on-call.md", "docs/ru/on-call.md", "docs/troubleshooting.md", "docs/ru/troubleshooting.md"):
        yield page, (ROOT / page).read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, list[str], str]]:
    for where, text in texts():
        for found in _PRINTED.finditer(text):
            words = found[1].split()
            if words[0] not in _PROSE:
                yield where, words, found[2].split("oxcart ")[0]


@pytest.mark.parametrize(("where", "words", "rest"), [*commands()])
def test_it_exists(where: str, words: list[str], rest: str) -> None:
    command: click.Command | None = ROOT_COMMAND.commands.get(words[0])
    assert command is not None, f"{where}: oxcart {words[0]}"
    if isinstance(command, click.Group) and len(words) > 1 and words[1] not in _PROSE:
        command = command.commands.get(words[1])
        assert command is not None, f"{where}: oxcart {' '.join(words)}"
    known = {name for param in command.params for name in param.opts} | {"--help"}
    if not isinstance(command, click.Group):
        first = (
            rest.split(" then ", maxsplit=1)[0]
            .split(" and ", maxsplit=1)[0]
            .split(" with ", maxsplit=1)[0]
            .split(", or", maxsplit=1)[0]
            .split(":", maxsplit=1)[0]
        )
        assert set(_OPTION.findall(first)) <= known, f"{where}: oxcart {' '.join(words)}{rest}"


def test_a_command_is_not_broken_over_two_lines() -> None:
    """What is copied must run."""
    cure = "See what the worker does: oxcart jobs list --state active --queue 'a queue'. If it cannot keep up, wait."

    assert any("oxcart jobs list --state active --queue 'a queue'" in line for line in wrapped(cure, 60, 2))
