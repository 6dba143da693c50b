"""Do schedules run when Node's would?"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest

from oxcart.queue.repeats import epoch_ms, is_legacy_key, next_millis


def ms(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("repeat", "now", "due"),
    [
        ({"pattern": "*/5 * * * *"}, "2026-03-01T10:02:00+00:00", "2026-03-01T10:05:00+00:00"),
        ({"pattern": "*/5 * * * *"}, "2026-03-01T10:05:00+00:00", "2026-03-01T10:10:00+00:00"),
        ({"pattern": "*/10 * * * * *"}, "2026-03-01T10:00:01+00:00", "2026-03-01T10:00:10+00:00"),
        ({"pattern": "0 9 * * MON"}, "2026-03-01T10:00:00+00:00", "2026-03-02T09:00:00+00:00"),
        ({"pattern": "0 9 * * *", "tz": "Europe/Madrid"}, "2026-01-01T07:00:00+00:00", "2026-01-01T08:00:00+00:00"),
        ({"pattern": "0 9 * * *", "tz": "Europe/Madrid"}, "2026-07-01T06:00:00+00:00", "2026-07-01T07:00:00+00:00"),
        (
            {"pattern": "0 9 * * *", "startDate": 1_800_000_000_000},
            "2026-01-01T00:00:00+00:00",
            "2027-01-15T09:00:00+00:00",
        ),
    ],
)
def test_cron_times(repeat: dict[str, object], now: str, due: str) -> None:
    assert next_millis(repeat, ms(now)) == ms(due)


@pytest.mark.parametrize(
    ("pattern", "start", "times"),
    [
        ("30 2 * * *", "2026-03-28T12:00:00+00:00", ["29 01:30", "30 00:30", "31 00:30"]),
        ("30 2 * * *", "2026-10-24T12:00:00+00:00", ["25 00:30", "26 01:30", "27 01:30"]),
        ("*/30 * * * *", "2026-03-28T23:00:00+00:00", ["28 23:30", "29 00:00", "29 00:30", "29 01:00", "29 01:30"]),
        ("*/30 * * * *", "2026-10-24T23:00:00+00:00", ["24 23:30", "25 00:00", "25 00:30", "25 01:00", "25 01:30"]),
    ],
)
def test_clock_changes_are_passed_as_node_passes_them(pattern: str, start: str, times: list[str]) -> None:
    """Madrid, where 02:30 is left out on March 29 and comes twice on October 25. Times are cron-parser 5's, in UTC."""
    found, at = [], ms(start)
    for _ in times:
        at = next_millis({"pattern": pattern, "tz": "Europe/Madrid"}, at) or 0
        found.append(dt.datetime.fromtimestamp(at / 1000, dt.UTC).strftime("%d %H:%M"))

    assert found == times


def test_a_pattern_ends_at_its_end_date_as_in_node() -> None:
    repeat = {"pattern": "0 9 * * *", "endDate": "2026-03-02T08:00:00Z"}

    assert next_millis(repeat, ms("2026-03-01T08:00:00+00:00")) == ms("2026-03-01T09:00:00+00:00")
    assert next_millis(repeat, ms("2026-03-01T09:00:00+00:00")) is None


def test_hashed_numbers_are_those_that_node_draws_from_the_seed() -> None:
    """cron-parser 5.10 reads `H H * * *` with hashSeed "mine" so."""
    repeat = {"pattern": "H H * * *", "hashSeed": "mine"}

    assert next_millis(repeat, ms("2026-03-01T00:00:00+00:00")) == ms("2026-03-01T04:00:00+00:00")


def test_a_strategy_of_the_app_is_asked_instead() -> None:
    asked: list[tuple[int, object, str]] = []

    def weekly(now: int, repeat: Mapping[str, object], name: str) -> int:
        asked.append((now, repeat["pattern"], name))
        return now + 5

    assert next_millis({"pattern": "RRULE:FREQ=DAILY"}, 1000, strategy=weekly, name="report") == 1005
    assert asked == [(1000, "RRULE:FREQ=DAILY", "report")]


@pytest.mark.parametrize(
    ("value", "milliseconds"),
    [
        (5, 5),
        ("1767225600000", 1_767_225_600_000),
        ("2026-01-01T00:00:00.000Z", 1_767_225_600_000),
        ("2026-01-01", 1_767_225_600_000),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 1_767_225_600_000),
        ("soon", None),
        (None, None),
        (True, None),
    ],
)
def test_dates_are_read_as_node_writes_them(value: object, milliseconds: int | None) -> None:
    assert epoch_ms(value) == milliseconds


@pytest.mark.parametrize(
    ("key", "is_legacy"),
    [
        ("name:id:::*/5 * * * *", True),
        ("name:::Europe/Madrid:5000", True),
        ("kommo:sync", False),
        ("a:b:c:d:e", False),
        ("tick", False),
    ],
)
def test_repeatable_jobs_of_bullmq_5_are_told_from_schedules(key: str, is_legacy: bool) -> None:
    assert is_legacy_key(key) is is_legacy
