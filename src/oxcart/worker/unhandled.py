"""What waits in our queues without a handler here? Judged, told once a name, and written down for who loads no app.

Whoever claims hands in the names that it saw and left; nothing is asked of the server for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from oxcart.connection.link import Link
from oxcart.handlers import Handlers
from oxcart.names import NO_HANDLER, why_left
from oxcart.protocol.keys import QueueKeys
from oxcart.queue.schedules import OWN_QUEUE
from oxcart.queue.unhandled import UnhandledJobs, bounded, publish
from oxcart.settings import WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import JobNameUnknown, WarningRaised

PATIENCE_MS = 60_000
"""A worker beside us takes its jobs in milliseconds; in a backlog it may need longer."""

PUBLISH_EVERY_MS = 60_000  # 3 commands a minute, and only while something waits
MOST_TOLD = 100


class ForeignJobs(NamedTuple):
    """Jobs of a name that this worker does not claim, as the last look saw them.

    `oldest_ms` is when the oldest of them could have been claimed: its timestamp and its delay, 0 if not known.
    `first_seen_ms` is since when they were there at each look. Times are epoch milliseconds.
    """

    name: str
    waiting: int
    oldest_ms: int
    first_seen_ms: int


class Unhandled:
    """Belongs to the job loop; `shown` and `failed_names` may be read from any thread."""

    def __init__(self, handlers: Handlers, settings: WorkerSettings, emit: Emit, *, worker_name: str) -> None:
        self.shown: tuple[UnhandledJobs, ...] = ()
        self.failed_names: tuple[str, ...] = ()
        self._handlers = handlers
        self._settings = settings
        self._emit = emit
        self._worker_name = worker_name
        self._by_queue: dict[str, list[UnhandledJobs]] = {}
        self._told: set[tuple[str, str]] = set()
        self._published: dict[str, frozenset[str]] = {}
        self._publish_at_ms: dict[str, int] = {}

    def note(self, queue: str, foreign: Iterable[ForeignJobs], now_ms: int) -> None:
        """All that one look at a queue has seen: what is missing in it waits no more."""
        self._by_queue[queue] = found = list(self._judged(queue, foreign, now_ms))
        self.shown = bounded(jobs for jobs_of_queue in self._by_queue.values() for jobs in jobs_of_queue)
        for jobs in found:
            self._tell(jobs.queue, jobs.name, "wait", jobs.reason)

    def note_failed(self, queue: str, name: str) -> None:
        """A job of a name that nobody here handles was failed, as OXCART_UNKNOWN_JOBS wants it."""
        if self._tell(queue, name, "fail", NO_HANDLER):
            self.failed_names = (*self.failed_names, name)[:MOST_TOLD]

    async def publish(self, link: Link, keys: QueueKeys, now_ms: int) -> None:
        """To be called every few seconds; writes once a minute while something waits. Raises Unavailable."""
        jobs, before = self._by_queue.get(keys.name, []), self._published.get(keys.name, frozenset())
        is_due = now_ms >= self._publish_at_ms.get(keys.name, 0) if jobs else bool(before)
        if not is_due:
            return
        self._publish_at_ms[keys.name] = now_ms + PUBLISH_EVERY_MS
        self._published[keys.name] = await publish(link, keys, jobs, by=self._worker_name, now_ms=now_ms, before=before)

    def _judged(self, queue: str, foreign: Iterable[ForeignJobs], now_ms: int) -> Iterable[UnhandledJobs]:
        """A producer's clock may be ahead of ours: then only what we saw ourselves counts."""
        for seen in foreign:
            oldest_ms = seen.oldest_ms if 0 < seen.oldest_ms <= now_ms else seen.first_seen_ms
            if now_ms - max(oldest_ms, seen.first_seen_ms) <= PATIENCE_MS:
                continue
            reason = why_left(seen.name, self._handlers, self._settings, is_own_queue=queue == OWN_QUEUE)
            if reason is not None:
                yield UnhandledJobs(queue, seen.name, seen.waiting, oldest_ms, reason)

    def _tell(self, queue: str, name: str, action: str, reason: str) -> bool:
        """Once a name; false if it was told before, or so many were told that /health must do for the rest."""
        if (queue, name) in self._told or len(self._told) >= MOST_TOLD:
            return False
        self._told.add((queue, name))
        self._emit(JobNameUnknown(queue, name, action, reason, self._handlers.names))
        if len(self._told) == MOST_TOLD:
            sentence = f"{MOST_TOLD} names of jobs were told that nobody here takes; more are shown by /health alone."
            self._emit(WarningRaised("JOB_NAMES", sentence))
        return True
