"""Does the catalogue have every sentence, whole and with the same places? scripts/messages adds what it lacks."""

from __future__ import annotations

import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Message

from oxcart.checks import Check
from oxcart.cli.kommo_checks import all_checks
from oxcart.doctor import verify
from oxcart.language import ENGLISH, LANGUAGES, read_catalogue, speaking, tr

ROOT = Path(__file__).parents[2]
OTHERS = [language for language in LANGUAGES if language != ENGLISH]
TITLE_WIDTH = 38

# The same in every language: names, numbers, punctuation.
UNTRANSLATED = {
    ", ",
    "{sides}",
    "Redis",
    "Redis {compatible}",
    "{name} — {value}",
    "{url} из {sources}{ignored}",
    "Europe/Madrid",
    "RAILWAY_DEPLOYMENT_DRAINING_SECONDS - {margin:g}",
    "base64",
    "hex",
    "true или false",
}


def load_script() -> Any:
    loader = SourceFileLoader("messages", str(ROOT / "scripts" / "messages"))
    spec = spec_from_loader("messages", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


SCRIPT = load_script()


def messages(language: str) -> list[Message]:
    return [message for message in SCRIPT.present(language) if message.id]


def places(text: str) -> list[str]:
    return sorted(re.findall(r"\{[^{}]*\}", text))


@pytest.mark.parametrize("language", OTHERS)
def test_it_has_every_sentence_of_the_source_and_no_other(language: str) -> None:
    """Mend with: .venv/bin/python scripts/messages."""
    wanted = {message.id for message in SCRIPT.wanted() if message.id}

    present = {message.id for message in messages(language)}

    assert sorted(wanted - present) == [], "sentences without a translation"
    assert sorted(present - wanted) == [], "translations of what is said no more"
    assert "the settings can be used" in wanted, "a title from a table"
    assert "no job was ever added" in wanted, "a call inside an f-string"
    assert "Kommo accepts the tokens" in wanted, "a title from a table of Kommo's"


@pytest.mark.parametrize("language", OTHERS)
def test_every_entry_is_whole(language: str) -> None:
    empty = [message.id for message in messages(language) if not message.string]
    fuzzy = [message.id for message in messages(language) if message.fuzzy]

    assert (empty, fuzzy) == ([], [])


@pytest.mark.parametrize("language", OTHERS)
def test_every_translation_fits_where_its_sentence_stands(language: str) -> None:
    """The same places, the same space at its ends; and a warning that begins with a variable's name still does: the
    doctor knows those of the token by that.
    """
    for message in messages(language):
        source, translation = str(message.id), str(message.string)
        assert places(translation) == places(source), source
        assert translation[:1].isspace() == source[:1].isspace(), source
        assert translation[-1:].isspace() == source[-1:].isspace(), source
        if source.startswith("{name} "):
            assert translation.startswith("{name} "), source


def test_every_russian_sentence_is_in_russian() -> None:
    for message in messages("ru"):
        translation = str(message.string)
        if re.search("[A-Za-z]{2,}", re.sub(r"\{[^{}]*\}", "", translation)):
            assert re.search("[а-яё]", translation) or translation in UNTRANSLATED, message.id


@pytest.mark.parametrize("language", OTHERS)
def test_our_reader_reads_what_babel_reads(language: str) -> None:
    read = read_catalogue(SCRIPT.path_of(language).read_text(encoding="utf-8"))

    assert read == {message.id: message.string for message in messages(language)}


@pytest.mark.parametrize("check", [*all_checks(), *verify.CHECKS], ids=lambda check: check.id)
def test_a_title_fits_into_its_column(check: Check[Any]) -> None:
    for language in LANGUAGES:
        with speaking(language):
            assert len(tr(check.title)) <= TITLE_WIDTH


def test_an_empty_translation_and_one_that_is_gone_are_not_read() -> None:
    text = (
        'msgid ""\nmsgstr "Language: ru\\n"\n\n#: a.py\nmsgid "one"\nmsgstr ""\n\n'
        'msgid ""\n"two "\n"lines \\"here\\""\nmsgstr ""\n"две "\n"строки"\n\n#~ msgid "gone"\n#~ msgstr "нет"\n'
    )

    assert read_catalogue(text) == {'two lines "here"': "две строки"}
