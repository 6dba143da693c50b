"""Is an answer read, whatever somebody has typed into a row?"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oxcart.kommo.pages import broken_of, rows_of, seconds_of
from oxcart.kommo.parsing import parse_json


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"name":"\\ud83d!"}', {"name": "\ud83d!"}),
        (b'\xef\xbb\xbf{"id":1}', {"id": 1}),
        (b'{"price":1e400}', {"price": float("inf")}),
        (b'{"name":"a\x01b"}', {"name": "a\x01b"}),
        (b'{"name":"\xff"}', {"name": "\ufffd"}),
        (b'{"name":"\\u0000"}', {"name": "\x00"}),
        (b"", None),
        (b"<html>", None),
        (b'{"_embedded":{"leads":[{"id":1},{"id":2', None),
        (b"[" * 100_000, None),
    ],
)
def test_what_a_strict_reader_refuses_is_read(body: bytes, expected: Any) -> None:
    assert parse_json(body) == expected


def test_one_element_that_is_no_json_costs_none_of_the_others() -> None:
    body = rb'{"_page":1,"_embedded":{"leads":[{"id":1,"t":"a ] , }"},{"id":2,"name":"\x"},{"id":3}]},"_links":{}}'

    found = parse_json(body)

    assert [row["id"] for row in rows_of(found, "leads")] == [1, 3]
    assert broken_of(found, "leads") == ('{"id":2,"name":"\\x"}',)
    assert (found["_page"], found["_links"]) == (1, {})


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ),
    st.data(),
)
def test_every_other_row_is_there_whatever_they_hold(value: Any, data: st.DataObject) -> None:
    rows = [json.dumps({"id": number, "value": value}) for number in range(4)]
    place = data.draw(st.integers(0, 4))
    broken = rb'{"id": 9, "name": "\q"}'.decode()

    found = parse_json(f'{{"_embedded": {{"leads": [{",".join([*rows[:place], broken, *rows[place:]])}]}}}}'.encode())

    assert rows_of(found, "leads") == [json.loads(row) for row in rows]
    assert broken_of(found, "leads") == (broken,)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_nothing_is_raised_whatever_comes(body: bytes) -> None:
    parse_json(body)


@pytest.mark.parametrize(
    "row", [None, 7, "text", [], {}, {"id": None}, {"id": []}, {"id": True}, {"id": 2**70}, {"id": "x" * 500}]
)
def test_what_has_no_id_is_no_row(row: Any) -> None:
    body = {"_embedded": {"leads": [row, {"id": 5}]}}

    assert rows_of(body, "leads") == [{"id": 5}]
    assert broken_of(body, "leads") == (row,)


@pytest.mark.parametrize("value", [None, 0, -5, True, float("inf"), float("nan"), "soon", [], {}, 2**60])
def test_what_is_no_time_is_none(value: Any) -> None:
    assert seconds_of(value) is None
    assert msgspec.json.encode(seconds_of(value)) == b"null"
