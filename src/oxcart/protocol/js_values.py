"""What does JavaScript make of a value that a producer has written? Number(value), and whether it counts as true."""

from __future__ import annotations

import math
import re
from typing import Any

_DECIMAL = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_BASED = re.compile(r"0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+")


def number(value: Any) -> float:
    """NaN for what is no number: "3", " 3 ", "0x3", true and "" are some."""
    kind = type(value)  # decoded JSON has no subclasses
    if kind is int or kind is float or kind is bool or value is None:
        return _as_float(value or 0)
    if kind is str:
        return _of_text(value)
    if kind is list and len(value) < 2:
        return _of_text(value[0] if type(value[0]) is str else str(number(value[0]))) if value else 0.0
    return math.nan


def is_true(value: Any) -> bool:
    """Every text but an empty one is, also "false"; so are [] and {}. Not so 0 and null."""
    return isinstance(value, list | dict) or bool(value)


def _of_text(text: str) -> float:
    text = text.strip()
    if not text:
        return 0.0
    if _DECIMAL.fullmatch(text):
        return float(text)
    return _as_float(int(text, 0)) if _BASED.fullmatch(text) else math.nan


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
