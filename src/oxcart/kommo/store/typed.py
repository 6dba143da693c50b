"""What does one row of Kommo's say, in the types of our columns? Whatever it holds, the row is kept: raw has it all."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from oxcart.kommo.entities import Column, Entity, Form
from oxcart.kommo.store.columns import storable

_LARGEST = 2**63 - 1
_ESCAPED_ZERO = rb"\u0000"


@dataclass(frozen=True, slots=True)
class Row:
    """`values` are the entity's typed columns, all of them; `content_hash` tells whether two raws are the same."""

    external_id: str
    values: Mapping[str, Any]
    raw: Any
    content_hash: str


def row_of(entity: Entity, raw: Mapping[str, Any], external_id: str | None = None) -> Row:
    """`external_id` where the row's own `id` is no key. Raises ValueError for a row without one."""
    found = external_id or _as_text(raw.get("id"))
    if found is None:
        raise ValueError(f"A row of {entity.name} has no id.")
    return typed_row(found, entity.columns, raw)


def typed_row(external_id: str, columns: tuple[Column, ...], raw: Mapping[str, Any]) -> Row:
    clean, encoded = _storable(dict(raw))
    values = {column.name: _READERS[column.form](_at(clean, column.source)) for column in columns}
    return Row(storable(external_id), values, clean, hashlib.sha256(encoded).hexdigest())


def hash_of(value: Any) -> str:
    """The same for the same JSON, in whatever order its keys came."""
    return hashlib.sha256(_encode(value)).hexdigest()


def _storable(raw: dict[str, Any]) -> tuple[Any, bytes]:
    """And as JSON. Walking through every value costs more than all else here, and is hardly ever needed."""
    try:
        encoded = _encode(raw)
    except UnicodeEncodeError:  # half of a surrogate pair
        encoded = _ESCAPED_ZERO
    if _ESCAPED_ZERO not in encoded:
        return raw, encoded
    clean = storable(raw)
    return clean, _encode(clean)


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _at(raw: Any, path: tuple[str, ...]) -> Any:
    """PHP writes an empty object as []: what is not there is None, wherever the path ends."""
    for name in path:
        if not isinstance(raw, dict):
            return None
        raw = raw.get(name)
    return raw


def _as_text(value: Any) -> str | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else None


def _as_whole(value: Any) -> int | None:
    number = _as_number(value)
    if number is None or abs(number) > _LARGEST:
        return None
    return int(value) if isinstance(value, int) else int(number)


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _as_truth(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"1": True, "true": True, "0": False, "false": False}.get(value.lower())
    return bool(value) if isinstance(value, bool | int) else None


def _as_moment(value: Any) -> datetime | None:
    seconds = _as_number(value)
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _as_ref(value: Any) -> str | None:
    found = _as_text(value)
    return None if found in {"0", "0.0", ""} else found


_READERS = {
    Form.TEXT: _as_text,
    Form.WHOLE: _as_whole,
    Form.NUMBER: _as_number,
    Form.TRUTH: _as_truth,
    Form.MOMENT: _as_moment,
    Form.REF: _as_ref,
}
