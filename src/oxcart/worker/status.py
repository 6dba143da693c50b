"""What does the worker know about itself right now? A snapshot for /health, /metrics and the doctor; no Redis here."""

from __future__ import annotations

from dataclasses import dataclass

from oxcart.errors import Failure
from oxcart.queue.unhandled import UnhandledJobs


@dataclass(frozen=True, slots=True)
class RedisStatus:
    """`connected` is about the socket; `last_fetch_age_seconds` is since the fetch loop was last answered."""

    connected: bool
    failure: Failure | None
    host: str
    port: int
    tls: bool
    last_fetch_age_seconds: float | None
    reconnect_attempts: int


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """`healthy` is the answer of GET /health (200 or 503); `state` is starting, running, stopping or stopped.

    `dead_letters` comes from a cache that costs Redis nothing when read; None: not known yet. `exchanges` were
    answered since the start; `outbox_verdicts` wait for the server's answer now. `unknown_jobs` are names of which jobs
    were failed for want of a handler; `unhandled` wait, untouched, for more than a minute. Both are bounded.
    """

    healthy: bool
    state: str
    queue_names: tuple[str, ...]
    concurrency: int
    jobs_processing: int
    unknown_jobs: tuple[str, ...]
    dead_letters: int | None
    uptime_seconds: float
    loop_lag_seconds: float
    redis: RedisStatus
    exchanges: int = 0
    outbox_verdicts: int = 0
    unhandled: tuple[UnhandledJobs, ...] = ()
