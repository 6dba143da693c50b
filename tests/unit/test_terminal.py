"""Is what reaches a terminal made of letters, and does it still say the same?"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oxcart.telemetry import events
from oxcart.telemetry.events import Event
from oxcart.telemetry.lines import RULES
from oxcart.telemetry.log_format import Redactor, human_format, json_format
from oxcart.telemetry.terminal import harmless

HOSTILE = st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu", "So"]) | st.sampled_from(" \t\n"))


def joined(text: str) -> str:
    """Two halves beside each other are one letter to whoever reads JSON."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


TEXTS = HOSTILE.map(joined)
VALUES = st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


def harm_in(text: str) -> list[str]:
    harmful = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [letter for letter in text if unicodedata.category(letter) in harmful and letter not in "\n\t"]


@given(HOSTILE)
def test_nothing_is_left_that_a_terminal_obeys_or_hides(text: str) -> None:
    assert harm_in(harmless(text)) == []
    assert harmless(harmless(text)) == harmless(text)


@given(VALUES)
def test_json_says_the_same(value: Any) -> None:
    said = json.loads(harmless(json.dumps(value, ensure_ascii=False)))
    assert ascii(said) == ascii(value)


@pytest.mark.parametrize(
    "text", ["Привет, мир", "日本語", "naïve — “quoted”", "no\u00a0break", "é", "🎉 👍🏽", "a\tb\nc"]
)
def test_letters_of_all_languages_stay(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\u001b[31mred"),
        ("\x9b31mred", "\\u009b31mred"),
        ("\x7f", "\\u007f"),
        ("user\u202egpj.exe", "user\\u202egpj.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("tag\U000e0041", "tag\\udb40\\udc41"),
        ("half\ud800", "half\\ud800"),
        ("line\u2028end\r", "line\\u2028end\\u000d"),
    ],
)
def test_what_is_taken_out_is_shown_as_json_writes_it(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(HOSTILE, HOSTILE)
def test_a_line_of_the_log_is_one_line_of_letters(name: str, reason: str) -> None:
    event: Event = events.JobAbandoned("crm", reason, name, reason)
    line = RULES[type(event)].line(event)

    for render in (human_format(Redactor(), coloured=False), json_format("worker", Redactor())):
        written = render(line, 0.0).decode()

        assert written.count("\n") == 1
        assert "\t" not in written
        assert harm_in(written) == []
