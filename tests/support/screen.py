"""What does a person see? Our output as a terminal of a given size shows it, kept as text beside the tests."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

SIZES = ((80, 24), (200, 50))
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Screen(io.StringIO):
    """A stdout that is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def screen(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> Screen:
    """From now on stdout is a terminal of so many columns and lines."""
    shown = Screen()
    columns, lines = size
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    return shown


def compare(shown: Screen, kept: Path, size: tuple[int, int], *, renew: bool, scrolls: bool) -> None:
    """Fail where the screen is another than the one that is kept, or does not fit; `renew` keeps the new one.

    What `scrolls` may have more lines than the terminal.
    """
    text = _COLOURS.sub("", shown.getvalue())
    lines = text.splitlines()
    assert all(cell_len(line) <= size[0] or "oxcart " in line for line in lines), "a row breaks that is no command"
    assert scrolls or len(lines) < size[1], "it is more than a screen"
    if renew:
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text(encoding="utf-8"), f"look at it, and keep it: pytest --renew-screens {kept.name}"
