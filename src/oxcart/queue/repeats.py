"""When does a schedule run next? Every so often, or by cron in a time zone; BullMQ's `repeat` options."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oxcart.errors import InvalidInput, OxcartError
from oxcart.handlers import RepeatStrategy
from oxcart.language import tr
from oxcart.queue.cron import next_time, read_cron
from oxcart.queue.wall_clock import zone_named

_LEGACY_PARTS = 5
_LAST_MS = 8_640_000_000_000_000  # of Node's Date, either way
_DATE_ALONE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Repeat:
    """When a schedule's jobs run: `cron` (as queue/cron.py says) in `tz`, or `every_seconds`.

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

    def check(self, doing: str, now_ms: int, strategy: RepeatStrategy | None = None) -> None:
        """Raises InvalidInput with one sentence for the first mistake."""
        if (self.cron is None) == (self.every_seconds is None):
            raise InvalidInput(tr('{doing}: give either cron="*/5 * * * *" or every_seconds=300.', doing=doing))
        for field in ("every_seconds", "start_ms", "end_ms", "offset_ms"):
            value = getattr(self, field)
            if value is not None and not -_LAST_MS <= value <= _LAST_MS:
                raise InvalidInput(
                    tr(
                        "{doing}: {field}={value} is no time that a calendar has. Give a smaller number.",
                        doing=doing,
                        field=field,
                        value=value,
                    )
                )
        if self.every_ms is not None and self.every_ms < 1:
            raise InvalidInput(
                tr(
                    "{doing}: every_seconds={every_seconds} is too short; 0.001 is the least.",
                    doing=doing,
                    every_seconds=self.every_seconds,
                )
            )
        if self.immediately and self.start_ms:
            raise InvalidInput(
                tr("{doing}: immediately and start_ms contradict each other. Give one of them.", doing=doing)
            )
        if self.end_ms is not None and self.end_ms <= now_ms:
            raise InvalidInput(
                tr(
                    "{doing}: end_ms={end_ms} is in the past. Give a later time, or remove it.",
                    doing=doing,
                    end_ms=self.end_ms,
                )
            )
        if self.limit is not None and self.limit < 1:
            raise InvalidInput(
                tr("{doing}: limit={limit} lets no job run. Give a number from 1 on.", doing=doing, limit=self.limit)
            )
        if self.cron is not None and strategy is None and next_millis(self.to_wire(), now_ms) is None:
            raise InvalidInput(
                tr(
                    '{doing}: cron="{cron}" names no time that is to come. Change it, or end_ms.',
                    doing=doing,
                    cron=self.cron[:80],
                )
            )


def next_millis(
    repeat: Mapping[str, Any], now_ms: int, *, strategy: RepeatStrategy | None = None, name: str = ""
) -> int | None:
    """The first time after `now_ms` (and after startDate) that `pattern` names, in epoch milliseconds; None if it names
    no more, or none until endDate. With a `strategy` that is asked instead, for a job of that `name`.

    Raises InvalidInput for a pattern or a time zone that nobody knows, OxcartError for what a strategy raises.
    """
    if strategy is not None:
        try:
            found = strategy(now_ms, repeat, name)
            return None if found is None else int(found)
        except BaseException as error:
            raise OxcartError(
                tr("Its repeat strategy raised a {name}; see @app.repeat_strategy.", name=type(error).__name__)
            ) from error
    pattern = str(repeat["pattern"])
    cron = read_cron(pattern, str(repeat.get("hashSeed") or pattern))
    base_ms, zone = max(now_ms, epoch_ms(repeat.get("startDate")) or 0), zone_named(repeat.get("tz"))
    try:
        return next_time(cron, base_ms, zone, epoch_ms(repeat.get("endDate")))
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(
            tr('The cron pattern "{pattern}" is to start after all calendars have ended.', pattern=pattern[:80])
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
        return int(_moment(str(value)).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError, OSError, RecursionError):
        return None


def _moment(text: str) -> dt.datetime:
    """As new Date(text): a date alone is UTC; "Tue, 01 Dec 2026 10:00:00 GMT" is one, too."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        from email.utils import parsedate_to_datetime

        return parsedate_to_datetime(text)
    return moment.replace(tzinfo=dt.UTC) if _DATE_ALONE.fullmatch(text) else moment


def is_legacy_key(scheduler_id: str) -> bool:
    """True for the key of a repeatable job of BullMQ 5 (name:id:endDate:tz:pattern), which BullMQ 6 refuses."""
    parts = scheduler_id.split(":", _LEGACY_PARTS - 1)
    if len(parts) < _LEGACY_PARTS or not parts[4] or (parts[2] and not parts[2].isdigit()):
        return False
    return " " in parts[4] or parts[4].isdigit()
