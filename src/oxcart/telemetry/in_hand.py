"""Which job is being run here? In the context of its handler, task or thread, for the lines that the handler logs."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol


class InHand(Protocol):
    """What is told of it: job.Job."""

    id: str
    name: str
    queue_name: str
    attempts_made: int


job_in_hand: ContextVar[InHand | None] = ContextVar("job_in_hand", default=None)


def fields_of_job() -> dict[str, Any]:
    """`jobId`, `jobName`, `queue` and `attempt` where a handler runs; else nothing."""
    job = job_in_hand.get()
    if job is None:
        return {}
    return {"jobId": job.id, "jobName": job.name, "queue": job.queue_name, "attempt": job.attempts_made + 1}
