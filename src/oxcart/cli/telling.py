"""How does a diagnosis reach a person? Line by line as it is made, in colours and wrapped at a terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable

from oxcart.checks import State
from oxcart.cli.exits import FAILED
from oxcart.cli.output import is_terminal, say, wrapped
from oxcart.doctor.report import Line, Lines, conclusion
from oxcart.doctor.run import Diagnosis, Result
from oxcart.telemetry.terminal import harmless

_LEAST_WIDTH = 40


class Teller:
    """Prints each result as it comes; silent where the answer has another form, such as --json."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
        self._quiet = quiet
        self._lines = Lines(verbose=verbose, unicode="utf" in encoding)

    def tell(self, result: Result) -> None:
        self._say(self._lines.add(result))

    def conclude(self, diagnosis: Diagnosis) -> None:
        self._say([*self._lines.flush(), *conclusion(diagnosis)])

    def _say(self, lines: Iterable[Line]) -> None:
        for line in lines:  # also when quiet: the lines remember what they were given
            if not self._quiet:
                _say_line(line)


def exit_code_of(diagnosis: Diagnosis, *, strict: bool) -> int:
    """With `strict` a warning is a failure."""
    return diagnosis.exit_code or (FAILED if strict and diagnosis.has(State.WARNING) else 0)


def _say_line(line: Line) -> None:
    """A program that reads a pipe gets each line whole."""
    if not is_terminal():
        say(harmless(line.text))
        return
    width = max(shutil.get_terminal_size().columns, _LEAST_WIDTH)
    whole = "\n".join(wrapped(harmless(line.text), width, min(line.hang, width // 2)))
    say(whole, sgr=line.sgr if whole and not os.environ.get("NO_COLOR") else "")
