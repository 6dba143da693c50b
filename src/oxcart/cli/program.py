"""Which commands are there? Each is one function; what it needs it imports when it runs, so that `run` stays small.

click without Typer on top: uvicorn has loaded it anyway, and Typer 0.29 brings pydantic into every command, which is
8 MiB of a worker's memory and 0.2 s of each start.
"""

from __future__ import annotations

from importlib.metadata import version

import click

from oxcart.cli import jobs_change  # noqa: F401 - declares its commands below `jobs`
from oxcart.cli.bench import bench
from oxcart.cli.board import board
from oxcart.cli.control import clean, drain, limit, pause, resume
from oxcart.cli.counts import counts
from oxcart.cli.demo import demo
from oxcart.cli.doctor import doctor, explain
from oxcart.cli.enqueue import enqueue
from oxcart.cli.env import env
from oxcart.cli.examples import EXAMPLES
from oxcart.cli.flow import flow
from oxcart.cli.helping import in_spoken_language
from oxcart.cli.init import init
from oxcart.cli.jobs import jobs
from oxcart.cli.kommo import kommo
from oxcart.cli.log import log
from oxcart.cli.mcp import mcp
from oxcart.cli.options import Group, language_option
from oxcart.cli.repair import repair
from oxcart.cli.run import run
from oxcart.cli.schedules import schedules
from oxcart.cli.status import queues, status
from oxcart.cli.verify import verify
from oxcart.language import tr

COMMANDS = (
    run,
    demo,
    status,
    enqueue,
    flow,
    counts,
    queues,
    jobs,
    schedules,
    pause,
    resume,
    drain,
    clean,
    repair,
    limit,
    env,
    doctor,
    explain,
    log,
    verify,
    board,
    mcp,
    init,
    kommo,
    bench,
)


def build_command() -> click.Group:
    """The whole command line, in the language that is spoken."""
    root = Group(name="oxcart", help="A background-job worker for BullMQ queues on managed Redis.")
    for command in COMMANDS:
        root.add_command(command)
    root = language_option(root)
    root = click.version_option(version("oxcart"), prog_name="oxcart", message="%(prog)s %(version)s")(root)
    spoken = in_spoken_language(root)
    _show_examples(spoken, "")
    return spoken


def _show_examples(group: click.Group, path: str) -> None:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            _show_examples(command, f"{path}{name} ")
        elif f"{path}{name}" in EXAMPLES:
            command.epilog = f"\b\n{tr('Example:')}\n  {EXAMPLES[f'{path}{name}']}"
