"""Which changes are worth waking someone for? Events go in, alerts come out: one per change, never one per retry."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from oxcart.errors import Failure, Kind
from oxcart.shell import in_queue
from oxcart.telemetry import events
from oxcart.telemetry.alert import Alert, span
from oxcart.telemetry.events import Event
from oxcart.telemetry.kommo_alerts import AccountAlerts, BlockAlerts
from oxcart.telemetry.problem_alerts import ProblemAlerts

__all__ = ["Alert", "AlertLimits", "AlertRules"]

AWAY_SECONDS: Final = 60.0
"""A failover or a restart of Redis is over sooner; what lasts longer concerns someone."""

FAILED_WINDOW_SECONDS: Final = 300.0
STALLED_QUIET_SECONDS: Final = 600.0
"""Stalled jobs within this time of one another belong to one incident."""

_DAY_SECONDS: Final = 86_400.0
_USAGE_STEP_SECONDS: Final = 3_600.0
_NEAR: Final = 0.8

# What the server counts, those inside scripts included: the upper bounds that we hold ourselves to.
COMMANDS_PER_JOB: Final = 14
IDLE_COMMANDS_PER_MINUTE: Final = 8


@dataclass(frozen=True, slots=True)
class AlertLimits:
    """`failed_jobs` within five minutes raise an alert; `commands_per_month` is the plan's quota, None: not watched.

    `processes` idle side by side, each at its own cost. Jobs that wait for `wait_seconds` are an alert, and so is a
    queue that is paused for `paused_seconds`.
    """

    failed_jobs: int = 10
    commands_per_month: int | None = None
    processes: int = 1
    wait_seconds: float = 300.0
    paused_seconds: float = 900.0


class AlertRules:
    """The state of everything that can be wrong. Times are epoch seconds, handed in; not thread-safe."""

    def __init__(self, limits: AlertLimits, now: float) -> None:
        self._redis = _Redis()
        self._failed = _FailedJobs(limits.failed_jobs)
        self._stalled = _StalledJobs()
        self._usage = _Usage(limits, now)
        self._accounts = AccountAlerts()
        self._block = BlockAlerts()
        self.problems = ProblemAlerts({"WAIT_LONG": limits.wait_seconds, "QUEUE_PAUSED": limits.paused_seconds})
        self._rules: Mapping[type, Callable[[Any, float], list[Alert]]] = {
            events.RedisLost: self._redis.lost,
            events.RedisFailureChanged: self._redis.changed,
            events.RedisRefuses: self._redis.refuses,
            events.RedisAccepts: self._redis.accepts,
            events.RedisReady: self._redis.ready,
            events.JobsFinished: self._finished,
            events.JobsStalled: self._stalled.found,
            events.KommoReauthNeeded: self._accounts.refused,
            events.KommoTokenRefreshed: self._accounts.refreshed,
            events.KommoBlocked: self._block.began,
            events.KommoUnblocked: self._block.ended,
        }
        self._timed: tuple[Callable[[float], list[Alert]], ...] = (
            self._redis.look,
            self._failed.look,
            self._stalled.look,
            self._usage.look,
            self.problems.look,
        )

    def concerns(self, kind: type[Event]) -> bool:
        return kind in self._rules

    def see(self, event: Event, now: float) -> list[Alert]:
        return self._rules[type(event)](event, now)

    def look(self, now: float) -> list[Alert]:
        """What has become true, or is over, by the passing of time alone; to be asked every few seconds."""
        return [alert for rule in self._timed for alert in rule(now)]

    def _finished(self, event: events.JobsFinished, now: float) -> list[Alert]:
        self._usage.count(len(event.jobs), now)
        return self._failed.count(event, now)


class _Redis:
    """Away for over a minute, and back; a spent quota is told at once, also by a server that stays connected."""

    def __init__(self) -> None:
        self._failure: Failure | None = None
        self._since = 0.0
        self._host = ""
        self._raised: list[str] = []

    def lost(self, event: events.RedisLost, now: float) -> list[Alert]:
        self._failure, self._since, self._host = event.failure, now, event.host
        return self._quota()

    def changed(self, event: events.RedisFailureChanged, now: float) -> list[Alert]:
        if self._failure is None:
            self._since = now - event.away_seconds
        self._failure, self._host = event.failure, event.host
        return self._quota()

    def ready(self, event: events.RedisReady, now: float) -> list[Alert]:
        raised, since = self._raised, self._since
        self._failure, self._raised = None, []
        text = f"Redis {event.host} is back after {span(now - since)}."
        advice = "Nothing to do: jobs that waited are being claimed."
        return [Alert(name, "cleared", "info", text, advice, since) for name in raised]

    def refuses(self, event: events.RedisRefuses, now: float) -> list[Alert]:
        """Connected: only a spent quota is an alert of its own, what else is refused shows in jobs that do not end."""
        if event.failure.kind is not Kind.QUOTA or "quota.used" in self._raised:
            return []
        self._raised.append("quota.used")
        text = f"Redis refuses commands: {event.failure.summary}"
        return [Alert("quota.used", "raised", "error", text, event.failure.advice, now, event.failure.code)]

    def accepts(self, event: events.RedisAccepts, now: float) -> list[Alert]:
        if self._failure is not None or "quota.used" not in self._raised:
            return []
        self._raised.remove("quota.used")
        since = now - event.seconds
        text = f"Redis accepts commands again after {span(event.seconds)}."
        return [
            Alert("quota.used", "cleared", "info", text, "Nothing to do: jobs that waited are being claimed.", since)
        ]

    def look(self, now: float) -> list[Alert]:
        if self._failure is None or self._raised or now - self._since < AWAY_SECONDS:
            return []
        self._raised.append("redis.away")
        text = f"Redis {self._host} has been away for {span(now - self._since)}: {self._failure.summary}"
        return [Alert("redis.away", "raised", "error", text, self._failure.advice, self._since, self._failure.code)]

    def _quota(self) -> list[Alert]:
        failure = self._failure
        if failure is None or failure.kind is not Kind.QUOTA or "quota.used" in self._raised:
            return []
        self._raised.append("quota.used")
        text = f"Redis {self._host} refuses commands: {failure.summary}"
        return [Alert("quota.used", "raised", "error", text, failure.advice, self._since, failure.code)]


class _FailedJobs:
    """At least so many jobs ended as failed within five minutes; over when a whole window has fewer."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[tuple[float, int, str]] = deque()
        self._total = 0
        self._raised_at: float | None = None

    def count(self, event: events.JobsFinished, now: float) -> list[Alert]:
        failed = [job for job in event.jobs if job.verdict == "failed"]
        if not failed:
            return []
        self._batches.append((now, len(failed), failed[-1].name))
        self._total += len(failed)
        self._forget(now)
        if self._raised_at is not None or self._total < self._limit:
            return []
        self._raised_at = now
        text = (
            f"{self._total} jobs failed within {span(FAILED_WINDOW_SECONDS)} in {event.queue}, "
            f"the last one {failed[-1].name} {failed[-1].job_id}."
        )
        option = in_queue(event.queue)
        advice = (
            f"See why: oxcart jobs reasons {option}; return them when it is mended: oxcart jobs retry --all {option}"
        )
        return [Alert("jobs.failing", "raised", "error", text, advice, now)]

    def look(self, now: float) -> list[Alert]:
        self._forget(now)
        if self._raised_at is None or self._total >= self._limit:
            return []
        since, self._raised_at = self._raised_at, None
        text = f"Fewer than {self._limit} jobs failed within the last {span(FAILED_WINDOW_SECONDS)}."
        return [
            Alert("jobs.failing", "cleared", "info", text, "The failed jobs are still there to be returned.", since)
        ]

    def _forget(self, now: float) -> None:
        while self._batches and self._batches[0][0] <= now - FAILED_WINDOW_SECONDS:
            self._total -= self._batches.popleft()[1]


