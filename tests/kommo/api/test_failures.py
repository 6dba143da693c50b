"""Which error does an answer stand for, and how long does a 429 say to wait? The table, without a server."""

from __future__ import annotations

import email.utils
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oxcart.errors import OxcartError
from oxcart.kommo.failures import Blocked, KommoError, NoRights, RawAnswer, Refused, TooManyRequests, error_of


def answer(status: int, body: Any = None, **headers: str) -> RawAnswer:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, text)


def wait_of(body: Any, **headers: str) -> float | None:
    error = error_of(answer(429, body, **headers), "Asking", writes=False)
    assert isinstance(error, TooManyRequests)
    return error.retry_after_seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"retry_after": 300}, 300),
        ({"retry_after": "12"}, 12),
        ({"retry_after": 0.5}, 0.5),
        ({"retry_after": -5}, 0),
        ({"retry_after": 10**9}, 86_400),
        ({"retry_after": None}, None),
        ({"retry_after": True}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": [1]}, None),
        ([], None),
        (b"Too many requests", None),
        (b'{"retry_after": 3', None),
        (b"", None),
    ],
)
def test_the_wait_is_read_from_the_body(body: Any, seconds: float | None) -> None:
    assert wait_of(body) == seconds


def test_the_header_is_the_second_choice() -> None:
    assert wait_of(b"slow down", retry_after="40") == 40
    assert wait_of({"retry_after": 3}, retry_after="40") == 3
    later = email.utils.formatdate(time.time() + 90, usegmt=True)
    assert wait_of(b"", retry_after=later) == pytest.approx(90, abs=5)
    assert wait_of(b"", retry_after="whenever") is None


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_success_is_no_error(status: int) -> None:
    assert error_of(answer(status), "Asking", writes=True) is None


@pytest.mark.parametrize("body", [b"<html>403 Forbidden</html>", b"", b"[]", b'"no"', b'{"cut": '])
def test_a_403_without_a_json_object_is_a_block(body: bytes) -> None:
    assert isinstance(error_of(answer(403, body), "Asking", writes=False), Blocked)


def test_a_403_in_json_is_about_rights() -> None:
    assert isinstance(error_of(answer(403, {"title": "Forbidden"}), "Asking", writes=False), NoRights)


def test_validation_errors_are_read_as_far_as_they_can_be() -> None:
    body = {
        "title": "Bad Request",
        "validation-errors": [
            {"request_id": 7, "errors": [{"code": "C", "path": "p", "detail": None}, "odd"]},
            {"errors": None},
            None,
        ],
    }
    error = error_of(answer(400, body), "Writing", writes=True)

    assert isinstance(error, Refused)
    assert [(row.request_id, row.code, row.path, row.detail) for row in error.rows] == [("7", "C", "p", "")]


WORDS = st.sampled_from(["title", "detail", "hint", "retry_after", "validation-errors", "errors", "trace_id"])
BODIES = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner)
)


@given(st.integers(100, 599), BODIES)
def test_any_answer_is_a_success_or_one_of_our_errors(status: int, body: Any) -> None:
    error = error_of(answer(status, body), "Asking", writes=False)

    assert (error is None) == (200 <= status < 300)
    if error is not None:
        assert isinstance(error, KommoError)
        assert isinstance(error, OxcartError)
        assert str(error).startswith("Asking: ")
        assert "\n" not in str(error)
        assert len(str(error)) < 1500
