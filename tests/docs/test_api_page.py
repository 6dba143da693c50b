"""Does the page of the Python API have every name that a program may import, and no other?"""

from __future__ import annotations

import re
import tomllib

from support.pages import PAGES, ROOT, page_named

import oxcart


def test_every_name_that_can_be_imported_is_on_the_page() -> None:
    on_the_page = re.findall(r"^::: oxcart\.(\w+)$", page_named("docs/api.md").read_text(), re.MULTILINE)

    assert sorted(on_the_page) == sorted({*oxcart.__all__, "testing"} - {"__version__"})


def test_every_page_is_in_the_sites_menu() -> None:
    menu = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    in_the_menu = set(re.findall(r"'([\w/-]+\.md)'", str(menu)))

    of_docs = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert of_docs <= in_the_menu
