"""How does a test let time pass on purpose, and how much does a worker ask of its server in that time?"""

from __future__ import annotations

import time
from typing import Any

from support.waiting import wait_until


async def let_pass(seconds: float) -> None:
    """What is tested is what happens, or does not, while nobody does anything."""
    ends_at = time.monotonic() + seconds
    await wait_until(lambda: time.monotonic() >= ends_at, describe=f"{seconds:g} s are over", timeout=seconds + 5)


class CommandCount:
    """Commands that the server has executed, those inside scripts too, our own question left out."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._begin = self._now()

    def __call__(self) -> dict[str, int]:
        """Since the count began, by name."""
        now = self._now()
        grown = {name: calls - self._begin.get(name, 0) for name, calls in now.items()}
        return {name: calls for name, calls in grown.items() if calls}

    def _now(self) -> dict[str, int]:
        stats: dict[str, dict[str, int]] = self._client.info("commandstats")
        return {name: values["calls"] for name, values in stats.items() if name != "cmdstat_info"}
