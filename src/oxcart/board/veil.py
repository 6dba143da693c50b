"""What of a payload is a secret, as far as names tell? Those values are veiled until a session asks to see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.protocol import codec

VEIL = "••••••"
_SLICE = 64 * 1024

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase|code)|(^|[^a-z])pass$|pwd|secret|token|(api|access|private)[-_ ]?key|authorization|cookie"
    r"|credential|signature|bearer|session[-_ ]?id|encryption|\bpin\b|\bcvv|\botp\b|jwt|dsn$",
    re.IGNORECASE,
)
_IN_TEXT = re.compile(
    r"(?P<before>(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[-_]?key|access[-_]?key|authorization|cookie|credential)s?"
    r"[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)(?P<value>[^\s\"',;&}]{3,})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?P<before>bearer\s+)(?P<value>[\w.~+/=-]{8,})", re.IGNORECASE)
_URL_PASSWORD = re.compile(
    r"(?P<before>\b[a-z][\w+.-]{0,20}://[^\s:/@]{0,200}:)(?P<value>[^\s@/]{1,500})(?=@)", re.IGNORECASE
)


def veiled(value: Any) -> Any:
    """The same JSON value without what fields of secret names hold, and without passwords inside of texts."""
    if isinstance(value, dict):
        return {name: VEIL if _hides(name, inner) else veiled(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [veiled(inner) for inner in value]
    return veiled_text(value) if isinstance(value, str) else value


def veiled_text(text: str) -> str:
    """What a log line, a reason or a stack trace gives away by its form: name=value, bearer tokens, URLs."""
    return _veiled(text) if len(text) <= _SLICE else "".join(map(_veiled, _slices(text)))


def _veiled(text: str) -> str:
    patterns = (_URL_PASSWORD, _IN_TEXT) if ":" in text or "=" in text else ()
    for pattern in (*patterns, *((_BEARER,) if "bearer" in text.lower() else ())):
        text = pattern.sub(lambda found: found["before"] + VEIL, text)
    return text


def _slices(text: str) -> Iterator[str]:
    """Of a very long text: a pattern holds up every thread while it looks. Cut at spaces, as far as there are some."""
    at = 0
    while at < len(text):
        end = at + _SLICE
        space = text.rfind(" ", at + _SLICE // 2, end)
        end = space if space > 0 and end < len(text) else end
        yield text[at:end]
        at = end


def veiled_json(text: str) -> str:
    """A text that is JSON as a rule; what is none, or was cut, is veiled as text."""
    try:
        value = codec.decode(text)
    except InvalidInput:
        return veiled_text(text)
    return codec.encode(veiled(value)).decode("utf-8", "backslashreplace")


def restored(edited: Any, original: Any) -> Any:
    """What someone has edited behind the veil, with the veiled values as they were. Raises InvalidInput."""
    if edited == VEIL:
        if original is None:
            raise InvalidInput("A veiled value was moved to where there was none. Lift the veil, and edit again.")
        return original
    if isinstance(edited, dict):
        before = original if isinstance(original, dict) else {}
        return {name: restored(inner, before.get(name)) for name, inner in edited.items()}
    if isinstance(edited, list):
        known = original if isinstance(original, list) else []
        return [restored(inner, known[at] if at < len(known) else None) for at, inner in enumerate(edited)]
    if isinstance(edited, str) and VEIL in edited:
        if isinstance(original, str) and veiled_text(original) == edited:
            return original
        raise InvalidInput("A text with a veiled part was changed. Lift the veil, and edit again.")
    return edited


def _hides(name: str, inner: Any) -> bool:
    return (
        _SECRET_NAME.search(name) is not None and inner not in (None, "", True, False) and not isinstance(inner, dict)
    )
