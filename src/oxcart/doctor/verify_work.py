"""Does the deployed worker do its work? It is well, fetches, stays connected, runs a job, and none fails or stalls."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from oxcart.checks import Finding, State, Unanswerable, failed, ok, warning
from oxcart.doctor.deployment import Deployment, is_this_machine, not_reached
from oxcart.doctor.verify_deployment import NETWORK_ERRORS, until_good, worker
from oxcart.errors import JobFailed, ResultGone, ResultTimeout

_FRESH_SECONDS = 30.0
"""An idle worker blocks for 20 s at most; with 5 s for the answer and 5 s of reserve."""

_YOUNG_SECONDS = 600.0
_LOOK_AT_QUEUE = "Look at the queue (oxcart counts) and at the worker's log."


async def health(deployment: Deployment) -> Finding:
    async def probe() -> Finding:
        found = await worker(deployment)
        return found if found.state is State.FAILED else _judge_health(deployment)

    return await until_good(deployment, probe)


def _judge_health(deployment: Deployment) -> Finding:
    redis, work = deployment.part("redis"), deployment.part("worker")
    if deployment.status == 200 and redis.get("connected") is True:
        unknown = work.get("unknownJobs")
        if isinstance(unknown, list) and unknown:
            names = ", ".join(map(str, unknown[:5]))
            hint = "Deploy a handler for them, or leave them to the worker that has one: they go back, unharmed."
            return warning("VERIFY_UNKNOWN_JOBS", f"Jobs without a handler here: {names}.", hint)
        return ok(f"200, Redis {redis.get('host')} connected, {work.get('jobsProcessing')} jobs running")
    code = redis.get("errorCode")
    summary = redis.get("error") or f"The worker is {work.get('state')}, and /health answers {deployment.status}."
    hint = redis.get("advice") or "Look at the worker's log from its start on."
    return failed(
        code if isinstance(code, str) and code else "VERIFY_UNHEALTHY",
        str(summary),
        str(hint),
        evidence=f"/health answers {deployment.status}: {summary}",
        retryable=True,
    )


async def fetching(deployment: Deployment) -> Finding:
    age = deployment.part("redis").get("lastFetchAgeSeconds")
    if not isinstance(age, int | float):
        return failed(
            "VERIFY_NOT_FETCHING",
            "The worker has not fetched from the queue yet.",
            "Wait a few seconds and verify again; if it stays so, read the worker's log.",
            retryable=True,
        )
    if age > _FRESH_SECONDS:
        return failed(
            "VERIFY_NOT_FETCHING",
            f"The worker last heard from the queue {age:.0f} s ago.",
            "A handler may block its event loop: look for worker.loop_blocked in the log, and restart the worker.",
            retryable=True,
        )
    return ok(f"the queue answered {age:.1f} s ago")


class NoCounts(Exception):  # noqa: N818 - carries what to report
    """/metrics could not be read; `finding` says why."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.summary)


async def metrics(deployment: Deployment) -> Finding:
    """Two reads, some seconds apart: a connection that comes and goes looks well at any one moment."""
    try:
        return await _compare_reads(deployment)
    except NoCounts as unread:
        return unread.finding


async def _compare_reads(deployment: Deployment) -> Finding:
    deployment.first_counts = first = await _counts(deployment)
    await asyncio.sleep(deployment.window_seconds)
    second = await _counts(deployment)
    error = second["lastError"]
    if error is not None:
        hint = "Run oxcart doctor where the worker runs: it finds the cause."
        return failed("VERIFY_LAST_ERROR", f"Redis is away: {error}", hint, retryable=True)
    if second["uptime"] < first["uptime"]:
        hint = "Give one replica's address, or verify again: the two reads came from different processes."
        return warning("VERIFY_OTHER_PROCESS", "Another process answered the second time.", hint)
    again = second["reconnectAttempts"] - first["reconnectAttempts"]
    span = f"{deployment.window_seconds:g} s"
    if again >= 2:
        summary = f"The connection to Redis was tried {again:.0f} times within {span}."
        hint = "Something cuts it again and again: look for redis.lost in the log, and run oxcart doctor there."
        return failed("VERIFY_RECONNECTS", summary, hint, retryable=True)
    if again == 1:
        hint = "Verify again; if it repeats, look for redis.lost in the log."
        return warning("VERIFY_RECONNECTS", f"The connection to Redis was made anew within {span}.", hint)
    return ok(f"no error, no reconnect within {span}; jobs completed since its start: {second['completed']:.0f}")


