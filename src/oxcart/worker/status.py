"""What does the worker know about itself right now? A snapshot for /health, /metrics and the doctor; no Redis here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oxcart.conditions import Problem, QueueFacts, problems_of
from oxcart.errors import Failure
from oxcart.names import UnhandledJobs, merged


@dataclass(frozen=True, slots=True)
class RedisStatus:
    """`connected` is about the socket; `last_fetch_age_seconds` is since the fetch loop was last answered;
    `clock_skew_seconds`: how far this machine's clock is ahead of the server's, None if that is not known.
    """

    connected: bool
    failure: Failure | None
    host: str
    port: int
    tls: bool
    last_fetch_age_seconds: float | None
    reconnect_attempts: int
    clock_skew_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """`healthy` is the answer of GET /health (200 or 503); `state` is starting, running, stopping or stopped.

    `exchanges` were answered since the start; `outbox_verdicts` wait for the server's answer now. `refused_queues`: on
    which queues the server does not work, and why; the worker is still healthy while it works on others.
    `unknown_jobs` are names that came and that nobody here handles. `queues` is what was last seen of each queue; one
    that nobody could read is left out. Reading any of it costs Redis nothing.
    """

    healthy: bool
    state: str
    queue_names: tuple[str, ...]
    concurrency: int
    jobs_processing: int
    unknown_jobs: tuple[str, ...]
    uptime_seconds: float
    loop_lag_seconds: float
    redis: RedisStatus
    exchanges: int = 0
    outbox_verdicts: int = 0
    refused_queues: Mapping[str, Failure] = field(default_factory=dict)
    queues: tuple[QueueFacts, ...] = ()

    @property
    def dead_letters(self) -> int | None:
        """As last counted; None: not known yet."""
        return sum(facts.counts["failed"] for facts in self.queues) if self.queues else None

    @property
    def unhandled(self) -> tuple[UnhandledJobs, ...]:
        """What has waited for long without a handler, the longest wait first."""
        return merged(jobs for facts in self.queues for jobs in facts.unhandled)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What keeps jobs from ending, though Redis answers."""
        return tuple(problems_of(self.queues))

    @property
    def is_whole(self) -> bool:
        """Healthy, and nothing that is to be done here stays undone."""
        return self.healthy and not self.refused_queues and not self.problems
