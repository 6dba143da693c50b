"""Does the deployed worker do its work? It is well, fetches, stays connected, runs a job, and none fails or stalls."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from oxcart.checks import Finding, State, Unanswerable, failed, may_pass, ok, warning
from oxcart.conditions import problem_from
from oxcart.connection.failures import BY_CODE, failure_for
from oxcart.connection.target import RedisTarget
from oxcart.doctor.deployment import Deployment, is_this_machine, not_reached
from oxcart.doctor.verify_deployment import NETWORK_ERRORS, until_good, worker
from oxcart.errors import JobFailed, ResultGone, ResultTimeout
from oxcart.language import ENGLISH, spoken, tr

_FRESH_SECONDS = 30.0
"""An idle worker blocks for 20 s at most; with 5 s for the answer and 5 s of reserve."""

_YOUNG_SECONDS = 600.0
LOOK_AT_QUEUE = "Look at the queue (oxcart status) and at the worker's log."


async def health(deployment: Deployment) -> Finding:
    async def probe() -> Finding:
        found = await worker(deployment)
        return found if found.state is State.FAILED else _judge_health(deployment)

    return await until_good(deployment, probe)


def _judge_health(deployment: Deployment) -> Finding:
    redis, work = deployment.part("redis"), deployment.part("worker")
    if deployment.status == 200 and redis.get("connected") is True and not redis.get("errorCode"):
        return ok(
            tr(
                "200, Redis {host} connected, {jobs} jobs running",
                host=redis.get("host"),
                jobs=work.get("jobsProcessing"),
            )
        )
    code = redis.get("errorCode")
    summary, hint = _told_by_worker(redis)
    summary = summary or tr(
        "The worker is {state}, and /health answers {status}.", state=work.get("state"), status=deployment.status
    )
    hint = hint or tr("Look at the worker's log from its start on.")
    return failed(
        code if isinstance(code, str) and code else "VERIFY_UNHEALTHY",
        summary,
        hint,
        evidence=tr("/health answers {status}: {summary}", status=deployment.status, summary=summary),
        retryable=may_pass(BY_CODE[code].kind) if code in BY_CODE else True,
    )


async def problems(deployment: Deployment) -> Finding:
    """The list that the worker's own /health shows, said in the language that is spoken here."""
    shown = deployment.health.get("problems")
    if not isinstance(shown, list):
        raise Unanswerable(tr("this version of the worker does not tell"))
    found = [problem for content in shown if (problem := problem_from(content)) is not None]
    if found:
        return warning(found[0].code, " ".join(problem.summary() for problem in found), found[0].cure())
    if shown:
        content = shown[0] if isinstance(shown[0], dict) else {}
        code, words = str(content.get("code") or "VERIFY_UNHEALTHY"), str(content.get("summary") or "")
        return warning(code, tr('The worker says: "{words}"', words=words), str(content.get("advice") or ""))
    unknown = deployment.part("worker").get("unknownJobs")
    if isinstance(unknown, list) and unknown:
        names = ", ".join(map(str, unknown[:5]))
        hint = tr("Deploy a handler for them, or leave them to the worker that has one: they stay as they are.")
        return warning("VERIFY_UNKNOWN_JOBS", tr("Jobs without a handler here: {names}.", names=names), hint)
    return ok(tr("none"))


def _told_by_worker(redis: Mapping[str, Any]) -> tuple[str, str]:
    """What /health says of Redis, and its advice. The worker speaks English; its code names the same row here."""
    code, host, port = redis.get("errorCode"), redis.get("host"), redis.get("port")
    if spoken() != ENGLISH and code in BY_CODE and isinstance(host, str) and isinstance(port, int):
        failure = failure_for(str(code), RedisTarget(host, port, tls=redis.get("tls") is True))
        return failure.summary, failure.advice
    words, advice = str(redis.get("error") or ""), str(redis.get("advice") or "")
    if spoken() == ENGLISH or not words:
        return words, advice
    return tr('The worker says: "{words}"', words=words), ""


async def fetching(deployment: Deployment) -> Finding:
    age = deployment.part("redis").get("lastFetchAgeSeconds")
    if not isinstance(age, int | float):
        return failed(
            "VERIFY_NOT_FETCHING",
            tr("The worker has not fetched from the queue yet."),
            tr("Wait a few seconds and verify again; if it stays so, read the worker's log."),
            retryable=True,
        )
    if age > _FRESH_SECONDS:
        return failed(
            "VERIFY_NOT_FETCHING",
            tr("The worker last heard from the queue {age:.0f} s ago.", age=age),
            tr("A handler may block its event loop: look for worker.loop_blocked in the log, and restart the worker."),
            retryable=True,
        )
    return ok(tr("the queue answered {age:.1f} s ago", age=age))


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
        hint = tr("Run oxcart doctor where the worker runs: it finds the cause.")
        return failed("VERIFY_LAST_ERROR", tr("Redis is away: {error}", error=error), hint, retryable=True)
    if second["uptime"] < first["uptime"]:
        hint = tr("Give one replica's address, or verify again: the two reads came from different processes.")
        return warning("VERIFY_OTHER_PROCESS", tr("Another process answered the second time."), hint)
    again = second["reconnectAttempts"] - first["reconnectAttempts"]
    span = tr("{seconds:g} s", seconds=deployment.window_seconds)
    if again >= 2:
        summary = tr("The connection to Redis was tried {again:.0f} times within {span}.", again=again, span=span)
        hint = tr("Something cuts it again and again: look for redis.lost in the log, and run oxcart doctor there.")
        return failed("VERIFY_RECONNECTS", summary, hint, retryable=True)
    if again == 1:
        hint = tr("Verify again; if it repeats, look for redis.lost in the log.")
        return warning("VERIFY_RECONNECTS", tr("The connection to Redis was made anew within {span}.", span=span), hint)
    return ok(
        tr(
            "no error, no reconnect within {span}; jobs completed since its start: {completed:.0f}",
            span=span,
            completed=second["completed"],
        )
    )


