"""Does each page that an operator needs exist in Russian, whole, and say the same as the English one?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.pages import ROOT, Block, anchors_of, blocks_of, links_of

from oxcart.doctor.pages import explain

ENGLISH, RUSSIAN = ROOT / "docs", ROOT / "docs" / "ru"
TRANSLATED = (
    "kommo",
    "deploy-railway",
    "migrate-from-node",
    "rotate-secrets",
    "upgrading",
    "alerts",
    "logs",
    "troubleshooting",
    "on-call",
    "kommo",
)
RETOLD = ("getting-started", "doctor")  # in words of their own; the sections of doctor are generated
CYRILLIC = re.compile(r"[А-Яа-яЁё]")


@pytest.mark.parametrize("name", [*TRANSLATED, *RETOLD])
def test_the_page_exists_and_is_russian(name: str) -> None:
    text = (RUSSIAN / f"{name}.md").read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", text, flags=re.DOTALL)

    assert len(CYRILLIC.findall(prose)) > len(re.findall(r"[A-Za-z]", prose)), "it was left in English"


@pytest.mark.parametrize("name", [*TRANSLATED, *RETOLD, "README"])
def test_every_link_leads_somewhere_and_to_the_russian_page_where_there_is_one(name: str) -> None:
    page = RUSSIAN / f"{name}.md"
    for target in links_of(page):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_file(), f"{name} links to {target}"
        assert not anchor or anchor in anchors_of(linked), f"{name} links to {target}, where there is no such heading"
        if linked.parent == ENGLISH and linked.stem != name:
            assert not (RUSSIAN / linked.name).exists(), f"{name} sends its reader to the English {linked.name}"


@pytest.mark.parametrize("name", TRANSLATED)
def test_commands_settings_and_codes_are_those_of_the_english_page(name: str) -> None:
    """A translation that was forgotten when the English page changed shows here."""
    english, russian = (literals(folder / f"{name}.md") for folder in (ENGLISH, RUSSIAN))

    assert english - russian == set(), "missing in Russian"
    assert russian - english == set(), "only in Russian"


def literals(page: Path) -> set[str]:
    """What no translation changes: settings, codes, commands in blocks, names of events and alerts."""
    text = page.read_text(encoding="utf-8")
    commands = {line for block in blocks_of(page) if block.language == "bash" for line in block.text.splitlines()}
    return (
        set(re.findall(r"\b(?:OXCART|JOB|RAILWAY|UPSTASH|KOMMO|VERIFY)_[A-Z_]+\b", text))
        | set(re.findall(r"`((?:redis|job|jobs|worker|quota|http|kommo)\.[a-z_]+)`", text))
        | {" ".join(found.split()) for found in re.findall(r"`(oxcart(?:\s+(?:--)?[a-z][a-z-]*)+)", text)}
        | commands
    )


@pytest.mark.parametrize("name", TRANSLATED)
def test_the_code_blocks_are_those_of_the_english_page(name: str) -> None:
    """What a reader copies is the same in both languages; the order may differ."""
    english, russian = (
        sorted((block.language, block.text) for block in blocks_of(folder / f"{name}.md"))
        for folder in (ENGLISH, RUSSIAN)
    )

    assert russian == english


def test_the_commands_of_a_page_that_is_told_shorter_are_in_the_english_one() -> None:
    english, russian = (
        {
            line
            for block in blocks_of(folder / "getting-started.md")
            if block.language == "bash"
            for line in lines(block)
        }
        for folder in (ENGLISH, RUSSIAN)
    )

    assert russian
    assert russian - english == set()


def lines(block: Block) -> list[str]:
    return [line.strip() for line in block.text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", [*TRANSLATED, *RETOLD])
def test_repairing_a_queue_is_spoken_of_in_both(name: str) -> None:
    """`oxcart repair` came after these pages were translated, and was left out of them."""
    english, russian = ("oxcart repair" in (folder / f"{name}.md").read_text("utf-8") for folder in (ENGLISH, RUSSIAN))

    assert russian is english


def test_the_pages_that_are_the_same_in_both_languages_are_all_named_here() -> None:
    assert {page.stem for page in RUSSIAN.glob("*.md")} == {*TRANSLATED, *RETOLD, "README"}


@pytest.mark.parametrize("name", TRANSLATED)
def test_the_sections_are_as_many_as_in_english(name: str) -> None:
    counts = [
        len(re.findall(r"^#{1,3} ", (folder / f"{name}.md").read_text(encoding="utf-8"), re.MULTILINE))
        for folder in (ENGLISH, RUSSIAN)
    ]

    assert counts[0] == counts[1]


def test_the_codes_of_the_doctors_page_are_explained() -> None:
    tables = [line for line in (RUSSIAN / "doctor.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    codes = [code for line in tables for code in re.findall(r"`([A-Z][A-Z0-9_]+)`", line.split("|")[1])]

    assert len(codes) > 20
    for code in codes:
        assert f"## {code}" in explain(code)
