"""Has everything that the doctor can say a section in docs/doctor.md, and is that page fresh?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.russian import english_in

import oxcart.doctor
import oxcart.kommo
from oxcart.checks import Check
from oxcart.conditions import CONDITIONS
from oxcart.connection.failures import BY_CODE
from oxcart.connection.link import CLOSED
from oxcart.doctor import upstash
from oxcart.doctor.examine import CHECKS
from oxcart.doctor.pages import explain, render_page
from oxcart.http.health import FETCH_LATE
from oxcart.kommo import checks as kommo_checks
from oxcart.kommo.store import failures
from oxcart.language import ENGLISH, LANGUAGES, speaking, tr
from oxcart.supervisor.sums import PROCESS_DOWN

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {ENGLISH: DOCS / "doctor.md", "ru": DOCS / "ru" / "doctor.md"}
SOURCE = Path(next(iter(oxcart.doctor.__path__)))
KOMMO = Path(next(iter(oxcart.kommo.__path__)))


def written_codes() -> Iterator[str]:
    """Every code that stands as the first argument of failed(…) or warning(…) in the source of a check."""
    for path in [*SOURCE.rglob("*.py"), *KOMMO.glob("*checks.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"failed", "warning"}:
                first = node.args[0]
                if isinstance(first, ast.Constant) and not str(first.value).startswith("VERIFY"):
                    yield str(first.value)


CODES = sorted(
    {
        *BY_CODE,
        *written_codes(),
        *(condition.code for condition in CONDITIONS),
        *(row.code for row in upstash.ROWS),
        *("ENV_NONE", "ENV_HALF", "ENV_REFERENCE", "ENV_SWAPPED", "URL_SCHEME", "URL_NEST", "URL_ESCAPE", "URL_BAD"),
        *(row.code for row in failures.ROWS),
        *("DB_SILENT", "DB_NETWORK", "DB_REFUSED", "DB_RLS", "KOMMO_TOKEN", "KOMMO_UNPAID", "KOMMO_AWAY"),
        *("EMBEDDED_SERVER", "CHECK_CRASHED", "NOTHING_CHECKED", FETCH_LATE, PROCESS_DOWN, CLOSED.code),
    }
)


def test_there_is_a_page_for_each_language() -> None:
    assert set(PAGES) == set(LANGUAGES)


IDS = [*(check.id for check in CHECKS), *(check.id for check in kommo_checks.CHECKS)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_fresh(language: str) -> None:
    """Mend with: python -m oxcart.doctor LANGUAGE > docs/LANGUAGE/doctor.md (docs/doctor.md for en)."""
    with speaking(language):
        assert PAGES[language].read_text(encoding="utf-8") == render_page()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [*CODES, *IDS])
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
        for name in (*CODES, *IDS):
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
        *IDS,
    }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("check", kommo_checks.CHECKS, ids=lambda check: check.id)
def test_a_section_about_kommo_says_what_its_check_says(check: Check[Any], language: str) -> None:
    """The doctor's pages may not import Kommo, so these sections are written by hand."""
    with speaking(language):
        text = " ".join(explain(check.id).split())
        title, group = tr(check.title), tr("Group {group}.", group=check.group)
        needs = tr("Needs: {checks}.", checks=", ".join(check.needs))
        matters = tr(check.matters)

    assert f"*{title[0].upper()}{title[1:]}.* {group}" in text
    assert matters in text
    assert not check.needs or needs in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("row", failures.ROWS, ids=lambda row: row.code)
def test_a_section_about_the_database_says_what_its_failure_says(row: failures.Row, language: str) -> None:
    with speaking(language):
        text = explain(row.code)
        told = f"\n{tr(row.summary)}\n\n**{tr('What to do')}:** {tr(row.advice)}\n"

    assert told in text
