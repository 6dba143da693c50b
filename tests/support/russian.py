"""Is a text for a person in Russian? Ids, names of settings and the words of other programs may be as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)
_LETTERS = re.compile(r"[A-Za-z]{2,}")
# The small words without which there is no English sentence.
_ENGLISH = re.compile(r"\b(the|is|are|was|does|not|and|of|to|with|from|that|this|be|has|have|for|by|an?|no)\b")
# What the operating system, a library or a server said, what stands in a line of code, addresses and paths.
_FOREIGN = re.compile(r"\[Errno.*|«[^»]*»|\"[^\"]*\"|`[^`]*`|\(REST .*?\)|исходный текст: .*|(?:\w+:)?/\S+")


def english_in(text: str) -> list[str]:
    """The lines of an answer that hold an English sentence."""
    return [line for line in text.splitlines() if _ENGLISH.search(_FOREIGN.sub("", line))]


def is_russian(text: str) -> bool:
    return not text or (_CYRILLIC.search(text) is not None and not english_in(text))


def not_russian(content: Any) -> Iterator[str]:
    """Where the JSON of doctor or verify holds a text for a person that is not in Russian."""
    verdict = content["verdict"]
    for name in () if verdict is None else ("summary", "action"):
        if not is_russian(verdict[name]):
            yield f"verdict.{name}: {verdict[name]}"
    for check in content["checks"]:
        for name in ("title", "hint"):
            if not is_russian(check[name]):
                yield f"{check['id']}.{name}: {check[name]}"
        if english_in(check["evidence"]):
            yield f"{check['id']}.evidence: {check['evidence']}"


def lines_without_russian(text: str) -> list[str]:
    """Lines with words, and none of them Russian."""
    return [line for line in text.splitlines() if _LETTERS.search(line) and not _CYRILLIC.search(line)]
