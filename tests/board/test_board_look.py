"""Do the small parts of a page keep to their word: the veil, numbers, times, lines, drawings?"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oxcart.board.family import Member, draw, member_of, members
from oxcart.board.look import ago, link, number, size, span, sparkline, static_files, static_url
from oxcart.board.veil import VEIL, restored, veiled, veiled_json, veiled_text
from oxcart.errors import InvalidInput
from oxcart.language import speaking

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "token", "Password", "user", "api_key", "note"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "name",
    ["password", "userPassword", "PASSWD", "client_secret", "accessToken", "refresh_token", "apiKey", "api-key",
     "Authorization", "cookie", "credentials", "privateKey", "jwt", "sentryDsn", "otp"],
)  # fmt: skip
def test_names_that_look_secret_are_veiled(name: str) -> None:
    assert veiled({"deep": [{name: "hunter2"}]}) == {"deep": [{name: VEIL}]}


@pytest.mark.parametrize("name", ["name", "keyboard", "author", "id", "passenger", "compass"])
def test_names_that_do_not_are_not(name: str) -> None:
    assert veiled({name: "plain"}) == {name: "plain"}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("token=abc123", "abc123"),
        ('{"password": "hunter2", cut', "hunter2"),
        ("Authorization: Bearer eyJhbGciOi.x.y", "eyJhbGciOi"),
        ("redis://default:p4ss@host:6379", "p4ss"),
        ("GET https://u:pw123@x.example/a", "pw123"),
        ("API_KEY='sk-12345'", "sk-12345"),
    ],
)
def test_texts_give_nothing_away_by_their_form(text: str, hidden: str) -> None:
    assert hidden not in veiled_text(text)
    assert hidden not in veiled_json(text)


@settings(max_examples=30)
@given(JSON)
def test_what_is_not_touched_behind_the_veil_comes_back_as_it_was(value: Any) -> None:
    assert restored(veiled(value), value) == value


def test_a_veil_that_is_moved_is_refused() -> None:
    with pytest.raises(InvalidInput):
        restored({"note": VEIL}, {"password": "x"})
    with pytest.raises(InvalidInput):
        restored({"note": f"url with {VEIL}"}, {"note": "url with token=abc"})
    assert restored({"password": "new"}, {"password": "old"}) == {"password": "new"}


@pytest.mark.parametrize("text", ["a-" * 200_000, "a://b:" * 60_000, "token " * 60_000, "=" * 400_000])
def test_no_text_holds_up_the_page(text: str) -> None:
    """Patterns that look again and again at the same letters would take minutes here: the limit of a test."""
    assert len(veiled_text(text)) >= len(text) // 2


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1500, "1.5 s"),
        (60_000, "1 min"),
        (5_400_000, "1.5 h"),
        (4e8, "4.6 d"),
        (None, "–"),
    ],
)
def test_a_span_is_short(ms: float | None, shown: str) -> None:
    assert span(ms) == shown


def test_times_and_numbers_are_told_as_they_are_read() -> None:
    assert number(1234567) == "1\u202f234\u202f567"
    assert (size(None), size(812), size(3 << 20)) == ("–", "812 B", "3 MB")
    shown = ago(1_000_000, 1_090_000)
    assert re.fullmatch(
        r'<time datetime="1970-01-01T00:16:40.000Z" title="[^"]+" data-ms="1000000">1.5 min ago</time>', shown
    )
    assert "in 10 s" in ago(1_010_000, 1_000_000)
    assert [ago(ms, 0) for ms in (None, 10**20)] == ["–", "–"]
    with speaking("ru"):
        assert "1.5 мин назад" in ago(1_000_000, 1_090_000)


def test_an_address_carries_any_text() -> None:
    assert link("/queue", queue="a b&c/ü?", state="", after=None) == "/board/queue?queue=a+b%26c%2F%C3%BC%3F"
    assert link("/job", id="\udce4") == "/board/job?id=%3F"


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**6), max_size=40), st.text(max_size=20))
def test_a_sparkline_stays_in_its_box(values: list[int], title: str) -> None:
    svg = str(sparkline(values, title))
    points = re.search(r'<polyline points="([^"]*)"', svg)
    assert points is not None
    pairs = [tuple(map(float, pair.split(","))) for pair in points[1].split()]
    assert len(pairs) == (len(values) if any(values) else 2)
    assert all(0 <= x <= 96 and 0 <= y <= 22 for x, y in pairs)
    assert "<script" not in svg


def test_no_two_jobs_of_a_drawing_stand_on_each_other() -> None:
    root = Member("q", "root")
    for n in range(5):
        root.children.append(Member("q", str(n), children=[Member("q", f"{n}-{m}") for m in range(n)]))
    drawing = draw(member_of(root.as_json()))
    places = {(box.x, box.y) for box in drawing.boxes}

    assert len(places) == len(drawing.boxes) == len(list(members(root)))
    assert all(box.y + drawing.box_height <= drawing.height for box in drawing.boxes)
    assert all(box.x + drawing.box_width <= drawing.width for box in drawing.boxes)


def test_what_others_wrote_keeps_its_licence_and_its_size() -> None:
    from importlib.resources import files

    folder = files("oxcart.board").joinpath("static")
    assert "Redistribution" in (text := folder.joinpath("htmx.LICENSE").read_text()) or "Permission" in text
    assert "MIT" in folder.joinpath("uplot.LICENSE").read_text()
    packed = sum(len(file.packed) for file in static_files().values())
    assert packed < 60_000
    assert all(static_url(file.name).startswith("/board/static/") for file in static_files().values())
