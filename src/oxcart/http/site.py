"""What do the endpoints know? Everything is handed in by the composition root; nothing here talks to Redis."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from oxcart.secret import Secret
from oxcart.telemetry.metrics import Counts
from oxcart.worker.controls import Command
from oxcart.worker.status import WorkerStatus


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """A `test-job` went through the queue: from its add to its result in `duration_ms`."""

    job_id: str
    duration_ms: float


class Counted(Protocol):
    """Where the counters come from: telemetry.metrics.Metrics, or the sums over several processes."""

    def counts(self) -> Counts: ...


@dataclass(frozen=True, slots=True)
class Site:
    """What one HTTP server serves.

    `status`, `run_canary` and `steer` are called on the HTTP thread and must return at once, also while the job loop is
    blocked: a snapshot, a future that the job loop settles, and nothing. `tokens` are the accepted Bearer tokens; with
    none, operators' routes are open to this machine only. `release` is the commit that was deployed, if known.
    """

    status: Callable[[], WorkerStatus]
    metrics: Counted
    run_canary: Callable[[], Future[CanaryResult]]
    steer: Callable[[Command], None]
    version: str
    release: str | None = None
    tokens: tuple[Secret, ...] = ()
    has_board: bool = False
