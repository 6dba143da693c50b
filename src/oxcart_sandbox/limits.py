"""Is this request one too many? Kommo's limit by address: a 429 with a wait, and after many of them an HTML 403."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from oxcart import clock
from oxcart_sandbox.scenario import Scenario


class Judgement(Enum):
    PASS = "pass"  # noqa: S105 - no password
    TOO_MANY = "too many"
    BLOCKED = "blocked"


@dataclass(slots=True)
class _Address:
    recent: deque[float] = field(default_factory=deque)
    refused_until: float = 0.0
    violations: int = 0
    blocked_until: float | None = None


class Limits:
    """In real time: the client's clock is what is judged. `on_block` is called once per block."""

    def __init__(self, scenario: Callable[[], Scenario], on_block: Callable[[], None]) -> None:
        self._scenario = scenario
        self._on_block = on_block
        self._addresses: dict[str, _Address] = {}

    def judge(self, address: str) -> Judgement:
        """Counts the request, too."""
        scenario, now = self._scenario(), clock.monotonic()
        known = self._addresses.setdefault(address, _Address())
        if known.blocked_until is not None:
            if now < known.blocked_until:
                return Judgement.BLOCKED
            self._addresses[address] = known = _Address()
        while known.recent and known.recent[0] <= now - 1.0:
            known.recent.popleft()
        known.recent.append(now)
        is_early = scenario.penalty and now < known.refused_until
        if len(known.recent) <= scenario.requests_per_second and not is_early:
            return Judgement.PASS
        known.violations += 1
        known.refused_until = now + scenario.retry_after_real_seconds
        if scenario.block_after and known.violations >= scenario.block_after:
            self.block(address)
            return Judgement.BLOCKED
        return Judgement.TOO_MANY

    def block(self, address: str) -> None:
        seconds = self._scenario().block_real_seconds
        known = self._addresses.setdefault(address, _Address())
        known.blocked_until = clock.monotonic() + seconds if seconds else float("inf")
        self._on_block()

    def lift(self) -> None:
        """Support has lifted every block, and all is forgotten."""
        self._addresses.clear()
