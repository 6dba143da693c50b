"""Which options do several commands share? Declared once, so that they are spelled and explained alike."""

from __future__ import annotations

import difflib
import os
import sys
from typing import Any

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.output import complain, say
from oxcart.language import LANGUAGES, language_of, speaking

queue_option = click.option("--queue", "-q", metavar="NAME", help="The queue; else the first of JOB_QUEUE_NAME.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask; needed where no terminal can answer.")


def _speak(context: click.Context, _: click.Parameter, language: str | None) -> None:
    context.with_resource(speaking(language or language_of(os.environ)))


language_option = click.option(
    "--lang",
    metavar="en|ru",
    type=click.Choice(LANGUAGES),
    is_eager=True,
    expose_value=False,
    callback=_speak,
    help="The language of the answer; else that of LC_ALL, LC_MESSAGES or LANG.",
)


def confirm(question: str, *, yes: bool) -> None:
    """Return if the answer is yes. Raises Refused: for a no, and where nobody can be asked."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(f"{question} There is no terminal to answer at; repeat the command with --yes.")
    complain(f"{question} [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Refused("Nothing was changed.", FAILED)


class Group(click.Group):
    """Commands below a common name. Alone it shows its help; for a command it does not have it guesses."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(invoke_without_command=True, callback=_show_help, **attributes)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - in the order of their use, not of the alphabet
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        wanted = args[0]
        if not wanted.startswith("-") and self.get_command(ctx, wanted) is None:
            guesses = difflib.get_close_matches(wanted, self.commands, n=1)
            guess = f" Did you mean {guesses[0]}?" if guesses else f" There are {', '.join(self.commands)}."
            raise click.UsageError(f'There is no command "{wanted}".{guess}', ctx)
        return super().resolve_command(ctx, args)


def _show_help() -> None:
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        say(context.get_help())
