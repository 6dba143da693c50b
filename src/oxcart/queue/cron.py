"""When does a cron pattern come next? Read and searched as the cron-parser of BullMQ 6 does it, oddities included.

Five fields, or six with the seconds in front; fewer are filled up with `*`. Lists, ranges, steps, names, `?`, `L`,
`5L`, `5#3`, `H` (a number drawn from `hashSeed`), @hourly and its like. Where both days are given either will do. Where
clocks change, a pattern with fixed hours runs once in an hour that comes twice, and in the hour behind one that is left
out; a pattern for every hour goes by time that passes.

Source: cron-parser 5 (CronExpressionParser, CronExpression, CronDate); tests/interop/test_cron.py compares.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from oxcart.errors import InvalidInput
from oxcart.language import tr
from oxcart.queue.wall_clock import SECOND_MS, WallClock, Zone

_NAMED = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
    "@minutely": "0 * * * * *",
    "@secondly": "* * * * * *",
    "@weekdays": "0 0 0 * * 1-5",
    "@weekends": "0 0 0 * * 0,6",
}
_FILLED_UP = ("0", "*", "*", "*", "*", "*")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBERS = {name: at + 1 for at, name in enumerate(_MONTHS)} | {name: at for at, name in enumerate(_WEEKDAYS)}
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_HASHED = re.compile(r"H(?:\(([0-9]+)-([0-9]+)\))?(?:/([0-9]+))?")
_HASHED_SOMEWHERE = re.compile(r".*H(?:\([0-9]+-[0-9]+\)|/[0-9]+).*")
_LEADING_NUMBER = re.compile(r"\s*[+-]?[0-9]+")
_LONGEST, _MOST_VALUES, _MOST_STEPS = 1024, 256, 10_000


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    characters: str = ""

    def allows(self, text: str) -> bool:
        return re.fullmatch(rf"[?,*0-9H/{self.characters}-]+", text) is not None or bool(_HASHED_SOMEWHERE.match(text))


_SECOND, _MINUTE, _HOUR = _Field("second", 0, 59), _Field("minute", 0, 59), _Field("hour", 0, 23)
_DAY, _MONTH, _WEEKDAY = _Field("day of month", 1, 31, "L"), _Field("month", 1, 12), _Field("weekday", 0, 7, "L#")
FIELD_NAMES = tuple(field.name for field in (_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY))


@dataclass(frozen=True, slots=True)
class Cron:
    """A pattern that was read. Days and weekdays are None for `*` and `?`; `nth` 0 is any week of the month."""

    seconds: Sequence[int]
    minutes: Sequence[int]
    hours: Sequence[int]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    has_last_day: bool
    last_weekdays: frozenset[int]
    nth: float


def read_cron(pattern: str, seed: str) -> Cron:
    """`seed` decides what `H` stands for. Raises InvalidInput, which says what is wrong with it."""
    try:
        return _read(pattern, seed)
    except ValueError as error:
        raise InvalidInput(
            tr(
                'The cron pattern "{pattern}" cannot be used: {error}. See crontab.guru.',
                pattern=pattern[:80],
                error=error,
            )
        ) from error


@lru_cache(maxsize=512)
def _read(pattern: str, seed: str) -> Cron:
    if len(pattern) > _LONGEST:
        raise ValueError(tr("it has more than {longest} characters", longest=_LONGEST))
    parts = (_NAMED.get(pattern) or pattern).split()
    if len(parts) > len(_FILLED_UP):
        raise ValueError(tr("it has more than six fields"))
    if not parts:
        parts = list(_FILLED_UP)
    parts = [*_FILLED_UP[: len(_FILLED_UP) - len(parts)], *parts]
    draw = _random(seed)
    seconds, minutes, hours = (
        _values(field, text, draw()) for field, text in zip((_SECOND, _MINUTE, _HOUR), parts, strict=False)
    )
    months = _values(_MONTH, parts[4], draw())
    days = _values(_DAY, parts[3], draw())
    weekday, nth = _nth(parts[5])
    weekdays = _values(_WEEKDAY, weekday, draw())
    if "L" in weekdays:
        raise ValueError(tr("a weekday of L alone says nothing: 5L is the last Friday"))
    any_weekday, has_last_day = parts[5] in {"*", "?"}, "L" in parts[3]
    if len(months) == 1:
        longest = _DAYS_IN_MONTH[_number(months[0]) - 1]
        possible = [day for day in days if isinstance(day, str) or day <= longest]
        if not possible and not has_last_day and any_weekday:
            raise ValueError(tr("its month has no such day"))
        days = possible or days
    return Cron(
        seconds=tuple(map(_number, seconds)),
        minutes=tuple(map(_number, minutes)),
        hours=tuple(map(_number, hours)),
        days=None if parts[3] in {"*", "?"} else frozenset(day for day in days if isinstance(day, int)),
        months=frozenset(map(_number, months)),
        weekdays=None if any_weekday else frozenset(day for day in weekdays if isinstance(day, int)),
        has_last_day=has_last_day,
        last_weekdays=frozenset(int(str(day)[0]) % 7 for day in weekdays) if "L" in parts[5] else frozenset(),
        nth=nth,
    )


# ------------------------------------------------------------------------------------------------ reading one field
def _values(field: _Field, text: str, drawn: float) -> list[int | str]:
    """In order; a text is one with L."""
    if field in {_MONTH, _WEEKDAY}:
        text = re.sub(r"[A-Za-z]{3}", _number_of_name, text)
    if not field.allows(text):
        raise ValueError(
            tr('the {field} "{text}" has characters that mean nothing', field=tr(field.name), text=text[:40])
        )
    text = re.sub(r"[*?]", f"{field.least}-{field.most}", text)
    text = _HASHED.sub(lambda match: _hashed(field, match, drawn), text)
    found: list[int | str] = []
    for part in text.split(","):
        if len(found) > _MOST_VALUES:
            raise ValueError(tr("the {field} has more than {most} values", field=tr(field.name), most=_MOST_VALUES))
        found += _part(field, part)
    for value in found:
        if isinstance(value, str) and not re.fullmatch(r"[0-9]{0,2}L", value):
            raise ValueError(tr('the {field} "{value}" is no number', field=tr(field.name), value=value[:40]))
    if len(set(found)) < len(found):
        raise ValueError(tr("the {field} has the same value twice", field=tr(field.name)))
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def _number_of_name(match: re.Match[str]) -> str:
    name = match[0].lower()
    if name not in _NUMBERS:
        raise ValueError(tr('"{name}" is neither a month nor a weekday', name=name))
    return str(_NUMBERS[name])


def _outside(field: _Field, text: str) -> ValueError:
    told = tr(
        "the {field} {text} is not within {least} to {most}",
        field=tr(field.name),
        text=text[:40],
        least=field.least,
        most=field.most,
    )
    return ValueError(told)


def _part(field: _Field, part: str) -> list[int | str]:
    start, *steps = part.split("/")
    if len(steps) > 1 or not part:
        raise ValueError(tr('the {field} "{part}" cannot be read', field=tr(field.name), part=part[:40]))
    if steps and "-" not in start:
        start = f"{start}-{field.most}"
    step = _leading(steps[0]) if steps else 1
    if "-" in start:
        least, most = map(_leading, start.split("-")[:2])
        if least is None or most is None or not field.least <= least <= most <= field.most:
            raise _outside(field, start)
        if not step or step < 1:
            raise ValueError(
                tr("the {field} cannot be repeated every {value}", field=tr(field.name), value=steps[0][:40])
            )
        return _range(field, least, most, step)
    if field.characters and "L" in start:
        return [start]
    value = _leading(start)
    if value is None or not field.least <= value <= field.most:
        raise _outside(field, start)
    return [value % 7 if field is _WEEKDAY else value if start.isdecimal() else start]


def _range(field: _Field, least: int, most: int, step: int) -> list[int | str]:
    """Sunday is 7, too, and then 0 besides."""
    values: list[int | str] = list(range(least, most + 1, step))
    if field is _WEEKDAY and most % 7 == 0 and (most - least) % step == 0 and 0 not in values:
        values.append(0)
    return values


def _leading(text: str) -> int | None:
    """As parseInt reads it."""
    found = _LEADING_NUMBER.match(text)
    return int(found[0]) if found else None


def _number(value: int | str) -> int:
    if isinstance(value, str):
        raise ValueError(tr('"{value}" is no number', value=value[:40]))  # noqa: TRY004 - what a pattern says
    return value


def _nth(text: str) -> tuple[str, float]:
    weekday, *numbers = text.split("#")
    if not numbers:
        return weekday, 0
    try:
        nth = float(numbers[-1])
    except ValueError:
        nth = 0
    if re.search(r"[,/-]", text) or len(numbers) > 1 or not 1 <= nth <= 5:
        raise ValueError(tr('the weekday "{text}" is not like 5#3, the third Friday', text=text[:40]))
    return weekday, nth


# ------------------------------------------------------------------------------------------------ H
def _hashed(field: _Field, match: re.Match[str], drawn: float) -> str:
    least, most = field.least, field.most
    if match[1]:
        asked = int(match[1]), int(match[2])
        least, most = max(asked[0], least), min(asked[1], most)
        if asked[0] > asked[1] or least > most:
            raise _outside(field, match[0])
    if match[3]:
        step = int(match[3])
        if step < 1:
            raise ValueError(tr("the {field} cannot be repeated every 0", field=tr(field.name)))
        first = least // step * step + math.floor(drawn * step)
        values = [str(value) for value in range(first, most + 1, step) if value >= least]
        if values:
            return ",".join(values)
    return str(math.floor(drawn * (most - least + 1)) + least)


def _random(seed: str) -> Callable[[], float]:
    """The numbers that cron-parser draws for a seed: FNV-1a, then mulberry32, both on 32 bits."""
    state = 2166136261
    for unit in memoryview(seed.encode("utf-16-le", "surrogatepass")).cast("H"):
        state = (state ^ unit) * 16777619 & _BITS

    def draw() -> float:
        nonlocal state
        state += 0x6D2B79F5
        mixed = (state ^ (state & _BITS) >> 15) & _BITS
        mixed = mixed * (state | 1) & _BITS
        mixed ^= (mixed + (mixed ^ mixed >> 7) * (mixed | 61)) & _BITS
        return (mixed ^ mixed >> 14) / 2**32

    return draw


_BITS = 0xFFFFFFFF


# ------------------------------------------------------------------------------------------------ searching
def next_time(cron: Cron, after_ms: int, zone: Zone, end_ms: int | None = None) -> int | None:
    """The first moment after `after_ms` that it names, in epoch milliseconds; None if there is none, or none until
    `end_ms`.
    """
    return _Search(cron, after_ms, zone).run(end_ms)


class _Search:
    """Goes forward until all fields agree. `_skipped` is the first hour that was left out by a step, and `_landed`
    where it came out; `_repeated` the hour that a step came to twice.
    """

    def __init__(self, cron: Cron, after_ms: int, zone: Zone) -> None:
        self._cron = cron
        self._begin_ms = after_ms
        self._clock = WallClock(after_ms, zone)
        self._skipped: int | None = None
        self._landed: int | None = None
        self._repeated: int | None = None

    def run(self, end_ms: int | None) -> int | None:
        cron, clock = self._cron, self._clock
        if clock.at_ms % 1000:
            clock.set(clock.wall.replace(microsecond=0))
            self._step(lambda: clock.plus(SECOND_MS))
        for _ in range(_MOST_STEPS - 1):
            if end_ms is not None and clock.at_ms > end_ms:
                return None
            wall = clock.wall
            if wall.month not in cron.months:
                clock.add_month()
            elif not self._is_day():
                clock.add_day()
            elif not self._is_hour():
                continue
            elif wall.minute not in cron.minutes:
                self._next_minute()
            elif wall.second not in cron.seconds:
                self._next_second()
            elif clock.at_ms == self._begin_ms:
                self._step(lambda: clock.plus(SECOND_MS))
            else:
                return clock.at_ms
        return None

    def _is_day(self) -> bool:
        cron, wall = self._cron, self._clock.wall
        last = monthrange(wall.year, wall.month)[1]
        is_day = cron.days is None or wall.day in cron.days or (cron.has_last_day and wall.day == last)
        weekday = wall.isoweekday() % 7
        is_nth = not cron.nth or math.ceil(wall.day / 7) == cron.nth
        is_weekday = cron.weekdays is not None and weekday in cron.weekdays and is_nth
        is_weekday = is_weekday or (weekday in cron.last_weekdays and wall.day > last - 7)
        if cron.weekdays is None:
            return is_day
        return is_weekday or (cron.days is not None and is_day)

    def _is_hour(self) -> bool:
        clock, hours = self._clock, self._cron.hours
        hour = clock.wall.hour
        if self._skipped is not None and self._landed == hour:
            skipped = self._skipped
            while skipped != hour:
                if skipped in hours:
                    return True
                skipped = (skipped + 1) % 24
        if self._repeated == hour:
            self._repeated = None
            self._step(clock.add_hour)
            return False
        if hour in hours:
            return True
        self._skipped = self._landed = None
        following = _first_above(hours, hour)
        if following is None:
            clock.add_day()
            return False
        if clock.changes_today():
            for _ in range(following - hour):
                self._step(clock.add_hour)
                if clock.wall.hour >= following:
                    break
        else:
            clock.set(clock.wall.replace(hour=following))
        clock.set(clock.wall.replace(minute=self._cron.minutes[0]))
        clock.set(clock.wall.replace(second=self._cron.seconds[0]))
        return False

    def _next_minute(self) -> None:
        clock, minutes = self._clock, self._cron.minutes
        following = _first_above(minutes, clock.wall.minute)
        if following is None:
            self._step(clock.add_hour)
            following = minutes[0]
        clock.set(clock.wall.replace(minute=following))
        clock.set(clock.wall.replace(second=self._cron.seconds[0]))

    def _next_second(self) -> None:
        clock, seconds = self._clock, self._cron.seconds
        following = _first_above(seconds, clock.wall.second)
        if following is None:
            self._step(clock.add_minute)
            following = seconds[0]
        clock.set(clock.wall.replace(second=following))

    def _step(self, move: Callable[[], None]) -> None:
        """Move by less than a day, and see whether the clock was moved meanwhile."""
        clock = self._clock
        hour, offset_ms = clock.wall.hour, clock.offset_ms
        move()
        if len(self._cron.hours) == 24:
            return
        wall = clock.wall
        passed = (wall.hour - hour) % 24
        if clock.offset_ms > offset_ms and passed >= 2:
            self._skipped, self._landed = (hour + 1) % 24, wall.hour
        elif passed == 0 and wall.minute == 0 and wall.second == 0:
            self._repeated = wall.hour


def _first_above(values: Sequence[int], value: int) -> int | None:
    return next((each for each in values if each > value), None)
