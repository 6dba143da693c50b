"""How much has this process done? Plain counters, added up per batch; the HTTP layer renders them as JSON or text."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Final

from oxcart.telemetry import events
from oxcart.telemetry.events import Event, JobsFinished

# Upper bounds in seconds: from a cache look-up to a full CRM synchronisation. The last bucket is +Inf.
DURATION_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
_BOUNDS_MS: Final = tuple(bound * 1000 for bound in DURATION_BOUNDS)

# Whoever adds jobs chooses their names: a producer that makes names up must not fill our memory or the scraper's.
MAX_JOB_NAMES: Final = 100
MAX_NAME: Final = 100
OTHER_NAMES: Final = "other"

_HANDLER_ENDED: Final = frozenset({"completed", "failed", "retry_later"})


@dataclass(slots=True)
class JobTally:
    """What jobs of one name came to. Durations are of attempts that completed, failed, or will be tried again."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    total_ms: float = 0.0
    shortest_ms: float = inf
    max_ms: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS_MS) + 1))

    def add(self, verdict: str, run_ms: float) -> None:
        if verdict == "completed":
            self.completed += 1
        elif verdict == "failed":
            self.failed += 1
        else:
            self.retried += 1
        self.total_ms += run_ms
        if run_ms < self.shortest_ms:  # noqa: PLR1730 - min() would cost each job a call
            self.shortest_ms = run_ms
        if run_ms > self.max_ms:  # noqa: PLR1730 - as above
            self.max_ms = run_ms
        self.buckets[bisect_left(_BOUNDS_MS, run_ms)] += 1

    @property
    def timed(self) -> int:
        return self.completed + self.failed + self.retried

    @property
    def average_ms(self) -> float:
        return self.total_ms / self.timed if self.timed else 0.0

    @property
    def min_ms(self) -> float:
        return self.shortest_ms if self.timed else 0.0

    def copy(self) -> JobTally:
        return replace(self, buckets=[*self.buckets])


@dataclass(frozen=True, slots=True)
class Counts:
    """The counters at one moment. `other_ends` counts verdicts that leave the job unfinished, by verdict name.

    `by_name` has at most MAX_JOB_NAMES names and OTHER_NAMES; `redis_failures` is by failure code.
    """

    by_name: Mapping[str, JobTally]
    other_ends: Mapping[str, int]
    incidents: Mapping[str, int]
    redis_reconnects: int
    redis_failures: Mapping[str, int]

    @property
    def all_names(self) -> JobTally:
        return sum_tallies(self.by_name.values())


class Metrics:
    """The subscriber that counts. Thread-safe: the job loop adds, the HTTP thread reads a copy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, JobTally] = {}
        self._other_ends: Counter[str] = Counter()
        self._incidents: Counter[str] = Counter()
        self._redis_reconnects = 0
        self._redis_failures: Counter[str] = Counter()
        self._subscribers: Mapping[type, Callable[[Any], None]] = {
            JobsFinished: self._finished,
            events.JobsStalled: lambda event: self._incident("stalled", len(event.job_ids)),
            events.JobAbandoned: lambda _: self._incident("abandoned"),
            events.JobAdopted: lambda _: self._incident("adopted"),
            events.JobUnconfirmed: lambda _: self._incident("unconfirmed"),
            events.JobUnreadable: lambda _: self._incident("unreadable"),
            events.HandlerDeaf: lambda _: self._incident("deaf"),
            events.RedisReady: self._redis_ready,
            events.RedisLost: self._redis_failed,
            events.RedisFailureChanged: self._redis_failed,
            events.RedisRefuses: self._redis_failed,
        }

    def __call__(self, event: Event) -> None:
        subscriber = self._subscribers.get(type(event))
        if subscriber is not None:
            subscriber(event)

    def counts(self) -> Counts:
        with self._lock:
            by_name = {name: tally.copy() for name, tally in self._tallies.items()}
            other_ends, incidents = dict(self._other_ends), dict(self._incidents)
            failures, reconnects = dict(self._redis_failures), self._redis_reconnects
        return Counts(by_name, other_ends, incidents, reconnects, failures)

    def _finished(self, event: JobsFinished) -> None:
        """The hot path: positions in FinishedJob read faster than its names (1 name, 2 verdict, 3 run_ms)."""
        with self._lock:
            tallies = self._tallies
            for job in event.jobs:
                verdict = job[2]
                if verdict in _HANDLER_ENDED:
                    (tallies.get(job[1]) or self._tally(job[1])).add(verdict, job[3])
                else:
                    self._other_ends[verdict] += 1

    def _tally(self, name: str) -> JobTally:
        """A name that Node wrote with a lone surrogate has no UTF-8, and would spoil every answer that lists it.

        Names of which we keep the same beginning are counted together.
        """
        shown = name[:MAX_NAME].encode("utf-8", "replace").decode()
        if len(self._tallies) >= MAX_JOB_NAMES and shown not in self._tallies:
            shown = OTHER_NAMES
        return self._tallies.setdefault(shown, JobTally())

    def _incident(self, what: str, number: int = 1) -> None:
        with self._lock:
            self._incidents[what] += number

    def _redis_ready(self, event: events.RedisReady) -> None:
        if event.away_seconds > 0:
            with self._lock:
                self._redis_reconnects += 1

    def _redis_failed(self, event: events.RedisLost | events.RedisFailureChanged | events.RedisRefuses) -> None:
        with self._lock:
            self._redis_failures[event.failure.code] += 1


def sum_tallies(parts: Iterable[JobTally]) -> JobTally:
    tallies = (JobTally(), *parts)
    return JobTally(
        completed=sum(tally.completed for tally in tallies),
        failed=sum(tally.failed for tally in tallies),
        retried=sum(tally.retried for tally in tallies),
        total_ms=sum(tally.total_ms for tally in tallies),
        shortest_ms=min(tally.shortest_ms for tally in tallies),
        max_ms=max(tally.max_ms for tally in tallies),
        buckets=[sum(column) for column in zip(*(tally.buckets for tally in tallies), strict=True)],
    )
