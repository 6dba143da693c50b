"""Does a deploy hold? Checks from outside, in order: the right thing answers, and it does its work."""

from __future__ import annotations

from dataclasses import replace

from oxcart.checks import UNREACHABLE, Check
from oxcart.doctor.deployment import ANSWER_SECONDS, CANARY_SECONDS, Deployment
from oxcart.doctor.verify_deployment import reach, release, tls, worker
from oxcart.doctor.verify_work import canary, counters, fetching, health, metrics, problems

_DEPLOY = "deployment"
_WORK = "work"


def checks_for(wait_seconds: float, window_seconds: float) -> list[Check[Deployment]]:
    """All checks in order, with deadlines that leave room for the waiting."""
    return [replace(check, deadline_seconds=check.deadline_seconds + wait_seconds + window_seconds) for check in CHECKS]


CHECKS: tuple[Check[Deployment], ...] = (
    Check(
        "verify-reach",
        _DEPLOY,
        "the address is reached",
        reach,
        "Nobody can tell from outside whether jobs run, and webhooks do not arrive.",
        deadline_seconds=ANSWER_SECONDS + 5,
        exit_code=UNREACHABLE,
    ),
    Check(
        "verify-tls",
        _DEPLOY,
        "TLS is trusted",
        tls,
        "Tokens and webhooks travel on this connection.",
        ("verify-reach",),
        deadline_seconds=ANSWER_SECONDS + 5,
    ),
    Check(
        "verify-worker",
        _DEPLOY,
        "an Oxcart worker answers",
        worker,
        "Another service at this address means that the worker is not deployed, or not there.",
        ("verify-tls",),
        deadline_seconds=ANSWER_SECONDS + 5,
    ),
    Check(
        "verify-release",
        _DEPLOY,
        "the expected release runs",
        release,
        "The old release goes on answering while a new one fails to start.",
        ("verify-worker",),
        deadline_seconds=ANSWER_SECONDS + 5,
    ),
    Check(
        "verify-health",
        _WORK,
        "the worker is well",
        health,
        "Without Redis no job is fetched; they wait in the queue.",
        ("verify-worker", "verify-release"),
        deadline_seconds=ANSWER_SECONDS + 5,
    ),
    Check(
        "verify-problems",
        _WORK,
        "nothing keeps jobs from ending",
        problems,
        "A worker that is connected and well runs no job that waits for a handler, a setting or a person.",
        ("verify-health",),
    ),
    Check(
        "verify-fetch",
        _WORK,
        "the fetch loop is fresh",
        fetching,
        "An open connection beside a dead loop fetches nothing.",
        ("verify-health",),
    ),
    Check(
        "verify-metrics",
        _WORK,
        "the connection stays",
        metrics,
        "Each reconnect delays jobs, and a storm of them uses up the quota.",
        ("verify-health",),
        deadline_seconds=4 * ANSWER_SECONDS,
    ),
    Check(
        "verify-canary",
        _WORK,
        "a job goes through",
        canary,
        "It is what the worker is for: added, claimed, run, finished.",
        ("verify-health",),
        deadline_seconds=CANARY_SECONDS + 10,
    ),
    Check(
        "verify-counters",
        _WORK,
        "jobs do not fail or stall",
        counters,
        "A release that breaks a handler shows here before anyone complains.",
        ("verify-metrics",),
        deadline_seconds=2 * ANSWER_SECONDS,
    ),
)