class _StalledJobs:
    """Jobs whose worker vanished. The first of an incident is told, and its end with the sum."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._last = 0.0
        self._total = 0

    def found(self, event: events.JobsStalled, now: float) -> list[Alert]:
        self._last = now
        self._total += len(event.job_ids)
        if self._since is not None:
            return []
        self._since = now
        text = f"{_jobs(len(event.job_ids))} of a worker that vanished went back to {event.queue}."
        advice = (
            "A worker was killed, or blocked for longer than its lock: look at the platform's restarts and memory, "
            "and for worker.loop_blocked in the log."
        )
        return [Alert("jobs.stalled", "raised", "warning", text, advice, now)]

    def look(self, now: float) -> list[Alert]:
        if self._since is None or now - self._last < STALLED_QUIET_SECONDS:
            return []
        since, total = self._since, self._total
        self._since, self._total = None, 0
        text = f"No job has stalled for {span(STALLED_QUIET_SECONDS)}; there were {total} in all."
        return [Alert("jobs.stalled", "cleared", "info", text, "Nothing to do.", since)]


class _Usage:
    """The month's commands, estimated from this process's last day: its jobs, and what idling costs."""

    def __init__(self, limits: AlertLimits, now: float) -> None:
        self._quota = limits.commands_per_month
        self._idle_a_day = limits.processes * IDLE_COMMANDS_PER_MINUTE * 1440
        self._began = now
        self._hours: deque[tuple[float, int]] = deque()
        self._since: float | None = None

    def count(self, jobs: int, now: float) -> None:
        if self._quota is None:
            return
        start = now - now % _USAGE_STEP_SECONDS
        if self._hours and self._hours[-1][0] == start:
            jobs += self._hours.pop()[1]
        self._hours.append((start, jobs))

    def look(self, now: float) -> list[Alert]:
        watched = min(now - self._began, _DAY_SECONDS)
        if self._quota is None or watched < _USAGE_STEP_SECONDS:
            return []
        while self._hours and self._hours[0][0] + _USAGE_STEP_SECONDS <= now - _DAY_SECONDS:
            self._hours.popleft()
        jobs = sum(number for _, number in self._hours)
        a_month = 30 * (_DAY_SECONDS / watched * jobs * COMMANDS_PER_JOB + self._idle_a_day)
        return self._judge(self._quota, a_month, now)

    def _judge(self, quota: int, a_month: float, now: float) -> list[Alert]:
        share = a_month / quota
        sentence = f"At today's rate this worker needs about {a_month:,.0f} commands a month, {share:.0%} of {quota:,}."
        if self._since is None and share >= _NEAR:
            self._since = now
            advice = "Raise the plan, or run less: oxcart doctor shows what the commands go into."
            return [Alert("quota.near", "raised", "warning", sentence, advice, now)]
        if self._since is not None and share < _NEAR * 0.9:
            since, self._since = self._since, None
            return [Alert("quota.near", "cleared", "info", sentence, "Nothing to do.", since)]
        return []


def _jobs(number: int) -> str:
    return "One job" if number == 1 else f"{number} jobs"
