"""Who puts back the jobs of workers that died, finds what a lost marker hid, counts what is left to others? By time.

The stalled script is BullMQ's, and needs two runs: one marks what is in `active`, the next one puts back what is marked
and has no lock. It runs as long as `active` holds jobs that are not ours: each exchange's answer says so, and an idle
worker looks once an interval.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from oxcart.errors import Kind, ServerRefused, Unavailable
from oxcart.names import ForeignJobs
from oxcart.protocol.exchange import START, Cursor
from oxcart.protocol.scripts import ours, run_script
from oxcart.queue.mend_schedules import mend
from oxcart.queue.unhandled import publish
from oxcart.telemetry.events import JobsStalled, WarningRaised
from oxcart.worker.common import Common
from oxcart.worker.error_text import plain_text
from oxcart.worker.served_queue import ServedQueue
from oxcart.worker.waiting import look

LOOK_EVERY_SECONDS = 60.0
LOOK_AT_OUR_QUEUE_EVERY_SECONDS = 600.0  # only our own schedules use it: nobody's marker can be lost but ours
SCHEDULES_EVERY_SECONDS = 600.0
COUNT_EVERY_SECONDS = 60.0  # of what is left to others, while that changes
COUNTED_AT_ONCE = 300  # jobs of each list: some providers bill what a script does
SCHEDULES_LOOKED_AT = 50  # of each queue: those that run last, and those that should have run
OVERDUE_MS = 10_000
PROBE_EVERY_SECONDS = 20.0  # with no room nothing else talks to the server, and /health wants to know

_EARLY = 0.9
"""Two checks lie within two intervals of a death only if each is a little early."""


@dataclass(slots=True)
class _Done:
    """When each chore of one queue was last done (0: never), and when the next stalled check may be made."""

    look: float = 0.0
    active: float = 0.0
    furthest: float = 0.0
    count: float = 0.0
    counted: Cursor = START
    next_check: float = 0.0
    schedules: dict[bytes, bytes] = field(default_factory=dict)


class Caretaker:
    """Looks after the served queues; `hold_off_until` keeps the stalled check quiet for one lock duration after a
    reconnect, so that other workers can renew theirs. `probed_at`: when the server last answered a probe.
    """

    def __init__(self, common: Common) -> None:
        settings = common.settings
        self._common = common
        self._dispatch = common.dispatch
        self._server = common.server
        self._link = common.link
        self._left = common.left
        self._emit = common.emit
        self._interval_ms = round(settings.stalled_interval_ms * _EARLY)
        self._look_at_active_every = settings.stalled_interval_ms / 1000
        self._done = {queue: _Done() for queue in common.dispatch.queues}
        self._names = common.left.names_to_claim
        self.hold_off_until = 0.0
        self.probed_at = 0.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(0.5, self._interval_ms / 5000))
            if not self._server.connected:
                continue
            self._server.watch_clock()
            self._watch_names()
            try:
                await self._probe_if_silent()
                for queue in self._dispatch.queues:
                    if not queue.recovering:
                        await self._care_for_this_one(queue)
            except Unavailable:
                await self._server.wait_until_ready()
            except ServerRefused:
                continue  # a probe: whoever fetches meets the same, and says so

    def _watch_names(self) -> None:
        """What a handler lacked may have come: its jobs wait, and nobody sets a marker for them again."""
        names = self._left.names_to_claim
        if names != self._names:
            self._names = names
            for queue in self._dispatch.queues:
                self._dispatch.hint(queue)

    async def _care_for_this_one(self, queue: ServedQueue) -> None:
        """What is refused for one queue harms no other. Trouble of the whole server is what the exchange reports."""
        try:
            await self._care_for(queue)
        except ServerRefused as error:
            if error.failure.kind is Kind.PERMANENT:
                self._emit(WarningRaised("STALLED_CHECK", f"Looking after queue {queue.name}: {error}"))

    async def _probe_if_silent(self) -> None:
        """While nobody asks for jobs, as every slot is taken."""
        now, dispatch = asyncio.get_running_loop().time(), self._dispatch
        if any(queue.fetching.due_by is not None for queue in dispatch.queues):
            return
        if now - max(dispatch.last_answer_at, self.probed_at) >= PROBE_EVERY_SECONDS:
            await self._link.request("PING")
            self.probed_at = asyncio.get_running_loop().time()

    async def _care_for(self, queue: ServedQueue) -> None:
        now, done = asyncio.get_running_loop().time(), self._done[queue]
        is_quiet = now - queue.last_job_at >= LOOK_EVERY_SECONDS
        look_every = LOOK_AT_OUR_QUEUE_EVERY_SECONDS if queue.is_ours else LOOK_EVERY_SECONDS
        if not done.look or (is_quiet and now - done.look >= look_every):
            done.look = done.active = now
            await self._look(queue)
        elif is_quiet and not queue.is_ours and now - done.active >= self._look_at_active_every:
            done.active = now
            queue.active_elsewhere = await self._link.request("LLEN", queue.keys.active) > len(queue.held)
        if not done.furthest or now - done.furthest >= SCHEDULES_EVERY_SECONDS:
            done.furthest = now
            overdue = f"({self._server.clock.now_ms() - OVERDUE_MS}"
            some = ("LIMIT", 0, SCHEDULES_LOOKED_AT)
            time_there, furthest, late = await self._link.requests(
                [
                    ("TIME",),
                    ("ZREVRANGE", queue.keys.repeat, 0, SCHEDULES_LOOKED_AT - 1, "WITHSCORES"),
                    ("ZRANGEBYSCORE", queue.keys.repeat, "-inf", overdue, "WITHSCORES", *some),
                ]
            )
            self._server.learn_time(time_there, asyncio.get_running_loop().time() - now)
            await self._mend_schedules(queue, furthest, late)
        if queue.has_foreign and now - done.count >= COUNT_EVERY_SECONDS:
            done.count = now
            await self._count_foreign(queue)
        if queue.active_elsewhere and now >= max(done.next_check, self.hold_off_until):
            done.next_check = now + await self._check_stalled(queue)

    async def _count_foreign(self, queue: ServedQueue) -> None:
        """For /health, and for commands that load no app. The same cursor: the same jobs wait."""
        keys, done = queue.keys, self._done[queue]
        if queue.cursor != done.counted:
            done.counted = queue.cursor
            args = (keys.base, COUNTED_AT_ONCE)
            found = await run_script(self._link, ours("count_names"), (keys.wait, keys.prioritized), args)
            claimed = self._left.names_to_claim
            waiting = [ForeignJobs(name.decode("utf-8", "replace"), number, since) for name, number, since in found]
            self._left.seen(queue.name, [jobs for jobs in waiting if claimed is None or not claimed.claims(jobs.name)])
        await publish(self._link, keys, self._left.unhandled, by=self._common.worker_name)

    async def _look(self, queue: ServedQueue) -> None:
        """A lost marker is set again: whoever waits for it, we or others, claims."""
        if await look(self._link, self._dispatch, queue):
            await self._link.request("ZADD", queue.keys.marker, 0, "0")
        if queue.has_foreign:
            self._dispatch.hint(queue)  # we do not watch the marker

    async def _mend_schedules(self, queue: ServedQueue, *looked_at: Any) -> None:
        """A clock that was wrong, ours or another worker's, may have sent a schedule far away; the next job of another
        may be gone, and no other would come. Each is judged once.
        """
        seen = self._done[queue].schedules
        found: dict[bytes, bytes] = {}
        for named in looked_at:
            found |= dict(zip(named[::2], named[1::2], strict=True)) if isinstance(named, list) else {}
        for schedule_id in [name for name, due in found.items() if seen.get(name) != due]:
            name = schedule_id.decode("utf-8", "replace")
            mended = await mend(self._link, queue.keys, name, self._server.clock.now_ms())
            if mended is not None:
                code = "SCHEDULE_MENDED" if mended.is_mended else "SCHEDULE_STOPPED"
                shown = plain_text(name, 80)
                self._emit(WarningRaised(code, f"Queue {queue.name}, schedule {shown}: {mended.what}"))
        self._done[queue].schedules = found

    async def _check_stalled(self, queue: ServedQueue) -> float:
        """Returns in how many seconds the next check may be made."""
        keys = queue.keys
        stalled, again_in_ms, active = await run_script(
            self._link,
            ours("check_stalled"),
            (
                keys.stalled,
                keys.wait,
                keys.active,
                keys.stalled_check,
                keys.meta,
                keys.paused,
                keys.marker,
                keys.events,
                keys.repeat,
            ),
            (self._common.settings.max_stalled_count, keys.base, self._server.clock.now_ms(), self._interval_ms),
        )
        queue.active_elsewhere = active > len(queue.held)
        if stalled:
            job_ids = tuple(job_id.decode("utf-8", "replace") for job_id in stalled)
            self._emit(JobsStalled(queue.name, job_ids))
            for job_id in job_ids:
                self._common.listeners.tell("stalled", job_id, queue.name)
        return max(0, int(again_in_ms)) / 1000 + 0.005
