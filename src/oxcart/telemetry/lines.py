"""What does the log say about each event? One row each: its name, its level, its words. A new event is a new row."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any, Literal

from oxcart.errors import Failure, Kind
from oxcart.shell import show_job
from oxcart.telemetry import events
from oxcart.telemetry.events import FinishedJob

Level = Literal["debug", "info", "warn", "error"]
SEVERITY: Mapping[Level, int] = {"debug": 10, "info": 20, "warn": 30, "error": 40}

# A line is read by people and billed by volume: texts and lists that are longer lose their end.
MAX_TEXT = 1_000
MAX_STACK = 8_000
MAX_ITEMS = 20

# The event loop stands still for so long that locks are no longer renewed (docs/decisions.md, 8).
_LOOP_LOST_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log, before it is rendered. `fields` come after the keys that every line has."""

    level: Level
    event: str
    message: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of event is written. `message` reads the event's fields as {e.field}.

    With `error_if` the level rises to error where that is true; `error_when` says it in words. `per_job` events can
    come by the thousand, so only the first ones of a second are written (see job_lines.py).
    """

    event: str
    level: Level
    message: str
    error_if: Callable[[Any], bool] | None = None
    error_when: str = ""
    per_job: bool = False

    def level_of(self, event: Any) -> Level:
        return "error" if self.error_if is not None and self.error_if(event) else self.level

    def line(self, event: Any) -> Line:
        show = show_job(event.job_id, event.queue) if "{show}" in self.message else ""
        return Line(self.level_of(event), self.event, clip(self.message.format(e=event, show=show)), fields_of(event))


def _needs_someone(event: events.RedisLost | events.RedisFailureChanged | events.RedisRefuses) -> bool:
    return event.failure.kind is not Kind.TRANSIENT


_LOST: dict[str, Any] = {"error_if": _needs_someone, "error_when": "it will not pass by itself"}

RULES: Mapping[type, Rule] = {
    events.RedisTargetChosen: Rule("redis.target", "info", "Redis URL constructed"),
    events.RedisReady: Rule("redis.ready", "info", "Redis connection ready"),
    events.RedisLost: Rule("redis.lost", "warn", "Redis connection lost", **_LOST),
    events.RedisFailureChanged: Rule(
        "redis.failure_changed", "warn", "Redis still away, now for another reason", **_LOST
    ),
    events.RedisRefuses: Rule(
        "redis.refuses", "warn", "Redis answers, but refuses to work{e.where}: {e.failure.summary}", **_LOST
    ),
    events.RedisAccepts: Rule("redis.accepts", "info", "Redis works again{e.where} after {e.seconds:.1f} s"),
    events.WorkerStarted: Rule("worker.started", "info", "Worker {e.version} started"),
    events.WorkerSteered: Rule(
        "worker.steered",
        "info",
        "Worker steered: {e.what}, {e.slots} slots, jobs running: {e.jobs_running}",
    ),
    events.WorkerStopping: Rule("worker.stopping", "info", "Worker stops: {e.reason}"),
    events.WorkerStopped: Rule(
        "worker.stopped",
        "info",
        "Worker stopped after {e.seconds:.1f} s",
        error_if=lambda e: e.undelivered > 0,
        error_when="verdicts could not be written",
    ),
    events.WarningRaised: Rule("worker.warning", "warn", "{e.message}"),
    events.LoopBlocked: Rule(
        "worker.loop_blocked",
        "warn",
        "The event loop did not run for {e.seconds:.1f} s: a handler blocks it; make it a plain def, or await",
        error_if=lambda e: e.seconds >= _LOOP_LOST_SECONDS,
        error_when="it was five minutes or more",
    ),
    events.HttpStarted: Rule("http.started", "info", "HTTP answers on port {e.port}"),
    events.HttpCrowded: Rule(
        "http.crowded", "warn", "{e.connections} HTTP connections are open: those that wait for longest are closed"
    ),
    events.BoardChanged: Rule(
        "board.changed", "info", "{e.action} of {e.what} by {e.by}: {e.done} done, {e.refused} not possible"
    ),
    events.ProcessesStarted: Rule("processes.started", "info", "{e.processes} worker processes are started"),
    events.ProcessLost: Rule("process.lost", "error", "Worker process {e.process} has ended; another takes its place"),
    events.ProcessReplaced: Rule("process.replaced", "info", "Worker process {e.process} runs again"),
    events.JobsStarted: Rule("job.started", "debug", "Job {e.name} {e.job_id} started", per_job=True),
    events.JobsFinished: Rule("job.finished", "info", "Job {e.name} {e.job_id} completed", per_job=True),
    events.JobAbandoned: Rule(
        "job.abandoned", "warn", "Job {e.name} {e.job_id} is no longer ours: nothing was written", per_job=True
    ),
    events.JobAdopted: Rule(
        "job.adopted", "info", "Job {e.job_id} taken up: the reply to its claim was lost", per_job=True
    ),
    events.JobUnconfirmed: Rule(
        "job.unconfirmed", "warn", "Job {e.name} {e.job_id} is gone after a lost reply: counted as done", per_job=True
    ),
    events.JobUnreadable: Rule("job.unreadable", "error", "Job {e.job_id} cannot be read: see `{show}`", per_job=True),
    events.JobNameUnknown: Rule(
        "job.name_unknown",
        "warn",
        "Jobs named {e.name} wait in queue {e.queue} and no worker here handles them{e.why}: {e.outcome}",
    ),
    events.JobsStalled: Rule("jobs.stalled", "warn", "Jobs of a vanished worker went back to the queue"),
    events.SuspectsStarted: Rule("suspects.started", "info", "Jobs that had lost their worker begin apart from others"),
    events.OutboxFull: Rule("outbox.full", "warn", "Claiming stopped: {e.verdicts} finished jobs wait for Redis"),
    events.HandlerDeaf: Rule(
        "job.handler_deaf", "warn", "The handler of {e.name} {e.job_id} goes on after it was told to stop", per_job=True
    ),
    events.KommoTokenRefreshed: Rule("kommo.token_refreshed", "info", "New tokens for {e.domain}"),
    events.KommoReauthNeeded: Rule(
        "kommo.reauth_needed",
        "error",
        "{e.domain} must be connected again (oxcart kommo connect {e.domain}): {e.reason}",
    ),
    events.KommoPaused: Rule("kommo.paused", "warn", "Requests to Kommo pause for {e.seconds:.0f} s: it answered 429"),
    events.KommoBlocked: Rule(
        "kommo.blocked",
        "error",
        "Kommo has blocked this address, nothing is sent for {e.seconds:.0f} s: ask Kommo's support to lift it",
    ),
    events.KommoUnblocked: Rule("kommo.unblocked", "info", "Kommo answers again: requests go on"),
}

VERDICT_RULES: Mapping[str, Rule] = {
    "completed": RULES[events.JobsFinished],
    "failed": Rule("job.failed", "error", "Job {e.name} {e.job_id} failed: see `{show}`"),
    "retry_later": Rule("job.retried", "warn", "Job {e.name} {e.job_id} failed and will be tried again"),
    "snoozed": Rule("job.snoozed", "info", "Job {e.name} {e.job_id} asked to run later"),
    "waiting_for_children": Rule("job.waiting", "info", "Job {e.name} {e.job_id} waits for its children"),
    "rate_limited_for": Rule("job.rate_limited", "info", "Job {e.name} {e.job_id} stopped its queue for a while"),
    "interrupted": Rule("job.interrupted", "info", "Job {e.name} {e.job_id} went back: the worker stops"),
    "returned": Rule("job.returned", "debug", "Job {e.name} {e.job_id} went back: it could not begin here"),
}
SUMMARY_EVENT = "jobs.summary"


def finished_line(queue: str, job: FinishedJob) -> Line:
    rule = VERDICT_RULES[job.verdict]
    shown: dict[str, Any] = {
        "queue": queue,
        "jobId": clip(job.job_id),
        "jobName": clip(job.name),
        "verdict": job.verdict,
        "durationMs": round(job.run_ms, 3),
        "waitedMs": round(job.waited_ms, 3),
        "attempt": job.attempt,
    }
    if job.reason is not None:
        shown["reason"] = without_input(job.reason)
    if job.retry_in_ms is not None:
        shown["retryInMs"] = job.retry_in_ms
    if job.stack is not None and job.stack != job.reason:
        shown["stack"] = without_input(job.stack, MAX_STACK)
    return Line(rule.level, rule.event, clip(rule.message.format(e=job, show=show_job(job.job_id, queue))), shown)


def started_line(queue: str, job_id: str, name: str) -> Line:
    rule = RULES[events.JobsStarted]
    message = rule.message.format(e=SimpleNamespace(name=name, job_id=job_id))
    return Line(rule.level, rule.event, clip(message), {"queue": queue, "jobId": clip(job_id), "jobName": clip(name)})


def fields_of(event: Any) -> dict[str, Any]:
    """The event's fields under the log's names: camelCase, a failure taken apart, absent ones left out."""
    shown: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, Failure):
            shown |= {"errorCode": value.code, "error": clip(value.summary), "advice": clip(value.advice)}
        elif field.name == "queues":
            shown["queue"] = clip(",".join(value))
        elif field.name == "reason":
            shown["reason"] = without_input(value)
        elif value is not None and field.name != "message":
            shown[log_key(field.name)] = _plain(value, MAX_STACK if field.name == "stack" else MAX_TEXT)
    return shown


def log_key(field_name: str) -> str:
    """`name` is always a job's: `jobName` in the log, so that one filter finds a job whatever happened to it."""
    if field_name == "name":
        return "jobName"
    first, *rest = field_name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def clip(text: str, limit: int = MAX_TEXT) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


# pydantic quotes the rejected input in its errors; that is the job's data.
_QUOTED_INPUT = re.compile(r"input_value=.*?(?=, input_type=)|input_value=.*", re.DOTALL)


def without_input(reason: str, limit: int = MAX_TEXT) -> str:
    return clip(_QUOTED_INPUT.sub("input_value=…", reason), limit)


def _plain(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return clip(value, limit)
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, tuple):
        kept = [clip(str(item)) for item in value[:MAX_ITEMS]]
        return kept if len(value) <= MAX_ITEMS else [*kept, f"… and {len(value) - MAX_ITEMS} more"]
    return value
