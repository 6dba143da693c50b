"""Who puts back the jobs of workers that vanished, and finds what a lost marker hid? One look a minute, when idle.

The stalled script is BullMQ's; it runs only while `active` is not empty. The look costs four commands.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from oxcart.clock import now_ms
from oxcart.connection.link import Link, Server
from oxcart.errors import Kind, ServerRefused, Unavailable
from oxcart.protocol.scripts import ours, run_script
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import JobsStalled, WarningRaised
from oxcart.worker.board import Board
from oxcart.worker.served_queue import ServedQueue
from oxcart.worker.waiting import note_next_due

LOOK_EVERY_SECONDS = 60.0
DEAD_LETTERS_EVERY_SECONDS = 600.0
PROBE_AFTER_SECONDS = 20.0  # design 3.3: with no room nothing else talks to the server


class Caretaker:
    """Looks after the served queues; `hold_off_until` keeps it quiet for one lock duration after a reconnect."""

    def __init__(
        self, board: Board, server: Server, link: Link, *, interval_ms: int, max_stalled_count: int, emit: Emit
    ) -> None:
        self._board = board
        self._server = server
        self._link = link
        self._interval_ms = interval_ms
        self._max_stalled_count = max_stalled_count
        self._emit = emit
        self.hold_off_until = 0.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._interval_ms / 2000))
            if not self._server.connected or not self._board.claims_allowed:
                continue
            try:
                await self._probe_if_silent()
                for queue in self._board.queues:
                    await self._care_for_this_one(queue)
            except Unavailable:
                await self._server.wait_until_ready()
            except ServerRefused:
                continue  # a probe: whoever fetches meets the same, and says so

    async def _care_for_this_one(self, queue: ServedQueue) -> None:
        """What is refused for one queue harms no other. Trouble of the whole server is what the exchange reports."""
        try:
            await self._care_for(queue)
        except ServerRefused as error:
            if error.failure.kind is Kind.PERMANENT:
                self._emit(WarningRaised("STALLED_CHECK", f"Looking after queue {queue.name}: {error}"))

    async def _probe_if_silent(self) -> None:
        if time.monotonic() - self._board.last_answer_at > PROBE_AFTER_SECONDS and self._has_no_room():
            await self._link.request("PING")
            self._board.note_answer()

    def _has_no_room(self) -> bool:
        return all(self._board.free_slots(queue) <= 0 for queue in self._board.queues)

    async def _care_for(self, queue: ServedQueue) -> None:
        now = time.monotonic()
        is_quiet = now - queue.last_job_at >= LOOK_EVERY_SECONDS
        is_due = now - queue.last_looked_at >= queue.look_every_seconds
        if queue.last_looked_at == 0 or (is_quiet and is_due):
            await self._look(queue, now)
        if now - queue.dead_letters_at >= DEAD_LETTERS_EVERY_SECONDS:
            queue.dead_letters_at = now
            queue.dead_letters = await self._link.request("ZCARD", queue.keys.failed)
        is_time = now - queue.stalled_checked_at >= self._interval_ms / 1000
        if is_time and now >= self.hold_off_until and (queue.held or queue.has_active):
            queue.stalled_checked_at = now
            await self._check_stalled(queue)

    async def _look(self, queue: ServedQueue, now: float) -> None:
        queue.last_looked_at = now
        keys = queue.keys
        waiting, prioritized, first, active = await self._link.requests(
            [
                ("LLEN", keys.wait),
                ("ZCARD", keys.prioritized),
                ("ZRANGE", keys.delayed, 0, 0, "WITHSCORES"),
                ("LLEN", keys.active),
            ]
        )
        if _count(waiting) or _count(prioritized):
            self._board.wake(queue)
        if isinstance(first, list):
            note_next_due(self._board, queue, first)
        queue.has_active = _count(active) > 0

    async def _check_stalled(self, queue: ServedQueue) -> None:
        keys = queue.keys
        stalled: list[bytes] = await run_script(
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
            (self._max_stalled_count, keys.base, now_ms(), self._interval_ms),
        )
        if not queue.held:
            queue.has_active = _count(await self._link.request("LLEN", keys.active)) > 0
        if stalled:
            self._emit(JobsStalled(queue.name, tuple(job_id.decode("utf-8", "replace") for job_id in stalled)))
            self._board.wake(queue)


def _count(reply: Any) -> int:
    return reply if isinstance(reply, int) else 0