async def canary(deployment: Deployment) -> Finding:
    if not deployment.wants_canary:
        raise Unanswerable(tr("left out on request (--no-canary)"))
    if deployment.token is not None or is_this_machine(deployment.host):
        found = await _canary_by_http(deployment)
        if found.code != "VERIFY_TOKEN" or deployment.token is not None:
            return found
    if deployment.enqueue is not None:
        queue = str(deployment.part("worker").get("queueName", "")).partition(",")[0]
        try:
            return ok(await deployment.enqueue(queue))
        except JobFailed as error:
            summary = tr("Job {job} failed: {reason}", job=error.job_id, reason=error.failed_reason)
            return failed("VERIFY_CANARY", summary, tr(LOOK_AT_QUEUE))
        except (ResultTimeout, ResultGone) as error:
            return failed("VERIFY_CANARY", str(error), tr(LOOK_AT_QUEUE))
    raise Unanswerable(tr("there is no HTTP token (OXCART_HTTP_TOKEN, --token-file) and no Redis in the environment"))


async def _canary_by_http(deployment: Deployment) -> Finding:
    try:
        answer = await deployment.post("/canary")
    except NETWORK_ERRORS as error:
        return not_reached(error, deployment.host)
    content = answer.json()
    said = content.get("error") if isinstance(content, dict) else None
    if answer.status in {401, 403}:
        hint = tr(
            "Give the value that the service has as OXCART_HTTP_TOKEN, in the same variable here or by --token-file."
        )
        return failed("VERIFY_TOKEN", tr("The worker refuses the token ({status}).", status=answer.status), hint)
    if answer.status == 200 and isinstance(content, dict) and content.get("ok") is True:
        return ok(
            tr(
                "job {job} went through in {milliseconds} ms",
                job=content.get("jobId"),
                milliseconds=content.get("durationMs"),
            )
        )
    summary = tr("POST /canary answered {status}.", status=answer.status)
    if said:
        summary = tr('{summary} It says: "{words}"', summary=summary, words=said)
    return failed("VERIFY_CANARY", summary, tr(LOOK_AT_QUEUE), retryable=answer.status == 503)


async def counters(deployment: Deployment) -> Finding:
    """Counters begin with the process: of one that is young, all they show is since the deploy."""
    try:
        now, before = await _counts(deployment), deployment.first_counts
    except NoCounts as unread:
        return unread.finding
    is_young = now["uptime"] < _YOUNG_SECONDS or now["uptime"] < before["uptime"]
    base = {name: 0.0 if is_young else before[name] for name in ("failed", "completed", "stalled")}
    grown = {name: now[name] - base[name] for name in base}
    since = tr("since the worker started") if is_young else tr("while it was verified")
    if grown["stalled"] > 0:
        hint = tr(
            "A worker was killed in mid-job, perhaps by this deploy: leave it time to stop "
            "(RAILWAY_DEPLOYMENT_DRAINING_SECONDS), and look at its memory."
        )
        return failed(
            "VERIFY_STALLED", tr("{stalled:.0f} jobs stalled {since}.", stalled=grown["stalled"], since=since), hint
        )
    if grown["failed"] >= 5 and grown["failed"] > grown["completed"]:
        summary = tr(
            "{failed:.0f} jobs failed and {completed:.0f} completed {since}.",
            failed=grown["failed"],
            completed=grown["completed"],
            since=since,
        )
        hint = tr("See why: oxcart jobs reasons --since 1h. Roll back if it began with this deploy.")
        return failed("VERIFY_FAILED_JOBS", summary, hint)
    return ok(tr("{failed:.0f} failed, none stalled {since}", failed=grown["failed"], since=since))


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
        hint = tr("Let /metrics through as /health is: a proxy or a route in front may keep it away.")
        summary = tr("GET /metrics answers {status} with something else than the worker's.", status=answer.status)
        raise NoCounts(failed("VERIFY_METRICS", summary, hint)) from error
    return {**counts, "lastError": redis.get("lastError"), "stalled": _stalled(text.body)}


def _stalled(body: bytes) -> float:
    found = re.search(rb"^worker_jobs_stalled_total(?:\{[^}]*\})? ([0-9.e+]+)", body, re.MULTILINE)
    return float(found[1]) if found else 0.0
