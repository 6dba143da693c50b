"""Which options do several commands share? Declared once, so that they are spelled and explained alike."""

from __future__ import annotations

import difflib
import os
import sys
from typing import Any

import click

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.output import complain, say
from oxcart.language import LANGUAGES, language_of, speaking, tr


def complete_queue(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """The queues of the configured Redis, if it answers within a second; an embedded server is not started for this."""
    from oxcart.cli.completing import queue_names

    return [name for name in queue_names() if name.startswith(begun)]


queue_option = click.option(
    "--queue",
    "-q",
    metavar="NAME",
    shell_complete=complete_queue,
    help="The queue; else the first of JOB_QUEUE_NAME.",
)
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
        raise Refused(f"{question} {tr('There is no terminal to answer at; repeat the command with --yes.')}")
    complain(f"{question} [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes", "д", "да"}:
        raise Refused(tr("Nothing was changed."), FAILED)


class Group(click.Group):
    """Commands below a common name. Alone it shows its help; for a command it does not have it guesses."""

    def __init__(self, **attributes: Any) -> None:
        settings = {"show_default": True, "max_content_width": 100}
        super().__init__(invoke_without_command=True, callback=_show_help, context_settings=settings, **attributes)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as click has it
        """The first sentence of each, whole: click would cut it."""
        rows = [(name, _first_sentence(command)) for name, command in self.commands.items() if not command.hidden]
        with formatter.section(tr("Commands")):
            formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - in the order of their use, not of the alphabet
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        wanted = args[0]
        if not wanted.startswith("-") and self.get_command(ctx, wanted) is None:
            guesses = difflib.get_close_matches(wanted, self.commands, n=1)
            guess = (
                tr(" Did you mean {guess}?", guess=guesses[0])
                if guesses
                else " " + tr("There are {commands}.", commands=", ".join(self.commands))
            )
            raise click.UsageError(tr('There is no command "{wanted}".{guess}', wanted=wanted, guess=guess), ctx)
        return super().resolve_command(ctx, args)


def _first_sentence(command: click.Command) -> str:
    paragraph = " ".join((command.help or "").split("\n\n")[0].split())
    sentence, end, _ = paragraph.partition(". ")
    return f"{sentence}." if end else paragraph


def _show_help() -> None:
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        say(context.get_help())
