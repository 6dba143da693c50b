"""In which language does Oxcart speak to a person? English, unless a command was asked for another.

A sentence is looked up as it stands in the source, with its places unfilled: tr("Nothing listens at {host}.", host=…).
Catalogues are locale/LANGUAGE/LC_MESSAGES/oxcart.po; scripts/messages adds to them what the source says anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.resources import files

ENGLISH = "en"
LANGUAGES = (ENGLISH, "ru")

# As GNU gettext reads them: the first that is set decides.
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
_STRING = r'(?:"(?:[^"\\]|\\.)*"\n?)+'
_ENTRY = re.compile(rf"^msgid ({_STRING})msgstr ({_STRING})", re.MULTILINE)

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


def tr(template: str, /, **values: object) -> str:
    """The sentence in the language that is spoken here, `values` in its places.

    Without values nothing is filled in, and a brace is a brace.
    """
    language = _language.get()
    text = template if language == ENGLISH else _catalogue(language).get(template, template)
    return text.format(**values) if values else text


def spoken() -> str:
    """The language of this context."""
    return _language.get()


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Every tr() below this is in one of LANGUAGES; threads begin in English again."""
    before = _language.set(language)
    try:
        yield
    finally:
        _language.reset(before)


def language_of(environ: Mapping[str, str]) -> str:
    """What the locale asks for: "ru_RU.UTF-8" is Russian; English for all that has no catalogue."""
    locale = next((environ[name] for name in _VARIABLES if environ.get(name)), "")
    language = re.split(r"[_.@]", locale, maxsplit=1)[0].lower()
    return language if language in LANGUAGES else ENGLISH


def read_catalogue(text: str) -> dict[str, str]:
    """The translations in a PO file as Babel writes it; what is empty, and plural forms, are not in it."""
    entries = (tuple(_joined(strings) for strings in entry) for entry in _ENTRY.findall(text))
    return {source: translation for source, translation in entries if source and translation}


def _joined(strings: str) -> str:
    return "".join(json.loads(line) for line in strings.splitlines())


@cache
def _catalogue(language: str) -> Mapping[str, str]:
    path = files("oxcart").joinpath("locale", language, "LC_MESSAGES", "oxcart.po")
    return read_catalogue(path.read_text(encoding="utf-8"))
