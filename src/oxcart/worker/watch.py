"""What does a worker know of its queues, for /health, /metrics and alerts? Read by time, and seldom where nothing is.

What an idle worker costs is promised (docs/performance.md), so an empty queue is looked at every ten minutes; one in
which jobs wait, or that has a problem, every minute. Dead letters are counted as they are written.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace

from oxcart.clock import now_ms
from oxcart.conditions import QueueFacts, problems_of
from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.errors import ServerRefused, Unavailable
from oxcart.queue.facts import read_facts
from oxcart.queue.overview import Deploy, remember_deploy
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import Event, JobsFinished
from oxcart.worker.dispatch import Dispatch
from oxcart.worker.left import LeftJobs
from oxcart.worker.phases import Idle
from oxcart.worker.served_queue import ServedQueue

TICK_SECONDS = 0.5
LOOK_EVERY_SECONDS = 60.0
LOOK_AT_EMPTY_EVERY_SECONDS = 600.0
COUNT_EVERY_SECONDS = 5.0  # after failures: others keep, remove and retry them too
MANY_JOBS = 20  # that ended since: a look a minute is little beside them


@dataclass(slots=True)
class _Seen:
    """`deep_at`: when schedules and jobs that come back were last looked at, too. Times are the loop's."""

    facts: QueueFacts
    at: float
    deep_at: float
    paused_since_ms: int | None = None


class QueueWatch:
    """Belongs to the job loop; `facts` may be read from any thread."""

    def __init__(
        self, dispatch: Dispatch, server: Server, link: Link, left: LeftJobs, *, version: str, release: str | None
    ) -> None:
        self._deploy = Deploy(version, release, now_ms())
        self._dispatch = dispatch
        self._server = server
        self._link = link
        self._left = left
        self._seen: dict[str, _Seen] = {}
        self._ended: Counter[str] = Counter()
        self._failed: dict[str, float] = {}

    @property
    def facts(self) -> tuple[QueueFacts, ...]:
        """Of each queue that could be read."""
        unhandled = self._left.unhandled
        return tuple(
            replace(
                seen.facts,
                unhandled=tuple(jobs for jobs in unhandled if jobs.queue == name),
                paused_since_ms=seen.paused_since_ms,
                paused_workers=int(self._dispatch.is_paused),
            )
            for name, seen in [*self._seen.items()]
        )

    def hearing(self, emit: Emit) -> Emit:
        """`emit`, and we hear of the jobs that end."""

        def heard(event: Event) -> None:
            if type(event) is JobsFinished:
                self._finished(event)
            emit(event)

        return heard

    def _finished(self, event: JobsFinished) -> None:
        self._ended[event.queue] += len(event.jobs)
        failed = sum(job[2] == "failed" for job in event.jobs)
        seen = self._seen.get(event.queue)
        if failed and seen is not None:
            counts = {**seen.facts.counts, "failed": seen.facts.counts["failed"] + failed}
            seen.facts = replace(seen.facts, counts=counts)
            self._failed.setdefault(event.queue, asyncio.get_running_loop().time())

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if not self._server.connected:
                continue
            try:
                for queue in self._dispatch.queues:
                    if not queue.recovering:
                        await self._look_at(queue)
            except Unavailable:
                await self._server.wait_until_ready()

    async def _look_at(self, queue: ServedQueue) -> None:
        """One that is refused is told as that; what was seen of it before is not true any more."""
        try:
            if self._is_due(queue):
                await self._read(queue)
            elif queue.name in self._failed:
                await self._count_failed(queue)
        except ServerRefused:
            self._seen.pop(queue.name, None)

    def _is_due(self, queue: ServedQueue) -> bool:
        seen = self._seen.get(queue.name)
        if seen is None:
            return True
        age = asyncio.get_running_loop().time() - seen.at
        if age < LOOK_EVERY_SECONDS:
            return False
        may_wait = queue.seen_waiting or queue.has_foreign or not isinstance(queue.phase, Idle)
        is_noted = seen.facts.waiting > 0 or any(problems_of((seen.facts,)))
        return may_wait or is_noted or self._ended[queue.name] >= MANY_JOBS or age >= LOOK_AT_EMPTY_EVERY_SECONDS

    async def _read(self, queue: ServedQueue) -> None:
        now, seen = asyncio.get_running_loop().time(), self._seen.get(queue.name)
        slow_problem = seen is not None and (seen.facts.stopped_schedules or seen.facts.returning)
        deep = seen is None or slow_problem or now - seen.deep_at >= LOOK_AT_EMPTY_EVERY_SECONDS
        before = None if deep or seen is None else seen.facts
        self._ended[queue.name] = 0
        self._failed.pop(queue.name, None)
        if seen is None and not queue.is_ours:
            await remember_deploy(self._link, queue.keys, self._deploy)
        facts = await read_facts(self._link, queue.keys, self._server.clock.now_ms(), before=before)
        since = seen.paused_since_ms if seen is not None else None
        self._seen[queue.name] = _Seen(
            facts,
            now,
            now if deep or seen is None else seen.deep_at,
            (since or facts.at_ms) if facts.is_paused else None,
        )

    async def _count_failed(self, queue: ServedQueue) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._failed[queue.name] < COUNT_EVERY_SECONDS:
            return
        del self._failed[queue.name]
        number = await self._link.request("ZCARD", queue.keys.failed)
        seen = self._seen.get(queue.name)
        if seen is not None:
            seen.facts = replace(seen.facts, counts={**seen.facts.counts, "failed": number})
