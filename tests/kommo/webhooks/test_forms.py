"""Are PHP's brackets read in every shape that Kommo sends, and in those that nobody should?"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oxcart.kommo.webhooks.expand import expand_body
from oxcart.kommo.webhooks.forms import (
    DEEPEST,
    MOST_VALUES,
    UnreadableHook,
    items_of,
    parse_form,
    parse_json_hook,
    text_of,
    tree_of,
)
from oxcart_sandbox.hook_bodies import form_fields

KEYS = st.text(st.characters(exclude_characters="[].= \x00", exclude_categories=["Cs"]), min_size=1, max_size=8)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NODES = st.recursive(
    VALUES,
    lambda below: st.dictionaries(KEYS, below, min_size=1, max_size=4) | st.lists(below, min_size=1, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        ("a[b][0][id]=5", {"a": {"b": {"0": {"id": "5"}}}}),
        ("x[]=1&x[]=2", {"x": {"0": "1", "1": "2"}}),
        ("x[7]=1&x[]=2", {"x": {"7": "1", "8": "2"}}),
        ("x[a]=1&x[]=2&x[0]=3", {"x": {"a": "1", "0": "3"}}),
        ("x[][id]=1&x[][id]=2", {"x": {"0": {"id": "1"}, "1": {"id": "2"}}}),
        ("links[153][ID]=153&links[7][ID]=7", {"links": {"153": {"ID": "153"}, "7": {"ID": "7"}}}),
        ("a=1&a=2", {"a": "2"}),
        ("a[b]=1&a[b]=2", {"a": {"b": "2"}}),
        ("a%5Bb%5D%5B0%5D=%D0%AF+%26", {"a": {"b": {"0": "Я &"}}}),
        ("a=%FF%C3", {"a": "��"}),
        ("a=%zz%4", {"a": "%zz%4"}),
        ("a=1=2&b", {"a": "1=2", "b": ""}),
        ("a[b=1", {"a_b": "1"}),
        ("a[b]c=1", {"a": {"b": "1"}}),
        ("a[b][c=1", {"a": {"b": "1"}}),
        ("[a]=1&=2&&", {"_a]": "1"}),
        ("", {}),
    ],
)
def test_a_form_becomes_the_tree_that_php_would_make(body: str, tree: dict[str, Any]) -> None:
    assert parse_form(body) == tree


@pytest.mark.parametrize("body", ["x[type]=3&x[type][uuid]=u", "x[type][uuid]=u&x[type]=3"])
def test_a_value_with_others_below_it_keeps_both(body: str) -> None:
    """2.6: both can occur in one body; PHP itself would drop one."""
    node = parse_form(body)["x"]["type"]

    assert text_of(node) == "3"
    assert node["uuid"] == "u"


@given(st.dictionaries(KEYS, NODES, min_size=1, max_size=4))
def test_what_php_writes_is_read_back(value: dict[str, Any]) -> None:
    assert parse_form(urlencode(list(form_fields(value)))) == as_tree(value)


@given(st.dictionaries(KEYS, NODES, min_size=1, max_size=4))
def test_json_becomes_the_same_tree(value: dict[str, Any]) -> None:
    assert parse_json_hook(msgspec.json.encode(value).decode()) == as_tree(value)


@given(st.dictionaries(KEYS, NODES, min_size=1, max_size=4))
def test_keys_that_still_have_their_brackets_become_the_same_tree(value: dict[str, Any]) -> None:
    """2.6 and 1.4: the platform passes on what its own parser made of the body, or the fields as they are."""
    assert tree_of(dict(form_fields(value))) == as_tree(value)


KNOWN = {
    "",
    "Reading a webhook: it calls itself JSON and is none. Look at its sender.",
    "Reading a webhook: its JSON is no object. Look at its sender.",
    "Reading a webhook: it names no lead, contact, company, task or note. Look at its sender.",
}


def refusal(body: str, content_type: str | None) -> str:
    try:
        expand_body(body, content_type)
    except UnreadableHook as error:
        return str(error)
    return ""


def as_tree(value: Any) -> Any:
    if isinstance(value, list):
        return {str(number): as_tree(item) for number, item in enumerate(value)}
    return {key: as_tree(item) for key, item in value.items()} if isinstance(value, dict) else value


@given(st.text(max_size=200), st.sampled_from([None, "application/json", "application/x-www-form-urlencoded"]))
def test_no_body_raises_anything_but_our_own_error(body: str, content_type: str | None) -> None:
    assert refusal(body, content_type) in KNOWN


@given(st.lists(st.sampled_from("abid[]=&%01+_; \\\"'{}:,leadscontactsnotetaskupdate\x00\ud800é"), max_size=80))
def test_no_field_like_text_raises_anything_but_our_own_error(pieces: list[str]) -> None:
    assert refusal("".join(pieces), None) in KNOWN
    assert refusal("".join(pieces), "application/json") in KNOWN


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("a" + "[b]" * DEEPEST + "=1", None),
        ("&".join(f"a[{number}]=1" for number in range(MOST_VALUES + 1)), None),
        ('{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), "application/json"),
        ('{"":' * 900 + "1" + "}" * 900, "application/json"),
        ("[" * 100_000, "application/json"),
        ('{"a":[' + ",".join("1" * (MOST_VALUES + 1)) + "]}", "application/json"),
        ("[1]", "application/json"),
        ("{", "application/json; charset=utf-8"),
        ("--x\r\nContent-Disposition: form-data", "multipart/form-data; boundary=x"),
        ("hello", None),
        ("", None),
        ("account[id]=31000001", None),
    ],
    ids=[
        "deep",
        "many",
        "deep-json",
        "nameless-json",
        "brackets",
        "many-json",
        "list",
        "cut",
        "kind",
        "word",
        "empty",
        "bare",
    ],
)
def test_what_is_no_webhook_is_refused_with_a_sentence(body: str, content_type: str | None) -> None:
    with pytest.raises(UnreadableHook, match=r"^Reading a webhook: .*\. Look at its sender\.$"):
        expand_body(body, content_type)


def test_the_limits_themselves_are_allowed() -> None:
    assert parse_form("a" + "[b]" * (DEEPEST - 1) + "=1")
    assert len(parse_form("&".join(f"a[{number}]=1" for number in range(MOST_VALUES)))["a"]) == MOST_VALUES


def test_a_list_is_read_in_every_shape() -> None:
    shapes = ("x[0][id]=5", "x[][id]=5", "x[id]=5", f"x[{quote('a b')}][id]=5")

    assert [[text_of(item["id"]) for item in items_of(parse_form(shape)["x"])] for shape in shapes] == [["5"]] * 4
    assert items_of("5") == []
    assert items_of(parse_form("x[]=5")["x"]) == []
