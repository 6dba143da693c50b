"""Is this worker well? /health says it in full, /health/ready in a word; /health/live only if the job loop runs."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oxcart import clock
from oxcart.checks import anchor
from oxcart.clock import SKEW_TOLD_FROM_SECONDS
from oxcart.conditions import Problem
from oxcart.connection.server import skew_sentence
from oxcart.errors import Failure
from oxcart.http.answers import bounded, json_answer
from oxcart.http.site import Site
from oxcart.names import MAX_NAMES, told
from oxcart.telemetry.log_format import iso_utc
from oxcart.worker.status import RedisStatus, WorkerStatus

# The job loop renews locks until it has stood still for five minutes (docs/decisions.md, 8); then only a restart helps.
_LOOP_LOST_SECONDS = 300.0

# Connected, and yet the loop that fetches jobs hears nothing: no row of the failure table, as no command has failed.
FETCH_LATE = "FETCH_LATE"


async def health(site: Site, _: Request) -> Response:
    status = site.status()
    content = {
        "status": _word(status),
        "service": "worker",
        "version": site.version,
        "release": site.release,
        "timestamp": iso_utc(clock.wall_seconds()),
        "uptime": round(status.uptime_seconds, 3),
        "redis": {
            "connected": status.redis.connected,
            **_problem(status),
            "host": status.redis.host,
            "port": status.redis.port,
            "tls": status.redis.tls,
            "lastFetchAgeSeconds": _rounded(status.redis.last_fetch_age_seconds),
        },
        "clock": {"aheadOfRedisSeconds": _rounded(status.redis.clock_skew_seconds), "warning": _clock_warning(status)},
        "worker": {
            "queueName": ",".join(status.queue_names),
            "concurrency": status.concurrency,
            "jobsProcessing": status.jobs_processing,
            "state": status.state,
            "unknownJobs": told(status.unknown_jobs),
            "unhandledJobs": unhandled_json(status),
            "refusedQueues": [{"queue": name, **_told(failure)} for name, failure in status.refused_queues.items()],
        },
        "problems": [problem_json(problem) for problem in status.problems],
        "deadLetterQueue": {"available": status.dead_letters is not None, "count": status.dead_letters},
    }
    return json_answer(bounded(content), _code(status))


async def ready(site: Site, _: Request) -> Response:
    status = site.status()
    return json_answer({"status": _word(status)}, _code(status))


async def live(site: Site, _: Request) -> Response:
    lag = site.status().loop_lag_seconds
    if lag < _LOOP_LOST_SECONDS:
        return json_answer({"status": "ok"})
    sentence = f"The job loop has not run for {lag:.0f} s: a handler blocks it. Restart the worker."
    return json_answer({"status": "degraded", "error": sentence}, 503)


def _word(status: WorkerStatus) -> str:
    return "ok" if status.is_whole else "degraded"


def _code(status: WorkerStatus) -> int:
    return 200 if status.healthy else 503


def last_error(redis: RedisStatus) -> str | None:
    """What keeps us from Redis, None while connected."""
    if redis.connected:
        return None
    return redis.failure.summary if redis.failure is not None else "No connection has been made yet."


def _problem(status: WorkerStatus) -> dict[str, Any]:
    redis = status.redis
    if status.healthy:
        for name, failure in status.refused_queues.items():
            return {**_told(failure), "error": f'Redis refuses to work on queue "{name}": {failure.summary}'}
        return {"error": None, "errorCode": None, "advice": None}
    if redis.failure is not None:
        return _told(redis.failure)
    if redis.connected and status.state in {"running", "paused"} and redis.last_fetch_age_seconds is not None:
        return {
            "error": f"The connection is open, but no fetch was answered for {redis.last_fetch_age_seconds:.0f} s.",
            "errorCode": FETCH_LATE,
            "advice": "A handler may block the event loop: look for worker.loop_blocked in the log.",
        }
    return {"error": last_error(redis), "errorCode": None, "advice": None}


def _clock_warning(status: WorkerStatus) -> str | None:
    skew = status.redis.clock_skew_seconds
    return skew_sentence(skew) if skew is not None and abs(skew) > SKEW_TOLD_FROM_SECONDS else None


def _told(failure: Failure) -> dict[str, Any]:
    return {"error": failure.summary, "errorCode": failure.code, "advice": failure.advice}


def problem_json(problem: Problem) -> dict[str, Any]:
    """`values` are what the sentences were filled with: who reads this may say them in another language."""
    return {
        "code": problem.code,
        "queue": problem.queue,
        "summary": problem.summary(),
        "advice": problem.cure(),
        "since": iso_utc(problem.since_ms / 1000) if problem.since_ms is not None else None,
        "docs": anchor(problem.code),
        "values": dict(problem.values),
    }


def unhandled_json(status: WorkerStatus) -> list[dict[str, Any]]:
    """The names whose jobs have waited longest; with more than MAX_NAMES, one entry for all the others."""
    shown, others = status.unhandled[:MAX_NAMES], status.unhandled[MAX_NAMES:]
    found: list[dict[str, Any]] = [
        {
            "queue": jobs.queue,
            "name": jobs.name,
            "waiting": jobs.waiting,
            "since": iso_utc(jobs.since_ms / 1000),
            "reason": jobs.reason,
            "detail": jobs.detail,
        }
        for jobs in shown
    ]
    if others:
        waiting, since = sum(jobs.waiting for jobs in others), iso_utc(others[0].since_ms / 1000)
        about = {"queue": None, "name": f"and {len(others)} more", "waiting": waiting, "since": since}
        found.append({**about, "reason": None, "detail": None})
    return found


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
