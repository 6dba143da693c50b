"""In which language is a command's help? Its texts stand in English where it is declared; here they are looked up."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from itertools import pairwise
from typing import TypeVar

import click

from oxcart.language import ENGLISH, LANGUAGES, language_of, spoken, tr

Found = TypeVar("Found", bound=click.Command)

# What click itself says to who uses these commands. click.core and the like look it up as `_`.
CLICK_WORDS = (
    "Usage:",
    "Options",
    "default: {default}",
    "required",
    "Show this message and exit.",
    "Show the version and exit.",
    "Invalid value: {message}",
    "Invalid value for {param_hint}: {message}",
    "Missing argument",
    "Missing option",
    "Missing parameter",
    "Choose from:\n\t{choices}",
    "No such option {name!r}.",
    "Did you mean {possibility}?",
    "(Did you mean one of: {possibilities}?)",
    "Got unexpected extra argument ({args})",
    "Got unexpected extra arguments ({args})",
    "Option {name!r} does not take a value.",
    "Option {name!r} requires an argument.",
    "Option {name!r} requires {nargs} arguments.",
    "Missing command.",
    "{value!r} is not a valid {number_type}.",
    "{value} is not in the range {range}.",
    "{value!r} is not {choice}.",
    "{value!r} is not one of {choices}.",
)
NUMBER_TYPES = ("integer", "integer range", "float", "float range")


def language_asked_for(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """That of --lang, wherever it stands: --help may come before it; else the environment's."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    given = [after for word, after in pairwise(words) if word == "--lang"]
    return given[-1] if given and given[-1] in LANGUAGES else language_of(environ)


def in_spoken_language(root: click.Group) -> click.Group:
    """The same commands, with every help text in the language that is spoken now."""
    if spoken() == ENGLISH:
        return root
    _let_click_speak()
    return _translated(root)


def help_texts(command: click.Command) -> Iterator[str]:
    """What --help says of a command, and of those below it, as it stands in the source; without examples."""
    if command.help:
        yield _flat(command.help)
    for param in command.params:
        if isinstance(param, click.Option) and param.help and not param.hidden:
            yield param.help
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from help_texts(below)


def _translated(command: Found) -> Found:
    """A copy: commands are values of their modules, and a language is of one call."""
    made = copy.copy(command)
    made.help = command.help and tr(_flat(command.help))
    made._help_option = None  # noqa: SLF001 - click keeps the one it made, in the language of that time
    made.params = [_translated_param(param) for param in command.params]
    if isinstance(made, click.Group):
        made.commands = {name: _translated(below) for name, below in made.commands.items()}
    return made


def _translated_param(param: click.Parameter) -> click.Parameter:
    made = copy.copy(param)
    if isinstance(made, click.Option):
        made.help = made.help and tr(made.help)
    if made.type.name in NUMBER_TYPES:
        made.type = copy.copy(made.type)
        made.type.name = tr(made.type.name)
    return made


def _flat(text: str) -> str:
    """A paragraph is one line, however the source wraps it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in cleandoc(text).split("\n\n"))


def _let_click_speak() -> None:
    """Click asks gettext, which wants compiled files and knows nothing of --lang: let it ask our catalogue."""
    import gettext

    for module in (click.core, click.decorators, click.exceptions, click.formatting, click.parser, click.types):
        for name, value in (("_", tr), ("ngettext", _one_or_many)):
            if getattr(module, name, None) in {gettext.gettext, gettext.ngettext}:
                setattr(module, name, value)


def _one_or_many(one: str, many: str, count: int) -> str:
    return tr(one if count == 1 else many)
