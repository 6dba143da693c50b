"""What happens between a command line and its exit code? `main` is the command `oxcart`.

Exit codes: 0 done, 1 failed, 64 usage, 69 Redis unreachable, 78 settings, 130 Ctrl-C; `enqueue --wait` 3 for no result
in time. One file per group of commands; program.py lists them.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from oxcart.cli.exits import FAILED, INTERRUPTED, USAGE, Interrupted, Refused, exit_code_of
from oxcart.cli.helping import language_asked_for
from oxcart.cli.output import ReaderGone, complain, detach_stdout, say
from oxcart.errors import OxcartError
from oxcart.language import speaking, tr


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (sys.argv's without `arguments`); returns the exit code, and never raises a mistake."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    with speaking(language_asked_for(given, os.environ)):
        return _answer(given)


def _answer(arguments: list[str]) -> int:
    try:
        return _run(arguments)
    except ReaderGone:
        detach_stdout()
        return 0
    except Interrupted as interrupted:
        return interrupted.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except OxcartError as error:
        complain(str(error))
        return exit_code_of(error)
    except Exception as error:  # noqa: BLE001 - the border of the program: nobody above could say it better
        _report_bug(error)
        return FAILED


def _run(arguments: list[str]) -> int:
    from oxcart.cli.program import build_command

    try:
        code = build_command().main(args=arguments, prog_name="oxcart", standalone_mode=False)
    except Refused as refused:
        complain(str(refused))
        return refused.exit_code
    except click.ClickException as error:
        complain(_usage_sentence(error))
        return USAGE
    except click.Abort:
        return INTERRUPTED
    say(end="")
    return code if isinstance(code, int) else 0


def _usage_sentence(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "oxcart"
    said = " ".join(error.format_message().split())
    end = "" if said.endswith((".", "?")) else "."
    return f"{said}{end} {tr('See: {command} --help', command=command)}"


def _report_bug(error: Exception) -> None:
    """Only the kind of error: its text may hold what must not be shown."""
    if os.environ.get("OXCART_DEBUG", "") not in {"", "0"} or os.environ.get("LOG_LEVEL", "").lower() == "debug":
        complain("".join(traceback.format_exception(error)).rstrip())
    complain(
        tr(
            "Oxcart has a bug: it met an error that it did not expect ({kind}). Please report it in the "
            "project's issue tracker, with what the same command prints when OXCART_DEBUG=1 is set.",
            kind=type(error).__name__,
        )
    )
