"""How is JSON given on a command line read: as it is, from @FILE, or from stdin? Shows where it breaks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from oxcart.cli.exits import Refused
from oxcart.language import tr
from oxcart.telemetry.terminal import harmless

_SHOWN_CHARACTERS = 100
# What Python's own reader says, which is looked up when it is told.
JSON_PROBLEMS = (
    "Expecting value",
    "Expecting property name enclosed in double quotes",
    "Illegal trailing comma before end of object",
    "Illegal trailing comma before end of array",
    "Expecting ',' delimiter",
    "Expecting ':' delimiter",
    "Extra data",
    "Invalid control character at",
    "Invalid \\escape",
    "Unterminated string starting at",
)


def read_json(option: str, given: str) -> Any:
    """The value of `given`, which may be JSON, @FILE, or - for stdin. Raises Refused, naming the option."""
    return _parse(option, _read(option, given))


def _read(option: str, given: str) -> str:
    if given != "-" and not given.startswith("@"):
        return given
    source = "stdin" if given == "-" else given[1:]
    try:
        content = sys.stdin.buffer.read() if given == "-" else Path(source).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise Refused(
            tr(
                "{option} {given}: the file cannot be read ({strerror}). Look at its path.",
                option=option,
                given=given,
                strerror=error.strerror,
            )
        ) from error
    except UnicodeDecodeError as error:
        raise Refused(
            tr(
                "{option} {given}: {source} is not UTF-8 text; JSON always is.",
                option=option,
                given=given,
                source=source,
            )
        ) from error


def _parse(option: str, text: str) -> Any:
    """Raises Refused, which shows where the JSON breaks."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise Refused(_where_it_breaks(option, text, error)) from error
    except RecursionError as error:
        raise Refused(tr("{option}: it is nested too deeply for a job. Flatten it.", option=option)) from error
    except ValueError as error:
        raise Refused(f"{option}: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(tr("{name} is no JSON. Use null, or a text.", name=name))


def _where_it_breaks(option: str, text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return tr('{option}: it is empty. Give JSON such as \'{{"name": "Ann"}}\', or leave it out.', option=option)
    lines = text.split("\n")
    line = lines[error.lineno - 1]
    start = max(0, error.colno - 1 - _SHOWN_CHARACTERS // 2)
    shown = harmless(line[start : start + _SHOWN_CHARACTERS].replace("\t", " "))
    caret = " " * len(harmless(line[start : error.colno - 1].replace("\t", " "))) + "^"
    cure = tr("Write names and texts in double quotes, and the whole in single quotes for the shell.")
    return tr(
        "{option} is no JSON at line {lineno}, column {colno} ({msg}). {cure}\n  {shown}\n  {caret}",
        option=option,
        lineno=error.lineno,
        colno=error.colno,
        msg=tr(error.msg),
        cure=cure,
        shown=shown,
        caret=caret,
    )
