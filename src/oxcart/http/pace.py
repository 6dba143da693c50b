"""How fast may whole requests come? Whoever is faster waits before the next one is read; nothing is kept for it."""

from __future__ import annotations

from dataclasses import dataclass, field

_LOOK_AGAIN_SECONDS = 0.05  # when too many are under way
REQUEST_SECONDS = 0.001  # of this thread, for a plain one
_READING = 4.0  # weighs more than answering: it comes in pieces of any cost, and nobody is answered meanwhile


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second in the long run, after a pause `burst_seconds` of them at once: of one peer, of all, and of GET
    /health/live beside those. `most_of_peer` and `most` may be under way.

    One request costs this process about a millisecond, so of all together they take half of the interpreter. One whose
    headers or chunks cost more to read counts as so many.
    """

    of_peer: float = 250.0
    of_all: float = 500.0
    of_probes: float = 20.0
    burst_seconds: float = 2.0
    most_of_peer: int = 128
    most: int = 256


@dataclass(slots=True)
class Pace:
    """Of those who share it. Times are of the loop's clock."""

    rate: float
    burst_seconds: float
    most: int
    under_way: int = field(default=0, init=False)
    _spent_until: float = field(default=0.0, init=False)

    def wait_to_begin(self, now: float) -> float:
        """How long the next request has to wait, in seconds; 0 if it may come."""
        if self.under_way >= self.most:
            return _LOOK_AGAIN_SECONDS
        return self.wait_to_read(now)

    def wait_to_read(self, now: float) -> float:
        """How long more of a request that is under way has to wait, in seconds."""
        return max(0.0, self._spent_until - now - self.burst_seconds)

    def begin(self, now: float) -> None:
        self.under_way += 1
        self._spend(now, 1)

    def read(self, now: float, seconds: float) -> None:
        """Reading what has come took this thread so long."""
        self._spend(now, _READING * seconds / REQUEST_SECONDS)

    def _spend(self, now: float, requests: float) -> None:
        self._spent_until = max(self._spent_until, now) + requests / self.rate

    def end(self) -> None:
        self.under_way -= 1

    def is_forgotten(self, now: float) -> bool:
        """It is as a new one."""
        return not self.under_way and self._spent_until <= now


class Paces:
    """Of all who come through one door."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._of_all = Pace(rates.of_all, rates.burst_seconds, rates.most)
        self.probes = Pace(rates.of_probes, rates.burst_seconds, rates.most)
        self._of_peer: dict[str, Pace] = {}

    def of(self, peer: str) -> tuple[Pace, Pace]:
        """The peer's own, and everybody's."""
        rates = self._rates
        own = self._of_peer.setdefault(peer, Pace(rates.of_peer, rates.burst_seconds, rates.most_of_peer))
        return own, self._of_all

    def forget(self, now: float, present: set[str]) -> None:
        """Let go of peers that are not `present` and have been slow for a while."""
        for peer in [each for each, pace in self._of_peer.items() if each not in present and pace.is_forgotten(now)]:
            del self._of_peer[peer]
