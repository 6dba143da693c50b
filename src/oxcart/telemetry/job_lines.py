"""Which jobs get a line of their own? The first ones of each second; a summary once a second stands for the rest.

A fast queue ends 50 000 jobs a second, platforms drop lines beyond some hundred, and a line costs more than such a job
does. Over the cap a batch costs one pass in C, and nothing is formatted.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

from oxcart.telemetry.events import JobsFinished
from oxcart.telemetry.lines import SEVERITY, SUMMARY_EVENT, VERDICT_RULES, Level, Line, Rule, finished_line, log_key

# Per process and second (docs/decisions.md, 22). Railway drops lines beyond 500 a second and replica.
MAX_FINISHED_LINES: Final = 20
MAX_FAILURE_LINES: Final = 50

_FAILURES: Final = frozenset({"failed", "retry_later"})
_verdict_of = itemgetter(2)
_run_ms_of = itemgetter(3)


class JobLines:
    """Writes job lines under the caps. Thread-safe: batches come from the job loop, `flush_due` from the log's thread.

    `wake` is called when a summary has become due at the end of the running second.
    """

    def __init__(
        self, write: Callable[[Line, float], None], wake: Callable[[], None], level: Level, clock: Callable[[], float]
    ) -> None:
        self._write = write
        self._wake = wake
        self._clock = clock
        self._lock = threading.RLock()
        threshold = SEVERITY[level]
        self._written = frozenset(name for name, rule in VERDICT_RULES.items() if SEVERITY[rule.level] >= threshold)
        self._second = 0
        self._finished_lines = 0
        self._failure_lines = 0
        self._omitted = _Omitted()

    def finished(self, event: JobsFinished) -> None:
        verdicts = set(map(_verdict_of, event.jobs))
        if self._written.isdisjoint(verdicts):
            return
        with self._lock:
            now = self._roll()
            if self._finished_lines >= MAX_FINISHED_LINES and len(verdicts) == 1 and _FAILURES.isdisjoint(verdicts):
                self._omit(event.queue, {verdicts.pop(): len(event.jobs)}, sum(map(_run_ms_of, event.jobs)))
            else:
                self._one_by_one(event, now)

    def other(self, rule: Rule, event: Any) -> None:
        """An event about one job that is no verdict: it shares the cap of the failures."""
        with self._lock:
            now = self._roll()
            if self._failure_lines < MAX_FAILURE_LINES:
                self._failure_lines += 1
                self._write(rule.line(event), now)
            else:
                self._omit(event.queue, {rule.event.partition(".")[2]: 1}, 0.0, rule.level)

    def flush_due(self) -> float | None:
        """Write the summary of a second that is over; returns the seconds until one is due, None for no summary."""
        with self._lock:
            now = self._roll()
            return self._second + 1 - now if self._omitted.counts else None

    def flush(self) -> None:
        """Write the summary now: the process ends."""
        with self._lock:
            self._summarise(self._clock())

    def _roll(self) -> float:
        now = self._clock()
        if int(now) != self._second:
            self._summarise(now)
            self._second = int(now)
            self._finished_lines = self._failure_lines = 0
        return now

    def _one_by_one(self, event: JobsFinished, now: float) -> None:
        omitted: Counter[str] = Counter()
        omitted_ms = 0.0
        for job in event.jobs:
            if job.verdict not in self._written:
                continue
            if self._take_line(job.verdict):
                self._write(finished_line(event.queue, job), now)
            else:
                omitted[job.verdict] += 1
                omitted_ms += job.run_ms
        if omitted:
            self._omit(event.queue, omitted, omitted_ms)

    def _take_line(self, verdict: str) -> bool:
        if verdict in _FAILURES:
            self._failure_lines += 1
            return self._failure_lines <= MAX_FAILURE_LINES
        self._finished_lines += 1
        return self._finished_lines <= MAX_FINISHED_LINES

    def _omit(self, queue: str, counts: Mapping[str, int], run_ms: float, level: Level = "debug") -> None:
        if not self._omitted.counts:
            self._wake()
        self._omitted.add(queue, counts, run_ms, level)

    def _summarise(self, now: float) -> None:
        if self._omitted.counts:
            self._write(self._omitted.line(), now)
            self._omitted = _Omitted()


@dataclass(slots=True)
class _Omitted:
    """The jobs of the running second that get no line of their own."""

    counts: Counter[str] = field(default_factory=Counter)
    run_ms: float = 0.0
    queues: set[str] = field(default_factory=set)
    level: Level = "debug"

    def add(self, queue: str, counts: Mapping[str, int], run_ms: float, level: Level) -> None:
        for name, number in counts.items():
            self.counts[name] += number
        self.run_ms += run_ms
        self.queues.add(queue)
        if SEVERITY[level] > SEVERITY[self.level]:
            self.level = level

    def line(self) -> Line:
        number = self.counts.total()
        shown: dict[str, Any] = {"queue": ",".join(sorted(self.queues)), "jobs": number}
        shown |= {log_key(name): count for name, count in self.counts.most_common()}
        verdicts = [name for name in self.counts if name in VERDICT_RULES]
        if verdicts:
            shown["avgDurationMs"] = round(self.run_ms / sum(self.counts[name] for name in verdicts), 3)
        level = max([self.level, *(VERDICT_RULES[name].level for name in verdicts)], key=SEVERITY.__getitem__)
        words = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.counts.most_common())
        return Line(level, SUMMARY_EVENT, f"{number} more jobs ended in this second: {words}", shown)
