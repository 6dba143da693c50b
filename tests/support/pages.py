"""What does a page of the documentation contain? Its code blocks with what the page says about them, and its links.

A comment of its own line before a block says what a test does with it: `<!-- file: NAME -->` writes it to a file,
`<!-- in the background -->` lets it run on, `<!-- not run: REASON -->` leaves it out. A `text` block behind a `bash`
block is what that prints: its lines in their order, `…` standing for anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    mark: str
    printed: str | None

    @property
    def file_name(self) -> str | None:
        return self.mark.removeprefix("file: ") if self.mark.startswith("file: ") else None

    @property
    def is_run(self) -> bool:
        return not self.mark.startswith("not run: ")

    @property
    def goes_on(self) -> bool:
        return self.mark == "in the background"

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def page_named(name: str) -> Path:
    return ROOT / name


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    blocks: list[Block] = []
    for match, following in zip_longest(found, found[1:]):
        printed = None
        if following is not None and match["language"] == "bash" and following["language"] == "text":
            printed = following["text"]
        line = text.count("\n", 0, match.start("text"))
        blocks.append(Block(page, line, match["language"], match["text"], match["mark"] or "", printed))
    return blocks


def without_blocks(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links_of(page: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", without_blocks(page))
    return [match["target"] for match in _LINK.finditer(text)]


def anchors_of(page: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    anchors: set[str] = set()
    for heading in _HEADING.finditer(without_blocks(page)):
        plain = re.sub(r"[^\w\- ]", "", heading["title"].strip().lower()).replace(" ", "-")
        number, anchor = 0, plain
        while anchor in anchors:
            number += 1
            anchor = f"{plain}-{number}"
        anchors.add(anchor)
    return anchors


def matches(said: str, printed: str) -> bool:
    """True if the lines of `printed` are in `said`, in this order; `…` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in re.split(r"…\n?", printed.strip()))
    pattern = pattern.replace(re.escape("\n"), r"[^\n]*\n(?:.*\n)*?")
    return re.search(pattern, said, re.DOTALL) is not None
