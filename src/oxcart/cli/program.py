"""Which commands are there? Each is one function; what it needs it imports when it runs, so that `run` stays small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from oxcart.cli.bench import bench
from oxcart.cli.control import clean, drain, limit, pause, resume
from oxcart.cli.counts import counts
from oxcart.cli.demo import demo
from oxcart.cli.doctor import doctor, explain
from oxcart.cli.enqueue import enqueue
from oxcart.cli.env import env
from oxcart.cli.jobs import jobs
from oxcart.cli.output import say
from oxcart.cli.run import run
from oxcart.cli.schedules import schedules

_ABOUT = "A background-job worker for BullMQ queues on managed Redis."


def build_command() -> Any:
    """The whole command line, as Typer's command object."""
    program = typer.Typer(help=_ABOUT, rich_markup_mode=None, pretty_exceptions_enable=False)
    program.callback(invoke_without_command=True)(_root)
    _add(program, run, demo, enqueue, counts)
    program.add_typer(jobs, name="jobs")
    program.add_typer(schedules, name="schedules")
    _add(program, pause, resume, drain, clean, limit, env, doctor, explain, bench)
    return typer.main.get_command(program)


def _add(program: typer.Typer, *functions: Callable[..., None]) -> None:
    for function in functions:
        program.command()(function)


def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        from importlib.metadata import version as installed

        say(f"oxcart {installed('oxcart')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_root.__doc__ = _ABOUT
