"""What does an answer of Kommo's say? JSON, read strictly first, then as tolerantly as it takes to lose no row."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import msgspec

_LIST = re.compile(r'"_embedded"\s*:\s*\{\s*"(\w+)"\s*:\s*\[')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


def parse_json(body: bytes) -> Any:
    """None where it is none. Half of a surrogate pair, a BOM, 1e400 and control characters are read; of a list, an
    element that cannot be read stands there as its text.
    """
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(body)
    text = body.decode("utf-8-sig", "replace")
    found = _loads(text)
    return _list_in_parts(text) if found is None else found


def _loads(text: str) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text, strict=False)
    return None


def _list_in_parts(text: str) -> Any:
    """None for what was cut, or is broken outside of the list's elements."""
    head = _LIST.search(text)
    if head is None:
        return None
    elements, start, depth = [], head.end(), 0
    for token in _TOKEN.finditer(text, start):
        what = token[0]
        depth += (what in "[{") - (what in "]}")
        if depth < 0 or (depth == 0 and what == ","):
            elements.append(text[start : token.start()])
            start = token.end()
        if depth < 0:
            around = _loads(text[: head.end()] + text[token.start() :])
            if isinstance(around, dict):
                elements = [element for element in elements if element.strip()]
                around["_embedded"][head[1]] = [
                    element if (one := _loads(element)) is None else one for element in elements
                ]
            return around
    return None
