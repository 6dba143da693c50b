"""What may reach a terminal? Letters; nothing that it obeys, that turns the reading round, or that nobody can see."""

from __future__ import annotations

import unicodedata

# Control characters, formats (bidi overrides, zero widths, tags), halves of surrogate pairs, separators of lines.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KEPT = frozenset("\n\t")


def harmless(text: str) -> str:
    r"""The same text with such characters as JSON escapes them, \u001b: inside of JSON it still says the same.

    Line ends and tabs stay; whoever writes one line takes them out first.
    """
    if text.isprintable():
        return text
    return "".join(_escape(letter) if _is_harmful(letter) else letter for letter in text)


def _is_harmful(letter: str) -> bool:
    return not letter.isprintable() and letter not in _KEPT and unicodedata.category(letter) in _HARMFUL


def _escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
