"""Does a cron pattern come when Node's cron-parser, of the BullMQ that we test with, says that it comes?"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from oxcart.errors import InvalidInput
from oxcart.queue.cron import next_time, read_cron
from oxcart.queue.wall_clock import zone_named

from .cron_cases import KEPT, ask_node

ASKED_AGAIN = 100
"""Every hundredth case is asked of Node in each run."""


@pytest.fixture(scope="module")
def cases() -> Any:
    return json.loads(gzip.decompress(KEPT.read_bytes()))


def ours(pattern: str, zone: str, after_ms: int) -> int | None:
    try:
        cron = read_cron(pattern, pattern)
    except InvalidInput:
        return None
    return next_time(cron, after_ms, zone_named(zone)) or 0


def test_2000_patterns_in_8_zones_come_when_node_says(cases: Any) -> None:
    patterns, differences = cases["patterns"], []
    for (at, zone, after_ms), expected in zip(cases["asked"], cases["answers"], strict=True):
        found = ours(patterns[at], zone, after_ms)
        if found != expected:
            differences.append((patterns[at], zone, after_ms, expected, found))

    assert differences == []
    assert len(cases["asked"]) == 16_000
    assert 8_000 < sum(bool(answer) for answer in cases["answers"]) < 16_000


def test_the_answers_kept_are_those_of_the_node_that_is_installed(cases: Any) -> None:
    asked, answers = cases["asked"][::ASKED_AGAIN], cases["answers"][::ASKED_AGAIN]

    assert ask_node(cases["patterns"], asked) == answers


def test_zones_are_taken_as_people_write_them() -> None:
    zones = [
        *("utc", "UTC", "GMT", "europe/madrid", "EUROPE/MADRID", "UTC+3", "utc-3:30", "local", "system", "Etc/GMT-3"),
        *("est5edt", "Asia/Calcutta", "+02:00"),
    ]
    after = 1774700000000

    expected = ask_node(["30 4 * * *"], [[0, zone, after] for zone in zones])

    assert {zone: ours("30 4 * * *", zone, after) for zone in zones} == dict(zip(zones, expected, strict=True))


@pytest.mark.parametrize("zone", ["Madrid", "UTC+3:5", "../../etc/passwd", "Europe/"])
def test_a_zone_that_node_does_not_know_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput, match="is not known"):
        zone_named(zone)
