"""What does a producer do? Adds jobs at a steady pace until it is killed, and notes each that was acknowledged.

FAULTS_LOAD: `burst` at once and then `per_second`; each runs for `ms`, every `long_every`th for `long_ms`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from lab.faults.ledger import note


def job(load: dict[str, Any], number: int) -> dict[str, Any]:
    """The number comes from the process: two producers of one experiment add different jobs."""
    is_long = load["long_every"] and number % load["long_every"] == 0
    data = {
        "result_kb": load.get("result_kb", 0),
        "n": os.getpid() * 100_000 + number,
        "ms": load["long_ms"] if is_long else load["ms"],
    }
    return data | ({"how": load["how"]} if load.get("how") and is_long else {})


async def produce(add: Callable[[dict[str, Any]], Awaitable[str]]) -> None:
    """An add that raises is not repeated, and was not acknowledged."""
    load = json.loads(os.environ["FAULTS_LOAD"])
    began, number = time.monotonic(), 0
    while True:
        number += 1
        due = began + max(0, number - load["burst"]) / load["per_second"]
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        data = job(load, number)
        try:
            note("added", data["n"], await add(data))
        except Exception as error:
            print(f"adding: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(0.2)
