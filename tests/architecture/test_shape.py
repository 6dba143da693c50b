"""Does every file keep to the shape that docs and house style promise? No list of exceptions: mend the file instead."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "oxcart"
UPSTREAM = SOURCE / "protocol" / "upstream"  # BullMQ's scripts, copied here for an editable install
CATALOGUES = ".po"  # one sentence after the other, as Babel writes them: as long as there is to say
MODULES = sorted(SOURCE.rglob("*.py"))
FILES = [
    path
    for path in sorted(SOURCE.rglob("*"))
    if path.is_file()
    and path.suffix != CATALOGUES
    and "__pycache__" not in path.parts
    and not path.is_relative_to(UPSTREAM)
]
LINES = 400
# Where the environment is read; every other part is handed its settings.
READERS_OF_THE_ENVIRONMENT = ("settings", "connection/target", "connection/embedded", "cli/", "app", "queue/opening.py")
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv"}


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def printed_lines(tree: ast.Module) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def environment_lines(tree: ast.Module) -> list[int]:
    """Lines with os.environ and its relatives, also when imported by name."""

    def lines() -> Iterator[int]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "os" and node.attr in ENVIRONMENT:
                    yield node.lineno
            elif (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and ENVIRONMENT & {alias.name for alias in node.names}
            ):
                yield node.lineno

    return sorted(lines())


def asks_a_question(tree: ast.Module) -> bool:
    """An empty module (a folder's __init__) needs no docstring."""
    if not tree.body:
        return True
    docstring = ast.get_docstring(tree) or ""
    return "?" in docstring.partition("\n")[0]


def test_there_is_something_to_look_at() -> None:
    assert SOURCE / "errors.py" in MODULES


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_short(path: Path) -> None:
    count = path.read_bytes().count(b"\n")

    assert count <= LINES, f"{name_of(path)} has {count} lines: which second question has it begun to answer?"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_in_its_first_line_which_question_it_answers(path: Path) -> None:
    assert asks_a_question(tree_of(path))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_commands_print(path: Path) -> None:
    if name_of(path).startswith("cli/"):
        return
    assert printed_lines(tree_of(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_edges_read_the_environment(path: Path) -> None:
    if name_of(path).startswith(READERS_OF_THE_ENVIRONMENT):
        return
    assert environment_lines(tree_of(path)) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nos.environ['A']\n", [2]),
        ("import os\nos.getenv('A')\n", [2]),
        ("from os import environ\n", [1]),
        ("import os\nos.path\nenviron = {}\n", []),
    ],
)
def test_the_look_for_the_environment_finds_it(source: str, found: list[int]) -> None:
    assert environment_lines(ast.parse(source)) == found


def test_the_look_for_print_finds_it() -> None:
    assert printed_lines(ast.parse("import sys\nif sys:\n    print(1)\nsys.stdout.write('print(2)')\n")) == [3]


@pytest.mark.parametrize(
    ("source", "good"),
    [('"""Who?\n\nMore."""\n', True), ('"""A module.\n\nWho?"""\n', False), ("x = 1\n", False), ("", True)],
)
def test_the_look_for_a_question_finds_it(source: str, good: bool) -> None:
    assert asks_a_question(ast.parse(source)) is good
