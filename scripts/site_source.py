"""Write the pages of the documentation's site into a folder: docs/, and the pages of the repository's root.

A link from one page to another stays a link. Of a link into the source only its text stays: that is not on the site.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES_OF_THE_ROOT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<where>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def write(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, folder)
    pages = {page: folder / page.relative_to(DOCS) for page in DOCS.rglob("*.md")}
    pages |= {ROOT / name: folder / name for name in PAGES_OF_THE_ROOT}
    for page, copy in pages.items():
        copy.write_text(_on_the_site(page, copy, pages))


def _on_the_site(page: Path, copy: Path, pages: dict[Path, Path]) -> str:
    def link(found: re.Match[str]) -> str:
        meant = (page.parent / found["where"]).resolve()
        if meant in pages:
            there = os.path.relpath(pages[meant], copy.parent)
            return f"[{found['text']}]({there}{found['anchor'] or ''})"
        return found[0] if meant.is_relative_to(DOCS) else found["text"]

    return LINK.sub(link, page.read_text())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
