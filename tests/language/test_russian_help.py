"""Is there a command, option or mistake whose text is English where Russian is spoken? Asks every command there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.commands import every_command
from support.russian import is_russian

from oxcart.cli import _usage_sentence
from oxcart.cli.helping import CLICK_WORDS, NUMBER_TYPES, help_texts, language_asked_for
from oxcart.cli.program import build_command
from oxcart.language import speaking, tr

# The words that click puts around our texts.
LEFT_BEHIND = re.compile(r"\b(Usage|Options|Commands|Example|default|required|Show this)\b:?")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
# Help texts that are names and forms alone would need no Russian word; there is one.
FORMS_ALONE = {"waiting, active, delayed, prioritized, waiting-children, completed, failed or paused."}


PATHS = dict(every_command(build_command()))


SOURCE = Path(__file__).parents[2] / "src" / "oxcart"
TELLING = {"say", "say_wrapped", "note", "complain", "confirm", "Refused"}


def in_russian(path: str) -> click.Command:
    return dict(every_command(build_command()))[path]


@pytest.mark.parametrize("path", PATHS)
def test_its_help_is_russian(path: str) -> None:
    """Each line by itself, so that one sentence left behind shows among a hundred others."""
    PATHS[path].get_help(click.Context(PATHS[path]))  # click keeps what it has made for it, in English
    with speaking("ru"):
        command = in_russian(path)
        shown = command.get_help(click.Context(command, info_name=path, max_content_width=300, terminal_width=300))

        context = click.Context(command, info_name=path)
        records = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
        told = [*(command.help or "").split("\n\n"), *(text for _, text in records)]

    assert shown.startswith(f"Использование: {path}")
    assert [text for text in told if not is_russian(text.replace("a,b", "")) and text not in FORMS_ALONE] == []
    assert LEFT_BEHIND.findall(shown) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_mistake_is_told_in_russian(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "ru_RU.UTF-8")  # what the commands with a --lang of their own go by
    with speaking("ru"):
        command = in_russian(path)
        for arguments in mistakes(command):
            with pytest.raises(click.ClickException) as caught:
                command.make_context(path, list(arguments))
            told = _usage_sentence(caught.value)

            assert is_russian(QUOTED.sub("", told)), told


def mistakes(command: click.Command) -> Iterator[tuple[str, ...]]:
    """An option that is not there, one without its value, a value of another kind, arguments missing and too many."""
    yield ("--nonsense",)
    for param in command.params:
        if not isinstance(param, click.Option):
            if param.required:
                yield ()
            continue
        if param.is_flag:
            yield (f"{param.opts[0]}=x",)
            continue
        yield (param.opts[0],)
        if isinstance(param.type, click.Choice) or param.type.name in NUMBER_TYPES:
            yield (param.opts[0], "a-word")
        if isinstance(param.type, click.IntRange | click.FloatRange):
            yield (param.opts[0], "-1")
    takes_many = any(param.nargs == -1 for param in command.params)
    if not takes_many and not isinstance(command, click.Group):
        yield tuple("1" for _ in range(9))


def test_every_text_is_in_the_catalogue() -> None:
    texts = {*help_texts(build_command()), *CLICK_WORDS, *NUMBER_TYPES} - FORMS_ALONE

    with speaking("ru"):
        assert {text for text in texts if tr(text) == text} == set()


@pytest.mark.parametrize(
    ("arguments", "language"),
    [
        (["--help", "--lang", "ru"], "ru"),
        (["--lang=ru", "jobs", "--help"], "ru"),
        (["jobs", "--help"], "en"),
        (["--lang", "xx"], "en"),
        (["doctor", "--lang"], "en"),
    ],
)
def test_help_is_in_the_language_asked_for_wherever_that_stands(arguments: list[str], language: str) -> None:
    assert language_asked_for(arguments, {}) == language


def test_no_line_is_wider_than_a_terminal() -> None:
    with speaking("ru"):
        for path, command in every_command(build_command()):
            shown = command.get_help(click.Context(command, info_name=path, terminal_width=80))
            assert max(map(len, shown.splitlines())) <= 80 or path in shown.splitlines()[-1], path


@pytest.mark.parametrize("file", sorted((SOURCE / "cli").glob("*.py")), ids=lambda file: file.stem)
def test_what_a_command_says_is_looked_up(file: Path) -> None:
    """A sentence in English, given to what prints it, that does not go through tr()."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call) and node.args]
    told = [
        (call.lineno, text)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in TELLING
        for text in sentences(call.args[0])
    ]

    assert [(line, text) for line, text in told if re.search(r"[a-z]{2,} [a-z]{2,}", QUOTED.sub("", text))] == []


def sentences(node: ast.expr) -> Iterator[str]:
    """The literal parts of an argument; those inside a call are that call's."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    elif isinstance(node, ast.IfExp):
        yield from (*sentences(node.body), *sentences(node.orelse))
    elif isinstance(node, ast.BinOp):
        yield from (*sentences(node.left), *sentences(node.right))
