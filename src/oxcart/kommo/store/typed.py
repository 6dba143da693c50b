"""What does one row of Kommo's say, in the types of our columns? Whatever it holds, the row is kept: raw has it all."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from oxcart.kommo.entity import Entity, Form
from oxcart.kommo.store.columns import storable

_LARGEST = 2**63 - 1
_MOST_DIGITS = 60  # of an amount; no currency has more, and a text may say 1e1000
_ESCAPED_ZERO = rb"\u0000"


@dataclass(frozen=True, slots=True)
class Row:
    """`values` are the entity's typed columns, all of them; `content_hash` tells whether two raws are the same."""

    external_id: str
    values: Mapping[str, Any]
    raw: Any
    content_hash: str


def row_of(entity: Entity, raw: Mapping[str, Any], within: str | None = None) -> Row:
    """`within` is the id of the row that holds it, where that is part of its own. Raises ValueError without an id."""
    found = _as_text(raw.get("id"))
    if found is None:
        raise ValueError(f"A row of {entity.name} has no id.")
    clean, encoded = _storable(_heard(entity, dict(raw)))
    values = {column.name: _READERS[column.form](at(clean, column.source)) for column in entity.columns}
    external_id = storable(found if within is None else f"{within}:{found}")
    return Row(external_id, values, clean, hashlib.sha256(encoded).hexdigest())


def read_as(form: Form, value: Any) -> Any:
    """None for what is none of that form."""
    return _READERS[form](value)


def _heard(entity: Entity, raw: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    embedded = raw.get("_embedded")
    silent = [name for name in entity.quiet if isinstance(embedded, dict) and embedded.get(name) == []]
    if not silent or not isinstance(embedded, dict):
        return raw
    return {**raw, "_embedded": {name: value for name, value in embedded.items() if name not in silent}}


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


def at(raw: Any, path: tuple[str | int, ...]) -> Any:
    """PHP writes an empty object as []: what is not there is None, wherever the path ends."""
    for name in path:
        if isinstance(name, int):
            raw = raw[name] if isinstance(raw, list) and name < len(raw) else None
        else:
            raw = raw.get(name) if isinstance(raw, dict) else None
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


def _as_money(value: Any) -> Decimal | None:
    """As it was written: 0.1 is a tenth."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount.adjusted()) < _MOST_DIGITS else None


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


_KINDS = {"lead": "leads", "contact": "contacts", "company": "companies", "customer": "customers", "task": "tasks"}


def _as_kind(value: Any) -> str | None:
    found = _as_text(value)
    return _KINDS.get(found, found) if found else None


_READERS = {
    Form.TEXT: _as_text,
    Form.WHOLE: _as_whole,
    Form.MONEY: _as_money,
    Form.TRUTH: _as_truth,
    Form.MOMENT: _as_moment,
    Form.REF: _as_ref,
    Form.KIND: _as_kind,
}
