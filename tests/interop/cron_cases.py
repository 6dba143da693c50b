"""What is asked of both crons? 2 000 patterns in 8 zones, around the days on which their clocks change.

Node takes a quarter of a minute for its answers, so they are kept in cron_cases.json.gz, and a part of them is asked
again by each run of the tests. After a new version of cron-parser: python -m interop.cron_cases, in tests/.
"""

from __future__ import annotations

import gzip
import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .node_install import installed, node_binary

KEPT = Path(__file__).with_name("cron_cases.json.gz")
HOUR_MS = 3_600_000

CHANGES_MS: dict[str, list[int]] = {
    "Europe/Madrid": [1774746000000, 1792890000000],
    "America/New_York": [1772953200000, 1793512800000],
    "Australia/Lord_Howe": [1775314800000, 1791041400000],  # by half an hour
    "America/Santiago": [1775358000000, 1788667200000],  # at midnight
    "Africa/Cairo": [1776981600000, 1793307600000],  # at midnight
    "Asia/Kathmandu": [1772323200000],  # never; 5:45 ahead
    "UTC": [1772280000000],  # never; the end of a February
    "utc+5:30": [1798675200000],  # never; the end of a year
}
WHOLE = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@hourly",
    "@minutely",
    "@secondly",
    "@weekdays",
    "@weekends",
    "@Hourly",
    "5",
]
REPORTED = [
    *("0 9-9 * * *", "0 0-0 * * *", "0 1-1 * * *", "0 15-15 * * *", "2-2/1 * * * *", "0-4 36 8 */18 * 0-6"),
    *(
        "0 9 * * 5L",
        "0 9 L * *",
        "0 9 ? * MON#1",
        "0 9 15W * *",
        "H H * * *",
        "0 */2 * * *",
        "30 2 * * *",
        "0 0 30 2 *",
    ),
]


def ask_node(patterns: Sequence[str], asked: Sequence[Sequence[Any]]) -> list[int | None]:
    """What cron_times.mjs says of them."""
    done = subprocess.run(
        [str(node_binary()), str(Path(__file__).with_name("cron_times.mjs")), str(installed("6"))],
        input=json.dumps({"patterns": patterns, "asked": asked}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[int | None] = json.loads(done.stdout)
    return answers


def keep(seed: int) -> None:
    """Draw the cases, ask Node, and write both down."""
    draw = random.Random(seed)
    patterns = [*WHOLE, "", "0 0", *REPORTED]
    patterns += [_pattern(draw) for _ in range(2000 - len(patterns))]
    asked = []
    for at in range(len(patterns)):
        for zone, changes in CHANGES_MS.items():
            after = draw.choice(changes) + draw.randint(-30 * HOUR_MS, 6 * HOUR_MS)
            asked.append([at, zone, after // HOUR_MS * HOUR_MS if draw.random() < 0.5 else after])
    cases = {"patterns": patterns, "asked": asked, "answers": ask_node(patterns, asked)}
    with gzip.GzipFile(KEPT, "wb", mtime=0) as file:
        file.write(json.dumps(cases, separators=(",", ":")).encode())


def _pattern(draw: random.Random) -> str:
    usual = draw.random() < 0.5
    minute = draw.choice(["0", "0", "30", "*/15", "*", "15,45"]) if usual else _field(draw, 0, 59)
    usual = draw.random() < 0.6
    hour = draw.choice(["*", "*/2", "2", "1", "3", "0", "1-4", "2,3", "*/3", "1,2,3"]) if usual else _field(draw, 0, 23)
    usual = draw.random() < 0.6
    day = (
        draw.choice(["*", "*", "*", "*", "*", "?", "L", "L", "1", "31", "*/2"])
        if usual
        else _field(draw, 1, 31, ("L", "15,L"))
    )
    usual = draw.random() < 0.7
    month = (
        draw.choice(["*", "*", "*", "*", "*", "*", "3", "10", "MAR,OCT"])
        if usual
        else _field(draw, 1, 12, ("jan", "Feb", "nov"))
    )
    usual = draw.random() < 0.7
    weekdays = ["*", "*", "*", "*", "*", "?", "1-5", "0", "7", "5L", "MON-FRI", "sun", "1#2", "FRI#3", "0,6", "6-7"]
    weekday = draw.choice(weekdays) if usual else _field(draw, 0, 7, ("mon", "SUN", "5L", "3#2", "7L"))
    fields = [minute, hour, day, month, weekday]
    if draw.random() < 0.25:
        fields.insert(0, draw.choice(["0", "*", "*/20", "30", _field(draw, 0, 59)]))
    pattern = " ".join(fields)
    if draw.random() < 0.03:
        pattern = pattern.replace(draw.choice(pattern), draw.choice("xW#L?*-/,9 "), 1)
    return pattern


def _field(draw: random.Random, least: int, most: int, more: Sequence[str] = ()) -> str:
    if draw.random() < 0.35:
        return "*"
    count = 1 if draw.random() < 0.7 else draw.randint(2, 3)
    return ",".join(_item(draw, least, most, more) for _ in range(count))


def _item(draw: random.Random, least: int, most: int, more: Sequence[str]) -> str:
    one, other = sorted((draw.randint(least, most), draw.randint(least, most)))
    step = draw.randint(1, most + 2)
    items = [
        *(
            str(one),
            str(other),
            f"{one}-{other}",
            f"{one}-{other}",
            f"*/{step}",
            f"{one}-{other}/{step}",
            f"{one}/{step}",
        ),
        *("*", "H", f"H/{step}", f"H({one}-{other})", f"H({one}-{other})/{step}", *more),
    ]
    return draw.choice(items)


if __name__ == "__main__":
    keep(26)
