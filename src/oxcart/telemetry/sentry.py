"""How do failures reach Sentry? With SENTRY_DSN set and the extra installed: dead letters and what stops the worker.

Sends the job's name, id, queue and reason; never its data. The SDK sends from a thread of its own.
"""

from __future__ import annotations

from typing import Any

from oxcart.secret import Secret
from oxcart.telemetry.bus import Subscriber
from oxcart.telemetry.events import Event, HandlerDeaf, JobsFinished, LoopBlocked

MISSING = (
    "SENTRY_DSN is set, but the Sentry SDK is not installed: failures are in the log only. "
    'Install it with: pip install "oxcart[sentry]"'
)


def sentry_subscriber(dsn: Secret, *, release: str | None, version: str) -> Subscriber | None:
    """None if the SDK is not installed. Raises nothing for a DSN that Sentry refuses: the SDK logs it."""
    try:
        import sentry_sdk
    except ImportError:
        return None
    sentry_sdk.init(
        dsn=dsn.reveal(),
        release=release or f"oxcart@{version}",
        include_local_variables=False,  # a handler's variables hold job data
        default_integrations=False,  # nothing is patched, no signal handler is set
    )

    def send(message: str, **tags: str) -> None:
        with sentry_sdk.new_scope() as scope:
            for name, value in tags.items():
                scope.set_tag(name, value)
            scope.fingerprint = [tags["event"], tags.get("jobName", "")]
            sentry_sdk.capture_message(message, level="error", scope=scope)

    return lambda event: _forward(event, send)


_BLOCKED_SECONDS = 10.0  # a second is a line of the log, and no incident


def _forward(event: Event, send: Any) -> None:
    match event:
        case JobsFinished(queue, jobs):
            for job in jobs:
                if job.verdict == "failed":
                    message = f"Job {job.name} failed: {job.reason}"
                    send(message, event="job.failed", queue=queue, jobName=job.name, jobId=job.job_id)
        case HandlerDeaf(queue, job_id, name):
            message = f"The handler of {name} went on after it was told to stop"
            send(message, event="job.handler_deaf", queue=queue, jobName=name, jobId=job_id)
        case LoopBlocked(seconds, _) if seconds >= _BLOCKED_SECONDS:
            send(f"The event loop has not run for {seconds:.0f} s", event="worker.loop_blocked")
        case _:
            return
