"""Which options do several commands share? Declared once, so that they are spelled and explained alike."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from oxcart.cli.exits import FAILED, Refused
from oxcart.cli.output import complain

QueueOption = Annotated[
    str | None, typer.Option("--queue", "-q", metavar="NAME", help="The queue; else the first of JOB_QUEUE_NAME.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where no terminal can answer.")]


def confirm(question: str, *, yes: bool) -> None:
    """Return if the answer is yes. Raises Refused: for a no, and where nobody can be asked."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(f"{question} There is no terminal to answer at; repeat the command with --yes.")
    complain(f"{question} [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Refused("Nothing was changed.", FAILED)


def group(help_text: str) -> typer.Typer:
    """A group of commands; alone it shows its help."""
    made = typer.Typer(help=help_text, add_completion=False, rich_markup_mode=None)

    @made.callback(invoke_without_command=True)
    def show_help(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    show_help.__doc__ = help_text
    return made
