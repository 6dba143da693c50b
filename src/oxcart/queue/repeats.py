"""When does a schedule run next? Every so often, or by cron in a time zone; BullMQ's `repeat` options."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from oxcart.errors import InvalidInput

_LEGACY_PARTS = 5
_FEWEST_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Repeat:
    """When a schedule's jobs run: `cron` (5 fields, or 6 with seconds first) in `tz`, or `every_seconds`.

    `limit` counts jobs; `start_ms` and `end_ms` are epoch milliseconds; `offset_ms` shifts the slots of
    `every_seconds`; `immediately` lets the first job of a cron run now. Without `tz` cron times are UTC.
    """

    cron: str | None = None
    every_seconds: float | None = None
    tz: str | None = None
    limit: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    offset_ms: int | None = None
    immediately: bool = False

    @property
    def every_ms(self) -> int | None:
        return None if self.every_seconds is None else round(self.every_seconds * 1000)

    def to_wire(self) -> dict[str, Any]:
        """BullMQ's names; `immediately` is for the first job only and is not kept."""
        named = {
            "pattern": self.cron,
            "every": self.every_ms,
            "tz": self.tz,
            "limit": self.limit,
            "startDate": self.start_ms,
            "endDate": self.end_ms,
            "offset": (self.offset_ms or None) if self.every_ms else None,
        }
        return {name: value for name, value in named.items() if value is not None}

    def check(self, doing: str, now_ms: int) -> None:
        """Raises InvalidInput with one sentence for the first mistake."""
        if (self.cron is None) == (self.every_seconds is None):
            raise InvalidInput(f'{doing}: give either cron="*/5 * * * *" or every_seconds=300.')
        if self.every_ms is not None and self.every_ms < 1:
            raise InvalidInput(f"{doing}: every_seconds={self.every_seconds} is too short; 0.001 is the least.")
        if self.immediately and self.start_ms:
            raise InvalidInput(f"{doing}: immediately and start_ms contradict each other. Give one of them.")
        if self.end_ms is not None and self.end_ms <= now_ms:
            raise InvalidInput(f"{doing}: end_ms={self.end_ms} is in the past. Give a later time, or remove it.")
        if self.limit is not None and self.limit < 1:
            raise InvalidInput(f"{doing}: limit={self.limit} lets no job run. Give a number from 1 on.")
        if self.cron is not None:
            next_millis(self.to_wire(), now_ms)


def next_millis(repeat: Mapping[str, Any], now_ms: int) -> int:
    """The first time after `now_ms` (and after startDate) that the cron `pattern` of `repeat` names.

    In epoch milliseconds. Raises InvalidInput for a pattern or a time zone that nobody knows.
    """
    pattern = str(repeat["pattern"])
    base_ms = max(now_ms, epoch_ms(repeat.get("startDate")) or 0)
    zone = _zone(repeat.get("tz"))
    try:
        found = _next_time(pattern, dt.datetime.fromtimestamp(base_ms / 1000, zone), zone)
    except (ValueError, KeyError, OverflowError, OSError, AttributeError, TypeError) as error:
        reason = f"{str(error)[:200]}. See crontab.guru."
        raise InvalidInput(f'The cron pattern "{pattern[:80]}" cannot be used: {reason}') from error
    return int(found.timestamp() * 1000)


def _next_time(pattern: str, base: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Follows Node's cron-parser where clocks change.

    A pattern for every hour goes by time that passes. One with fixed hours goes by the clock on the wall: once where
    an hour comes twice, and as much later as the clock was moved where an hour is left out.
    """
    from croniter import croniter

    fields = pattern.split()
    if len(fields) >= _FEWEST_FIELDS and fields[-4].startswith("*"):
        # Six fields have the seconds in front.
        times = croniter(pattern, base, second_at_beginning=True)
        found: dt.datetime = times.get_next(dt.datetime)
        return found
    times = croniter(pattern, base.replace(tzinfo=None), second_at_beginning=True)
    while True:
        on_the_wall: dt.datetime = times.get_next(dt.datetime)
        found = on_the_wall.replace(tzinfo=zone)
        if found.timestamp() > base.timestamp():
            return found


def _zone(name: Any) -> dt.tzinfo:
    if not name:
        return dt.UTC
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInput(
            f'The time zone "{str(name)[:60]}" is not known. Use a name such as Europe/Madrid.'
        ) from error


def epoch_ms(value: Any) -> int | None:
    """A date as Node's producers write it: epoch milliseconds, as a number or text, or an ISO 8601 text."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    try:
        return int(dt.datetime.fromisoformat(str(value)).timestamp() * 1000)
    except (ValueError, OverflowError, OSError, RecursionError):
        return None


def is_legacy_key(scheduler_id: str) -> bool:
    """True for the key of a repeatable job of BullMQ 5 (name:id:endDate:tz:pattern), which BullMQ 6 refuses."""
    parts = scheduler_id.split(":", _LEGACY_PARTS - 1)
    if len(parts) < _LEGACY_PARTS or not parts[4] or (parts[2] and not parts[2].isdigit()):
        return False
    return " " in parts[4] or parts[4].isdigit()
