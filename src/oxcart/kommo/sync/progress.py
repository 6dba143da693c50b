"""How far is a synchronisation, and how long will it take? Told at most once a second, and at each stream's end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from oxcart import clock

_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Of `entities` streams `entities_done` are done; `pages` and `rows` are of the one that is being read.

    `eta_seconds` is until its end; None while nobody knows how much there is.
    """

    entity: str
    entities_done: int
    entities: int
    pages: int
    rows: int
    rows_per_second: float
    eta_seconds: float | None

    def as_json(self) -> dict[str, Any]:
        eta = None if self.eta_seconds is None else round(self.eta_seconds, 1)
        rounded = replace(self, rows_per_second=round(self.rows_per_second, 1), eta_seconds=eta)
        return {camel(name): value for name, value in asdict(rounded).items()}


def camel(name: str) -> str:
    """As JSON spells it: rows_per_second is rowsPerSecond."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


Listener = Callable[[Progress], Awaitable[None]]


class Meter:
    """Counts a run. `expected` has, of the streams where that is known, how many rows are to be read."""

    def __init__(self, names: Sequence[str], expected: Mapping[str, int], listener: Listener | None) -> None:
        self._listener = listener
        self._done, self._count = 0, len(names)
        self._expected = dict(expected)
        self._pages = self._rows = 0
        self._began = self._told = clock.monotonic()

    def begin(self) -> None:
        self._pages = self._rows = 0
        self._began = clock.monotonic()

    async def page(self, name: str, rows: int) -> None:
        self._pages += 1
        self._rows += rows
        if clock.monotonic() - self._told >= _PAUSE_SECONDS:
            await self._tell(name, is_over=False)

    async def end(self, name: str) -> None:
        self._done += 1
        await self._tell(name, is_over=True)

    async def _tell(self, name: str, *, is_over: bool) -> None:
        self._told = clock.monotonic()
        if self._listener is None:
            return
        rate = self._rows / max(self._told - self._began, 1e-3)
        eta = 0.0 if is_over else self._eta(name, rate)
        await self._listener(Progress(name, self._done, self._count, self._pages, self._rows, rate, eta))

    def _eta(self, name: str, rate: float) -> float | None:
        if name not in self._expected or not rate:
            return None
        return max(self._expected[name] - self._rows, 0) / rate