async def canary(deployment: Deployment) -> Finding:
    if not deployment.wants_canary:
        raise Unanswerable("left out on request (--no-canary)")
    if deployment.token is not None or is_this_machine(deployment.host):
        found = await _canary_by_http(deployment)
        if found.code != "VERIFY_TOKEN" or deployment.token is not None:
            return found
    if deployment.enqueue is not None:
        queue = str(deployment.part("worker").get("queueName", "")).partition(",")[0]
        try:
            return ok(await deployment.enqueue(queue))
        except (ResultTimeout, ResultGone, JobFailed) as error:
            return failed("VERIFY_CANARY", str(error), _LOOK_AT_QUEUE)
    raise Unanswerable("there is no HTTP token (OXCART_HTTP_TOKEN, --token-file) and no Redis in the environment")


async def _canary_by_http(deployment: Deployment) -> Finding:
    try:
        answer = await deployment.post("/canary")
    except NETWORK_ERRORS as error:
        return not_reached(error, deployment.host)
    content = answer.json()
    said = content.get("error") if isinstance(content, dict) else None
    if answer.status in {401, 403}:
        hint = "Give the value that the service has as OXCART_HTTP_TOKEN, in the same variable here or by --token-file."
        return failed("VERIFY_TOKEN", f"The worker refuses the token ({answer.status}).", hint)
    if answer.status == 200 and isinstance(content, dict) and content.get("ok") is True:
        return ok(f"job {content.get('jobId')} went through in {content.get('durationMs')} ms")
    summary = str(said or f"POST /canary answered {answer.status}.")
    return failed("VERIFY_CANARY", summary, _LOOK_AT_QUEUE, retryable=answer.status == 503)


async def counters(deployment: Deployment) -> Finding:
    """Counters begin with the process: of one that is young, all they show is since the deploy."""
    try:
        now, before = await _counts(deployment), deployment.first_counts
    except NoCounts as unread:
        return unread.finding
    is_young = now["uptime"] < _YOUNG_SECONDS or now["uptime"] < before["uptime"]
    base = {name: 0.0 if is_young else before[name] for name in ("failed", "completed", "stalled")}
    grown = {name: now[name] - base[name] for name in base}
    since = "since the worker started" if is_young else "while it was verified"
    if grown["stalled"] > 0:
        hint = (
            "A worker was killed in mid-job, perhaps by this deploy: leave it time to stop "
            "(RAILWAY_DEPLOYMENT_DRAINING_SECONDS), and look at its memory."
        )
        return failed("VERIFY_STALLED", f"{grown['stalled']:.0f} jobs stalled {since}.", hint)
    if grown["failed"] >= 5 and grown["failed"] > grown["completed"]:
        summary = f"{grown['failed']:.0f} jobs failed and {grown['completed']:.0f} completed {since}."
        hint = "See why with oxcart jobs list; roll back if it began with this deploy."
        return failed("VERIFY_FAILED_JOBS", summary, hint)
    return ok(f"{grown['failed']:.0f} failed, none stalled {since}")


async def _counts(deployment: Deployment) -> dict[str, Any]:
    """What /metrics counts. Raises NoCounts for an answer that is not the worker's."""
    try:
        answer, text = await deployment.get("/metrics"), await deployment.get("/metrics/prometheus", "text/plain")
    except NETWORK_ERRORS as error:
        raise NoCounts(not_reached(error, deployment.host)) from error
    content = answer.json()
    try:
        jobs, redis = content["jobs"], content["redis"]
        counts = {"completed": float(jobs["completed"]), "failed": float(jobs["failed"])}
        counts |= {"reconnectAttempts": float(redis["reconnectAttempts"]), "uptime": float(content["worker"]["uptime"])}
    except (TypeError, KeyError, ValueError) as error:
        hint = "Let /metrics through as /health is: a proxy or a route in front may keep it away."
        summary = f"GET /metrics answers {answer.status} with something else than the worker's."
        raise NoCounts(failed("VERIFY_METRICS", summary, hint)) from error
    return {**counts, "lastError": redis.get("lastError"), "stalled": _stalled(text.body)}


def _stalled(body: bytes) -> float:
    found = re.search(rb"^worker_jobs_stalled_total(?:\{[^}]*\})? ([0-9.e+]+)", body, re.MULTILINE)
    return float(found[1]) if found else 0.0
