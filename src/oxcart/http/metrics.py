"""What has this worker done? GET /metrics: JSON for people and scripts, Prometheus text for whoever asks for it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oxcart.conditions import QueueFacts
from oxcart.http.answers import bounded, json_answer
from oxcart.http.health import last_error, unhandled_json
from oxcart.http.site import Site
from oxcart.telemetry.log_format import iso_utc
from oxcart.telemetry.metrics import Counts, JobTally
from oxcart.worker.status import WorkerStatus


async def metrics(site: Site, request: Request) -> Response:
    accept = request.headers.get("accept", "")
    if prefers_text(accept):
        return _text(site, accept)
    return json_answer(bounded(metrics_json(site.metrics.counts(), site.status())), headers={"Vary": "Accept"})


async def metrics_text(site: Site, request: Request) -> Response:
    return _text(site, request.headers.get("accept", ""))


def metrics_json(counts: Counts, status: WorkerStatus) -> dict[str, Any]:
    jobs = counts.all_names
    return {
        "jobs": {
            "total": jobs.completed + jobs.failed + status.jobs_processing,
            "completed": jobs.completed,
            "failed": jobs.failed,
            "processing": status.jobs_processing,
            "byType": {name: _by_type(tally) for name, tally in counts.by_name.items()},
        },
        "redis": {
            "connected": status.redis.connected,
            "lastError": last_error(status.redis),
            "reconnectAttempts": status.redis.reconnect_attempts,
        },
        "worker": {
            "uptime": round(status.uptime_seconds, 3),
            "concurrency": status.concurrency,
            "queueName": ",".join(status.queue_names),
            "unhandledJobs": unhandled_json(status),
        },
        "queues": {facts.queue: _queue(facts) for facts in status.queues},
        "problems": [{"code": problem.code, "queue": problem.queue} for problem in status.problems],
        "performance": _performance(jobs),
    }


def _queue(facts: QueueFacts) -> dict[str, Any]:
    return {
        "counts": dict(facts.counts),
        "paused": facts.is_paused,
        "limit": facts.limit,
        "oldestWaitSeconds": round(facts.oldest_wait_seconds, 3),
        "schedulesLate": facts.late_schedules,
        "seen": iso_utc(facts.at_ms / 1000),
    }


def _by_type(tally: JobTally) -> dict[str, Any]:
    ended = {"completed": tally.completed, "failed": tally.failed, "retried": tally.retried}
    return {**ended, **_performance(tally)}


def _performance(tally: JobTally) -> dict[str, float]:
    """In milliseconds; 0 before the first job."""
    return {
        "avgProcessingTime": round(tally.average_ms, 3),
        "maxProcessingTime": round(tally.max_ms, 3),
        "minProcessingTime": round(tally.min_ms, 3),
    }


def _text(site: Site, accept: str) -> Response:
    """prometheus_client is imported by the first scrape: a worker that nobody scrapes need not carry it."""
    from oxcart.http.prometheus import render

    body, content_type = render(site.metrics.counts(), site.status(), accept)
    return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store", "Vary": "Accept"})


_TEXT_TYPES = frozenset({"text/plain", "application/openmetrics-text"})
_JSON_TYPES = frozenset({"application/json", "application/*", "*/*"})


def prefers_text(accept: str) -> bool:
    """Whether an Accept header ranks Prometheus's types above JSON; of two equals the first named wins.

    Prometheus lists its text types above a `*/*` of low quality; axios lists JSON, then text/plain, all equal.
    """
    best_quality, best_is_text = 0.0, False
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = _quality(parameters)
        if quality > best_quality and media_type in _TEXT_TYPES | _JSON_TYPES:
            best_quality, best_is_text = quality, media_type in _TEXT_TYPES
    return best_is_text


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
