"""How do several worker processes look as one? /health and /metrics over all of them; what a dead one counted stays."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from oxcart import clock
from oxcart.conditions import merged_facts
from oxcart.connection.target import RedisTarget
from oxcart.errors import Failure, Kind
from oxcart.supervisor.channel import Report
from oxcart.telemetry.metrics import MAX_JOB_NAMES, OTHER_NAMES, Counts, JobTally, sum_tallies
from oxcart.worker.status import RedisStatus, WorkerStatus

PROCESS_DOWN = "PROCESS_DOWN"

# Ten reports missed: a machine under load is late by one or two.
LATE_SECONDS = 5.0

NOTHING = Counts({}, {}, {}, 0, {})


@dataclass(slots=True)
class _Place:
    """One worker process and those that had its place before it. Times are of the clock."""

    number: int
    counted_before: Counts = NOTHING
    exchanges_before: int = 0
    reconnects_before: int = 0
    report: Report | None = None
    heard_at: float = 0.0
    ended: str | None = "has not started yet"
    restart_at: float | None = None

    def trouble(self, processes: int, now: float) -> Failure | None:
        """Why this place is not filled by a process that answers, None if it is."""
        who = f"Worker process {self.number} of {processes}"
        if self.ended is not None:
            again = "" if self.restart_at is None else f"; another starts in {max(0.0, self.restart_at - now):.0f} s"
            return _down(f"{who} {self.ended}{again}.", "The log says why it ended: look for process.lost, and above.")
        if self.report is None:
            return _down(f"{who} is starting.", "Nothing to do: it takes about a second.")
        if now - self.heard_at > LATE_SECONDS:
            silent = f"{who} has said nothing for {now - self.heard_at:.0f} s."
            return _down(silent, "It is frozen, or the machine overloaded. If it stays so, restart the worker.")
        return None


def _down(summary: str, advice: str) -> Failure:
    return Failure(PROCESS_DOWN, Kind.TRANSIENT, retryable=True, summary=summary, advice=advice)


@dataclass(slots=True)
class Sums:
    """Fed by the supervisor's loop, read by the HTTP thread. `queue_names` are shown until a process has reported."""

    processes: int
    target: RedisTarget
    queue_names: tuple[str, ...]
    clock: Callable[[], float] = clock.monotonic
    stopping: bool = False
    _places: dict[int, _Place] = field(init=False)
    _names: dict[str, None] = field(default_factory=dict)
    _began: float = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._places = {number: _Place(number) for number in range(1, self.processes + 1)}
        self._began = self.clock()

    # -------------------------------------------------------------------------------------------- written by the loop
    def started(self, number: int) -> None:
        with self._lock:
            place = self._places[number]
            place.ended = place.restart_at = None

    def reported(self, number: int, report: Report) -> None:
        with self._lock:
            self._places[number].report = report
            self._places[number].heard_at = self.clock()

    def ended(self, number: int, how: str, restart_seconds: float | None) -> None:
        """`how` it ended, as in "has ended with exit code 1". What it counted up to its last report is kept."""
        with self._lock:
            place, now = self._places[number], self.clock()
            place.ended = how
            place.restart_at = None if restart_seconds is None else now + restart_seconds
            if place.report is not None:
                place.counted_before = add_counts((place.counted_before, place.report.counts), self._shown)
                place.exchanges_before += place.report.status.exchanges
                place.reconnects_before += place.report.status.redis.reconnect_attempts
                place.report = None

    def has_stopped(self, number: int) -> bool:
        """The worker in this place has delivered everything, and only its process has yet to end."""
        report = self._places[number].report
        return report is not None and report.status.state == "stopped"

    # -------------------------------------------------------------------------------------------- read by HTTP
    def counts(self) -> Counts:
        with self._lock:
            places = self._places.values()
            before = (place.counted_before for place in places)
            now = (place.report.counts for place in places if place.report is not None)
            return add_counts((*before, *now), self._shown)

    def status(self) -> WorkerStatus:
        with self._lock:
            now, places = self.clock(), [*self._places.values()]
            troubles = [trouble for place in places if (trouble := place.trouble(self.processes, now)) is not None]
            found = [place.report.status for place in places if place.report is not None]
            exchanges = sum(place.exchanges_before for place in places)
            reconnects = sum(place.reconnects_before for place in places)
        return WorkerStatus(
            healthy=not troubles and all(status.healthy for status in found),
            state=self._state([status.state for status in found]),
            queue_names=found[0].queue_names if found else self.queue_names,
            concurrency=sum(status.concurrency for status in found),
            jobs_processing=sum(status.jobs_processing for status in found),
            unknown_jobs=tuple(dict.fromkeys(name for status in found for name in status.unknown_jobs)),
            uptime_seconds=now - self._began,
            loop_lag_seconds=max((status.loop_lag_seconds for status in found), default=0.0),
            redis=self._redis([status.redis for status in found], troubles, reconnects),
            exchanges=exchanges + sum(status.exchanges for status in found),
            outbox_verdicts=sum(status.outbox_verdicts for status in found),
            refused_queues={name: failure for status in found for name, failure in status.refused_queues.items()},
            queues=merged_facts(facts for status in found for facts in status.queues),
        )

    def _redis(self, found: list[RedisStatus], troubles: list[Failure], reconnects: int) -> RedisStatus:
        """What keeps a process from Redis comes first: a process that is down is the smaller trouble."""
        failures = [redis.failure for redis in found if redis.failure is not None]
        ages = [redis.last_fetch_age_seconds for redis in found if redis.last_fetch_age_seconds is not None]
        skews = [redis.clock_skew_seconds for redis in found if redis.clock_skew_seconds is not None]
        return RedisStatus(
            connected=bool(found) and all(redis.connected for redis in found),
            failure=next(iter((*failures, *troubles)), None),
            host=found[0].host if found else self.target.host,
            port=found[0].port if found else self.target.port,
            tls=self.target.tls,
            last_fetch_age_seconds=max(ages, default=None),
            reconnect_attempts=reconnects + sum(redis.reconnect_attempts for redis in found),
            clock_skew_seconds=max(skews, key=abs, default=None),
        )

    def _state(self, states: list[str]) -> str:
        if self.stopping:
            return "stopping"
        return "running" if "running" in states else next(iter(states), "starting")

    def _shown(self, name: str) -> str:
        """The first hundred names of all processes keep a series of their own, for good: none may go backwards."""
        if name not in self._names and len(self._names) >= MAX_JOB_NAMES:
            return OTHER_NAMES
        self._names[name] = None
        return name


def add_counts(parts: Iterable[Counts], shown: Callable[[str], str] = str) -> Counts:
    """The sums of several processes' counters; `shown` is the name under which a job name is counted."""
    counted = list(parts)
    tallies: dict[str, list[JobTally]] = {}
    for part in counted:
        for name, tally in part.by_name.items():
            tallies.setdefault(name if name == OTHER_NAMES else shown(name), []).append(tally)
    return Counts(
        by_name={name: sum_tallies(same) for name, same in tallies.items()},
        other_ends=_added(part.other_ends for part in counted),
        incidents=_added(part.incidents for part in counted),
        redis_reconnects=sum(part.redis_reconnects for part in counted),
        redis_failures=_added(part.redis_failures for part in counted),
    )


def _added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
