"""What time is it on the wall of a zone, and which moment has it? As luxon counts, which Node's cron-parser uses.

Zones are named as people write them to Node: Europe/Madrid in any case, utc, gmt, UTC+3, +02:00, local, system.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from oxcart.errors import InvalidInput
from oxcart.language import tr

Zone = Callable[[int], int]
"""Epoch milliseconds to how much the wall is ahead of UTC then, in milliseconds."""

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - a wall has no zone
_OFFSET = re.compile(r"(?:utc)?([+-])(\d{1,2})(?::?(\d{2}))?", re.ASCII)
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1000, 60_000, 3_600_000, 86_400_000


def zone_named(name: Any) -> Zone:
    """UTC if nothing is said. Raises InvalidInput for a zone that nobody knows."""
    lowered = str(name or "utc").strip().lower()
    if lowered in {"utc", "gmt", "z"}:
        return _utc
    if lowered in {"local", "system", "default"}:
        return _local
    offset = _OFFSET.fullmatch(lowered)
    if offset is not None:
        ahead = (int(offset[2]) * HOUR_MS + int(offset[3] or 0) * MINUTE_MS) * (-1 if offset[1] == "-" else 1)
        return lambda _: ahead
    try:
        return _of(_zone_info(str(name).strip()))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            tr('The time zone "{name}" is not known. Use a name such as Europe/Madrid.', name=str(name)[:60])
        ) from error


@cache
def _zone_info(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        return ZoneInfo(_by_lower_case()[name.lower()]) if name.lower() in _by_lower_case() else ZoneInfo(name)


@cache
def _by_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in available_timezones()}


def _of(zone: ZoneInfo) -> Zone:
    def ahead_ms(at_ms: int) -> int:
        offset = dt.datetime.fromtimestamp(at_ms / 1000, zone).utcoffset()
        return 0 if offset is None else (offset.days * 86_400 + offset.seconds) * SECOND_MS

    return ahead_ms


def _utc(_: int) -> int:
    return 0


def _local(at_ms: int) -> int:
    offset = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).astimezone().utcoffset()
    return 0 if offset is None else (offset.days * 86_400 + offset.seconds) * SECOND_MS


class WallClock:
    """One moment in a zone; it moves. What its methods are called is what luxon calls them."""

    __slots__ = ("at_ms", "offset_ms", "wall", "zone")

    def __init__(self, at_ms: int, zone: Zone) -> None:
        self.zone = zone
        self.move_to(at_ms)

    def move_to(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.offset_ms = self.zone(at_ms)
        self.wall = _EPOCH + dt.timedelta(milliseconds=at_ms + self.offset_ms)

    def plus(self, milliseconds: int) -> None:
        """Time that passes."""
        self.move_to(self.at_ms + milliseconds)

    def set(self, wall: dt.datetime) -> None:
        """A time on the wall. One that is there twice is that of the offset before; one that is left out is as much
        later as the clock was moved.
        """
        passed = wall - _EPOCH
        wall_ms = passed.days * DAY_MS + passed.seconds * SECOND_MS + passed.microseconds // 1000
        guess = wall_ms - self.offset_ms
        then = self.zone(guess)
        if then != self.offset_ms:
            guess = wall_ms - then
            again = self.zone(guess)
            if again != then:
                guess = wall_ms - min(then, again)
        self.move_to(guess)

    def add_month(self) -> None:
        first = self.wall.replace(day=1)
        self.set((first + dt.timedelta(days=32)).replace(day=min(self.wall.day, 28)))
        self.set(self.wall.replace(day=1, hour=0, minute=0, second=0, microsecond=0))

    def add_day(self) -> None:
        self.set(self.wall + dt.timedelta(days=1))
        self.set(self.wall.replace(hour=0, minute=0, second=0, microsecond=0))

    def add_hour(self) -> None:
        self.plus(HOUR_MS)
        self.set(self.wall.replace(minute=0, second=0, microsecond=0))

    def add_minute(self) -> None:
        self.plus(MINUTE_MS)
        self.set(self.wall.replace(second=0, microsecond=0))

    def changes_today(self) -> bool:
        """Does the offset differ between the first and the last moment of this day?"""
        start = WallClock(self.at_ms, self.zone)
        start.set(self.wall.replace(hour=0, minute=0, second=0, microsecond=0))
        end = WallClock(self.at_ms, self.zone)
        end.add_day()
        end.plus(-1)
        return start.offset_ms != end.offset_ms
