"""What do the tests of `oxcart verify` share? A worker's answers to change, and the checks run in this process."""

from __future__ import annotations

import copy
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.http_answers import Answer, Fixed

from oxcart.doctor.deployment import Deployment, parse_base
from oxcart.doctor.report import to_json
from oxcart.doctor.run import Diagnosis, first_cause, run_checks
from oxcart.doctor.verify import checks_for

HEALTH: dict[str, Any] = {
    "status": "ok",
    "service": "worker",
    "version": "0.1.0",
    "release": "6bdcd911aa00bb11cc22dd33ee44ff5566778899",
    "redis": {
        "connected": True,
        "error": None,
        "errorCode": None,
        "advice": None,
        "host": "eu1-host.upstash.io",
        "lastFetchAgeSeconds": 1.5,
    },
    "problems": [],
    "worker": {"queueName": "agent-jobs,oxcart", "jobsProcessing": 0, "state": "running", "unknownJobs": []},
}
METRICS: dict[str, Any] = {
    "jobs": {"completed": 40, "failed": 0},
    "redis": {"connected": True, "lastError": None, "reconnectAttempts": 3},
    "worker": {"uptime": 5000.0},
}


@dataclass
class WorkerAnswers:
    """The answers of a worker that is well; tests change parts of them."""

    health: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(HEALTH))
    metrics: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(METRICS))
    status: int = 200
    stalled: int = 0
    canary: Fixed = field(default_factory=lambda: Fixed(200, {"ok": True, "jobId": "ox-7", "durationMs": 4.2}))

    def by_path(self) -> dict[str, Answer]:
        return {
            "/health": lambda: Fixed(self.status, self.health),
            "/metrics": lambda: Fixed(200, self.metrics),
            "/metrics/prometheus": lambda: Fixed(200, f"worker_jobs_stalled_total {self.stalled}.0\n"),
            "/canary": lambda: self.canary,
        }


@pytest.fixture
def answers() -> WorkerAnswers:
    return WorkerAnswers()


async def verified(url: str, *, wait: float = 0, window: float = 0.01, **options: Any) -> Diagnosis:
    deployment = Deployment(
        parse_base(url), time.monotonic() + wait, window_seconds=window, poll_seconds=0.01, **options
    )
    checks = checks_for(wait, window)
    results = await run_checks(checks, deployment, target=lambda: None)
    return Diagnosis(results, first_cause(results))


@pytest.fixture
def verify() -> Callable[..., Awaitable[Diagnosis]]:
    return verified


def told(diagnosis: Diagnosis) -> str:
    """The verdict's id, or "ok"."""
    return diagnosis.verdict.id if diagnosis.verdict else "ok"


def states(diagnosis: Diagnosis) -> dict[str, str]:
    return {check["id"]: check["state"] for check in to_json(diagnosis)["checks"]}
