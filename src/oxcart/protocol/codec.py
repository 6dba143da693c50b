"""How does a value become JSON on the wire, and back? Compact, as JSON.stringify writes it; refused where Node cannot.

Node numbers are doubles: an int beyond 2^53 would silently become another one there, NaN and Infinity would become
null. Both are refused, naming the place. A lone surrogate, which Node writes as an escape, is read and written.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgpack
import msgspec

from oxcart.errors import InvalidInput

LARGEST_INTEGER = 2**53 - 1
"""Number.MAX_SAFE_INTEGER; above it two integers share one double."""

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder()

_DEEPEST = 200
"""Levels of nesting: far more than data has, well below cjson's 1000 and Python's recursion limit; ends a cycle."""


_FLOAT_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def encode(value: Any, what: str = "data") -> bytes:
    """JSON text of a job's data, a return value or a progress. `what` names it in errors.

    pydantic models and dataclasses are written as their fields. Raises InvalidInput that names the path of what JSON
    or Node cannot hold.
    """
    plain = value if _is_plain(value, 0) else _plain(value, what, 0)
    try:
        return _encoder.encode(plain)
    except UnicodeEncodeError:
        return json.dumps(plain, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def decode(text: bytes | str, what: str = "data") -> Any:
    """The value of JSON text, not deeper than `encode` writes it, so that nobody who walks it runs out of stack.

    Raises InvalidInput for what is deeper, or no JSON; the caller still has the text.
    """
    try:
        value = _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"Reading {what}: it is not UTF-8. Look at the raw job: its producer wrote bytes."
        ) from error
    except RecursionError as error:
        raise _too_deep(what) from error
    except msgspec.DecodeError as error:
        value = _decode_loosely(text, what, error)
    if len(text) > 2 * _DEEPEST and _opens_many(text) and _is_deep(value):
        raise _too_deep(what)
    return value


def pack(value: Any) -> bytes:
    """MessagePack for scripts that unpack it; the servers' cmsgpack does not know the type for bytes.

    An integer beyond 64 bits becomes the double that Node and Lua make of it, half a surrogate a question mark.
    """
    packed: bytes = msgpack.packb(value, use_bin_type=False, unicode_errors="replace", default=_as_double)  # type: ignore[no-untyped-call]
    return packed


def _as_double(value: Any) -> float:
    if isinstance(value, int):
        return float(value)
    raise TypeError(f"a {type(value).__name__} cannot be packed")


def _decode_loosely(text: bytes | str, what: str, reason: Exception) -> Any:
    """What msgspec refuses and JSON.parse reads: an escaped half of a surrogate pair, an integer of any length."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _too_deep(what) from error
    except ValueError as error:
        raise InvalidInput(f"Reading {what}: it is no JSON ({reason}). Look at the raw job.") from error


def _opens_many(text: bytes | str) -> bool:
    """False for what cannot be deep. Flat data have no second bracket, and looking costs less than counting."""
    first, second = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    find: Any = text.find
    count: Any = text.count
    if find(first, 1) < 0 and find(second, 1) < 0:
        return False
    return bool(count(first) + count(second) > _DEEPEST)


def _is_deep(value: Any) -> bool:
    """Level by level, without a frame for each."""
    level = [value]
    for _ in range(_DEEPEST + 1):
        inner = []
        for item in level:
            kind = type(item)
            if kind is dict:
                inner += [below for below in item.values() if type(below) is dict or type(below) is list]
            elif kind is list:
                inner += [below for below in item if type(below) is dict or type(below) is list]
        if not inner:
            return False
        level = inner
    return True


def _too_deep(what: str) -> InvalidInput:
    return InvalidInput(f"Reading {what}: it is nested more than {_DEEPEST} levels deep. Look at the raw job.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _is_plain(value: Any, depth: int) -> bool:
    """True if nothing needs a second look: most data, judged without building a path for every field of it.

    Written as loops: generators would double the frames that deep data takes.
    """
    kind = type(value)
    if kind is dict and depth <= _DEEPEST:
        for key, item in value.items():
            if type(key) is not str or not _is_plain(item, depth + 1):
                return False
    elif kind is list and depth <= _DEEPEST:
        for item in value:
            if not _is_plain(item, depth + 1):
                return False
    else:
        return _is_plain_scalar(kind, value)
    return True


def _is_plain_scalar(kind: type, value: Any) -> bool:
    if kind is int:
        return bool(-LARGEST_INTEGER <= value <= LARGEST_INTEGER)
    if kind is float:
        return math.isfinite(value)
    return kind is str or value is None or kind is bool


def _plain(value: Any, path: str, depth: int) -> Any:
    """The same value made of dicts, lists, strings, numbers, booleans and None only."""
    kind = type(value)
    if _is_plain_scalar(kind, value):
        return value
    if depth > _DEEPEST:
        raise InvalidInput(f"{path[:60]}…: nested more than {_DEEPEST} levels deep, or inside itself. Make it flatter.")
    if kind is dict:
        return _plain_mapping(value, path, depth)
    if kind is list or kind is tuple:
        return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if kind is int:
        raise InvalidInput(
            f"{path}: the integer {_short(value)} is beyond 2^53, where Node's numbers lose digits. Send it as text."
        )
    if kind is float:
        raise InvalidInput(f"{path}: a float that is {_FLOAT_NAMES[str(value)]} has no place in JSON; send None.")
    return _plain_object(value, path, depth)


def _plain_mapping(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    plain = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidInput(
                f"{path}: the key {_short(key)} is of type {type(key).__name__}; JSON keys are strings. Send str(key)."
            )
        plain[str(key)] = _plain(item, f"{path}.{key}", depth + 1)
    return plain


def _plain_object(value: Any, path: str, depth: int) -> Any:
    """Everything that is not one of JSON's own types, or a subclass of one."""
    dump = getattr(value, "model_dump", None)
    if dump is not None and hasattr(type(value), "model_fields"):
        return _plain(dump(mode="json"), path, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _plain_mapping(fields, path, depth)
    if isinstance(value, dt.date | dt.time):
        raise InvalidInput(
            f"{path}: a {type(value).__name__} has no form in JSON. Send value.isoformat(), or epoch milliseconds."
        )
    if isinstance(value, bytes | bytearray | memoryview):
        raise InvalidInput(f"{path}: bytes have no form in JSON. Send them as base64 text, or decode them.")
    if isinstance(value, Mapping):
        return _plain_mapping(value, path, depth)
    if isinstance(value, Enum):
        return _plain(value.value, path, depth + 1)
    for base in (str, int, float, list, tuple):
        if isinstance(value, base):
            narrow: Callable[[Any], Any] = base
            return _plain(narrow(value), path, depth + 1)
    raise InvalidInput(
        f"{path}: a {type(value).__name__} is no JSON value. Send a dict, list, string, number, boolean or None, "
        "a pydantic model or a dataclass."
    )


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 256 else "of more than 70 digits"
    return text if len(text) <= 40 else text[:37] + "..."
