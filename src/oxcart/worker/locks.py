"""Who renews the locks of running jobs? A thread with a socket of its own: a blocked event loop loses no job.

Every third of the lock's duration it renews what is held; an answer that a claim is lost stops that handler, an
unanswered renewal alone only makes `job.lock_uncertain` true. When the loop has not run for five minutes its stacks
are dumped and renewing stops: another worker shall have the jobs.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.exceptions import ResponseError

from oxcart import clock
from oxcart.connection.blocking import BlockingLink
from oxcart.connection.failures import classify, closes_connection
from oxcart.errors import Kind, ServerRefused, Unavailable
from oxcart.protocol.renew import LOST, MOST_PER_CALL, TO_BE_CANCELLED, HeldLock, renew_command
from oxcart.protocol.scripts import ours, run_blocking
from oxcart.telemetry.events import LoopBlocked
from oxcart.worker.attempt import Attempt, CancelReason
from oxcart.worker.common import Common
from oxcart.worker.served_queue import ServedQueue

LOOP_GIVEN_UP_AFTER_SECONDS = 300.0  # docs/decisions.md, 8
ANSWER_WITHIN_SECONDS = 5.0
AGAIN_SOONER = 5  # after an unanswered renewal: a lock must not end for one lost packet


class LockRenewer:
    """The renewal thread of one process. `on_lost` is called in the event loop; `answered_at` is when all was last
    renewed, on clock.monotonic()'s clock.
    """

    def __init__(self, common: Common, on_lost: Callable[[ServedQueue, Attempt], None]) -> None:
        self._link = BlockingLink(common.server.target, "locks")
        self._queues = common.dispatch.queues
        self._lock_ms = common.settings.lock_duration_ms
        self._emit = common.emit
        self._on_lost = on_lost
        self.answered_at = 0.0
        self._is_urgent = False
        self._wake = threading.Event()
        self._stopping = False
        self._asked: deque[asyncio.Future[bool]] = deque()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread_id = 0
        self.loop_ticked_at = clock.monotonic()
        self._blocked_reports = 0

    @property
    def interval_seconds(self) -> float:
        return self._lock_ms / 3000

    @property
    def loop_lag_seconds(self) -> float:
        """How long ago the event loop last ran our tick, beyond the second between two ticks."""
        return max(0.0, clock.monotonic() - self.loop_ticked_at - 1.0)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread_id = threading.get_ident()
        self._tick()
        self._thread = threading.Thread(target=self._run, name="oxcart-locks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread within a moment; it does not wait for it."""
        self._stopping = True
        self._wake.set()
        self._link.close()

    def connect_anew(self) -> None:
        """Redis was lost: this socket may hang as another one did, and would tell only at its deadline."""
        self._link.close()

    async def renew_now(self) -> bool:
        """Renew everything that is held, whatever its age; false if the server did not answer."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append(future)
        self._wake.set()
        return await future

    def _tick(self) -> None:
        self.loop_ticked_at = clock.monotonic()
        self._blocked_reports = 0
        if not self._stopping and self._loop is not None:
            self._loop.call_later(1.0, self._tick)

    # -------------------------------------------------------------------------------------------- in the thread
    def _run(self) -> None:
        interval = min(self.interval_seconds, 5.0)
        next_at = clock.monotonic() + self.interval_seconds
        while not self._stopping:
            self._wake.wait(min(interval, max(0.01, next_at - clock.monotonic())))
            self._wake.clear()
            asked = self._take_asked()
            if self._loop_is_gone():
                self._resolve(asked, answered=False)
                continue
            if not self._stopping and (asked or clock.monotonic() >= next_at):
                answered = self._renew(everything=bool(asked))
                self._resolve(asked, answered=answered)
                is_urgent = self._is_urgent and not answered
                wait_seconds = self.interval_seconds / (AGAIN_SOONER if is_urgent else 1)
                next_at = clock.monotonic() + wait_seconds
        self._resolve(self._take_asked(), answered=False)

    def _take_asked(self) -> list[asyncio.Future[bool]]:
        """One by one: the loop may be adding to them at this moment."""
        asked: list[asyncio.Future[bool]] = []
        while self._asked:
            asked.append(self._asked.popleft())
        return asked

    def _loop_is_gone(self) -> bool:
        """Report a blocked loop once it outlasts a lock, and again when its jobs are given up."""
        lag = self.loop_lag_seconds
        is_gone = lag > LOOP_GIVEN_UP_AFTER_SECONDS
        worth_reports = is_gone + (lag > self._lock_ms / 1000)
        if worth_reports > self._blocked_reports:
            self._blocked_reports = worth_reports
            self._emit(LoopBlocked(lag, self._stack_of_loop()))
        return is_gone

    def _stack_of_loop(self) -> str:
        frame = sys._current_frames().get(self._loop_thread_id)  # noqa: SLF001 - the documented way to see a stuck thread
        return "".join(traceback.format_stack(frame)) if frame is not None else ""

    def _renew(self, *, everything: bool) -> bool:
        """One pass over all queues; true if the server answered for all of them."""
        answered = True
        for queue in self._queues:
            held = [
                attempt
                for attempt in list(queue.held.values())
                if everything or clock.monotonic() - attempt.renewed_at > self.interval_seconds / 2
            ]
            for start in range(0, len(held), MOST_PER_CALL):
                chunk = held[start : start + MOST_PER_CALL]
                answered = self._renew_chunk(queue, chunk) and answered
        if answered:
            self.answered_at = clock.monotonic()
        return answered

    def _renew_chunk(self, queue: ServedQueue, held: list[Attempt]) -> bool:
        locks = [
            HeldLock(c.job_id, c.shared.token, c.shared.ats, c.shared.processed_on_ms, c.shared.atm)
            for c in (attempt.claim for attempt in held)
        ]
        asked_at = clock.monotonic()
        try:
            command = renew_command(queue.keys, locks, self._lock_ms)
            statuses = run_blocking(self._link, command, ours("renew"), deadline_seconds=ANSWER_WITHIN_SECONDS)
        except (Unavailable, ServerRefused) as error:
            self._is_urgent = error.failure.kind is not Kind.QUOTA  # each try is billed, and none will help
            for attempt in held:
                attempt.lock_uncertain = True
            return False
        for attempt, status in zip(held, statuses, strict=True):
            if isinstance(status, list):
                status, asked = status  # noqa: PLW2901
                attempt.cancel_request = asked.decode("utf-8", "replace")
            if status == LOST:
                self._in_loop(self._on_lost, queue, attempt)
            elif isinstance(status, bytes):
                attempt.lock_uncertain = True
                self._look_elsewhere_if_useless(status)
            else:
                attempt.renewed_at = asked_at
                attempt.lock_uncertain = False
            if status == TO_BE_CANCELLED:
                self._in_loop(attempt.cancel, CancelReason.REQUESTED)
        return True

    def _look_elsewhere_if_useless(self, error: bytes) -> None:
        """A primary that became a replica answers as before, and refuses each write: connect anew, to the other one."""
        if closes_connection(classify(ResponseError(error.decode("utf-8", "replace")))):
            self._link.close()

    def _resolve(self, asked: list[asyncio.Future[bool]], *, answered: bool) -> None:
        for future in asked:
            self._in_loop(_set_result, future, answered)

    def _in_loop(self, callback: Callable[..., Any], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback, *arguments)


def _set_result(future: asyncio.Future[bool], answered: bool) -> None:
    if not future.done():
        future.set_result(answered)
