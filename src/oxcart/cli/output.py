"""How does a command answer? On stdout as a table, as lines or as JSON; everything else goes to stderr."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oxcart import clock
from oxcart.conditions import span
from oxcart.language import tr
from oxcart.telemetry.terminal import harmless

_NUMBER = re.compile(r"-?[\d.]+")
_WIDTH_WITHOUT_TERMINAL = 1_000_000  # whoever reads a pipe cuts lines as they like
_GAP, _INDENT = "  ", "    "
_LEAST_ROOM = 24  # in which a last column can be read
_NO_BREAK = "\xa0"
_WORD = r"(?:'[^']*'|[^\s.,;()-][^\s,;()]*)"
_SHELL_COMMAND = re.compile(
    rf"oxcart(?: [a-z][a-z-]*){{1,2}}(?: (?:--?[a-z][a-z-]*(?: {_WORD})?|'[^']*'|[A-Z\d…][\w…-]*))*"
)


class ReaderGone(Exception):  # noqa: N818 - `| head` has seen enough
    """Whoever read our stdout has closed it."""


def say(text: str = "", *, end: str = "\n", sgr: str = "", raw: bool = False) -> None:
    """Write to stdout, at once; at a terminal nothing but letters, in the colours of `sgr`. Raises ReaderGone.

    `raw`: our own control characters, such as those that clear a screen.
    """
    if sys.stdout is None:
        return
    if is_terminal() and not raw:
        text = f"\x1b[{sgr}m{harmless(text)}\x1b[0m" if sgr else harmless(text)
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error


def say_json(value: Any) -> None:
    """One line, or indented for a person at a terminal. What stdout's encoding lacks is escaped."""
    is_utf8 = getattr(sys.stdout, "encoding", "").lower().replace("-", "") == "utf8"
    indent = 2 if is_terminal() else None
    # A lone surrogate, as Node writes it, leaves as its JSON escape: the stream's errors are "backslashreplace".
    say(json.dumps(value, ensure_ascii=not is_utf8, indent=indent))


def note(text: str) -> None:
    """A remark beside the answer."""
    complain(text)


def complain(text: str, *, end: str = "\n") -> None:
    """Write to stderr, whole words at a terminal. If nobody reads that either, the exit code still tells."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            lines = harmless(text).split("\n")
            if sys.stderr.isatty():
                width = terminal_width()
                lines = [part for line in lines for part in (wrapped(line, width, 0) if len(line) > width else [line])]
            sys.stderr.write("\n".join(lines) + end)
            sys.stderr.flush()


def program() -> str:
    """What to type for `oxcart` here: in a clone that was only set up it is on no PATH."""
    if shutil.which("oxcart") is not None:
        return "oxcart"
    beside = Path(sys.executable).with_name("oxcart")
    if not beside.exists():
        return f"{shlex.quote(sys.executable)} -m oxcart"
    with contextlib.suppress(ValueError):
        return shlex.quote(str(beside.relative_to(Path.cwd())))
    return shlex.quote(str(beside))


def detach_stdout() -> None:
    """Let the interpreter's own last flush fail on nobody."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def terminal_width() -> int:
    return shutil.get_terminal_size().columns


def say_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns with a heading, numbers right-aligned.

    On a terminal the last column is cut where the line ends, or gets a line of its own where it would have no room;
    nothing else is: ids are there to be copied.
    """
    from rich.cells import cell_len, set_cell_size

    lines = [list(headings), *([one_line(cell) for cell in row] for row in rows)]
    *widths, last_width = (max(map(cell_len, column)) for column in zip(*lines, strict=True))
    *are_numbers, _ = (all(map(_NUMBER.fullmatch, column[1:])) for column in zip(*lines, strict=True))
    whole_width = terminal_width() if is_terminal() else _WIDTH_WITHOUT_TERMINAL
    left = whole_width - sum(widths) - len(_GAP) * len(widths)
    has_own_line = left < min(last_width, _LEAST_ROOM)
    room = min(last_width, whole_width - len(_INDENT) if has_own_line else left)

    for number, (*cells, last) in enumerate(lines):
        padded = [
            cell.rjust(width) if is_number else set_cell_size(cell, width)
            for cell, width, is_number in zip(cells, widths, are_numbers, strict=True)
        ]
        cut = last if cell_len(last) <= room else set_cell_size(last, room - 1) + "…"
        text = _GAP.join(padded) + (f"\n{_INDENT}{cut}" if has_own_line else f"{_GAP}{cut}")
        say(text.rstrip(), sgr="1" if number == 0 else "")


def say_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Names and values, one a line, the values aligned; those that are empty are left out."""
    width = max((len(name) for name, value in pairs if value), default=0)
    for name, value in pairs:
        if value:
            say_wrapped(f"{name:<{width}}  {one_line(value)}", hang=width + len(_GAP))


def say_wrapped(text: str, *, hang: int = 0, sgr: str = "") -> None:
    """At a terminal a sentence goes on below itself, `hang` columns in; in a pipe it is one line."""
    for line in wrapped(one_line(text), terminal_width(), hang) if is_terminal() else [one_line(text)]:
        say(line, sgr=sgr)


def wrapped(text: str, width: int, hang: int) -> list[str]:
    """Never in the middle of a command: what is copied must run."""
    held = _SHELL_COMMAND.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
    lines = textwrap.wrap(
        held,
        width,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [line.replace(_NO_BREAK, " ") for line in lines]


def one_line(text: str) -> str:
    """In a pipe, too, one row is one line, and a column as wide as it looks."""
    return harmless(" ".join(text.split("\n")))


def shorten(text: str, characters: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= characters else flat[: characters - 1] + "…"


def local_time(epoch_ms: int | None) -> str:
    """The time here, with its offset from UTC; empty for none."""
    moment = _moment(epoch_ms)
    if moment is None:
        return ""
    return moment.astimezone().isoformat(sep=" ", timespec="seconds")


def utc_time(epoch_ms: int | None) -> str | None:
    """ISO 8601 in UTC, for JSON."""
    moment = _moment(epoch_ms)
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(epoch_ms: int | None, now_ms: int | None = None) -> str:
    """How far a moment is from now, in one unit: "3 min ago", "in 2 h"; empty for none."""
    if epoch_ms is None:
        return ""
    seconds = ((clock.now_ms() if now_ms is None else now_ms) - epoch_ms) / 1000
    if abs(seconds) < 1:
        return tr("now")
    return tr("{span} ago", span=span(seconds)) if seconds > 0 else tr("in {span}", span=span(-seconds))


def _moment(epoch_ms: int | None) -> datetime | None:
    """None too for a number that no calendar has: another program may have written it."""
    try:
        return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def duration(milliseconds: float) -> str:
    """812 ms, 4.2 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f}".removesuffix(".0") + " s"
    rest = round(milliseconds / 1000)
    parts = []
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, seconds)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
