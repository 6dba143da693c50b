"""Has everything that the doctor can say a section in docs/doctor.md, and is that page fresh?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.russian import english_in

import oxcart.doctor
from oxcart.connection.failures import BY_CODE
from oxcart.connection.link import CLOSED
from oxcart.doctor import upstash
from oxcart.doctor.examine import CHECKS
from oxcart.doctor.pages import explain, render_page
from oxcart.http.health import FETCH_LATE
from oxcart.language import ENGLISH, LANGUAGES, speaking

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {ENGLISH: DOCS / "doctor.md", "ru": DOCS / "ru" / "doctor.md"}
SOURCE = Path(next(iter(oxcart.doctor.__path__)))


def written_codes() -> Iterator[str]:
    """Every code that stands as the first argument of failed(…) or warning(…) in the doctor's own source."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"failed", "warning"}:
                first = node.args[0]
                if isinstance(first, ast.Constant) and not str(first.value).startswith("VERIFY"):
                    yield str(first.value)


CODES = sorted(
    {
        *BY_CODE,
        *written_codes(),
        *(row.code for row in upstash.ROWS),
        *("ENV_NONE", "ENV_HALF", "ENV_REFERENCE", "ENV_SWAPPED", "URL_SCHEME", "URL_NEST", "URL_ESCAPE", "URL_BAD"),
        *("EMBEDDED_SERVER", "CHECK_CRASHED", FETCH_LATE, CLOSED.code),
    }
)


def test_there_is_a_page_for_each_language() -> None:
    assert set(PAGES) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_fresh(language: str) -> None:
    """Mend with: python -m oxcart.doctor LANGUAGE > docs/LANGUAGE/doctor.md (docs/doctor.md for en)."""
    with speaking(language):
        assert PAGES[language].read_text(encoding="utf-8") == render_page()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [*CODES, *(check.id for check in CHECKS)])
def test_everything_has_a_section(name: str, language: str) -> None:
    with speaking(language):
        text, page = explain(name), render_page()

    assert text.startswith(f"## {name}\n")
    assert len(text.split()) > 12
    assert f"\n## {name}\n" in page


def test_every_page_has_the_same_sections() -> None:
    anchors = []
    for language in LANGUAGES:
        with speaking(language):
            anchors.append(re.findall(r"^## (\S+)$", render_page(), re.MULTILINE))

    assert all(found == anchors[0] for found in anchors)


def test_every_russian_section_is_in_russian() -> None:
    """A section that was forgotten would be English, and one that is a copy too."""
    with speaking("ru"):
        for name in CODES:
            assert english_in(explain(name)) == []


def test_a_code_that_only_the_doctor_has_is_found_in_the_source() -> None:
    assert {"EVICTION_ON", "DRAINING_ZERO", "WORKER_STALE"} <= set(written_codes())


def test_no_two_sections_have_the_same_anchor() -> None:
    headings = [heading.lower() for heading in re.findall(r"^#+ (.+)$", render_page(), re.MULTILINE)]

    assert sorted(headings) == sorted(set(headings))


def test_every_section_is_about_something_that_exists() -> None:
    sections = set(re.findall(r"^## (\S+)$", render_page(), re.MULTILINE))

    assert {name for name in sections if not name.lower().startswith("verify")} == {
        *CODES,
        *(check.id for check in CHECKS),
    }
