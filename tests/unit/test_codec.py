"""Do values survive the way to JSON and back, and is what cannot survive refused?"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oxcart.errors import InvalidInput
from oxcart.protocol import codec

SAFE = st.integers(-codec.LARGEST_INTEGER, codec.LARGEST_INTEGER)
SCALARS = st.none() | st.booleans() | SAFE | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_json_values_come_back_as_they_were(value: Any) -> None:
    text = codec.encode(value)

    assert codec.decode(text) == value
    assert json.loads(text) == value


@given(st.text(st.characters(categories=["Cs", "Lu"]), min_size=1))
def test_halves_of_surrogate_pairs_travel_as_node_writes_them(value: str) -> None:
    text = codec.encode({"half": value})

    assert json.loads(text) == json.loads(json.dumps({"half": value}))
    assert codec.decode(text) == json.loads(text)


def test_text_is_compact_and_not_escaped_without_need() -> None:
    assert codec.encode({"a": [1, "ё"], "b": None}) == '{"a":[1,"ё"],"b":null}'.encode()


class Color(enum.Enum):
    RED = "red"


class Greeting(pydantic.BaseModel):
    name: str
    at: dt.datetime


@dataclasses.dataclass
class Point:
    x: int
    y: tuple[int, ...]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (
            Greeting(name="Ann", at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
            {"name": "Ann", "at": "2026-01-02T00:00:00Z"},
        ),
        (Point(1, (2, 3)), {"x": 1, "y": [2, 3]}),
        ({"c": Color.RED}, {"c": "red"}),
    ],
)
def test_models_and_dataclasses_are_written_as_their_fields(value: Any, written: Any) -> None:
    assert codec.decode(codec.encode(value)) == written


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"items": [0, {"x": float("inf")}]}, "data.items[1].x: a float that is Infinity"),
        (float("nan"), "data: a float that is NaN"),
        ([2**53], "data[0]: the integer 9007199254740992"),
        (-(2**4000), "data: the integer of more than 70 digits"),
        ({"at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, "data.at: a datetime has no form in JSON. Send value.isofo"),
        ({"b": b"x"}, "data.b: bytes have no form in JSON"),
        ({(1, 2): 3}, "data: the key (1, 2) is of type tuple"),
        ({"s": {1}}, "data.s: a set is no JSON value"),
    ],
)
def test_what_node_cannot_hold_is_refused_with_its_place(value: Any, sentence: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        codec.encode(value)

    assert sentence in str(raised.value)


@pytest.mark.parametrize("levels", [202, 900, 100_000])
@pytest.mark.parametrize("inner", ["1", '"\\ud800"'], ids=["plain", "loosely-read"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_what_is_nested_too_deeply_is_refused_as_text_and_as_bytes(
    levels: int, inner: str, opening: str, closing: str
) -> None:
    text = opening * levels + inner + closing * levels

    for written in (text, text.encode()):
        with pytest.raises(InvalidInput, match="nested more than 200 levels deep"):
            codec.decode(written)


def test_what_is_wide_and_not_deep_is_read() -> None:
    wide = [[{"a": [n]}] for n in range(1000)]
    deep: Any = 1
    for _ in range(201):  # what may be written may be read
        deep = [deep]

    assert codec.decode(codec.encode(wide)) == wide
    assert codec.decode(codec.encode(deep)) == deep


def test_a_value_inside_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append({"again": loop})

    with pytest.raises(InvalidInput, match="inside itself"):
        codec.encode(loop)


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b"\xff", b"[" * 100_000, b'{"a":1}x'])
def test_what_is_no_json_is_refused_and_named(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="Reading data of job 7"):
        codec.decode(text, "data of job 7")
