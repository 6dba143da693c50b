"""What becomes of a claimed job? An attempt takes a slot, runs, and its verdict goes to the outbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from oxcart.clock import now_ms
from oxcart.connection.link import Link
from oxcart.errors import InvalidInput, OxcartError
from oxcart.handlers import Handlers
from oxcart.names import NO_HANDLER
from oxcart.protocol.exchange import ClaimedRun
from oxcart.queue.schedules import advance_schedule
from oxcart.settings import WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import HandlerDeaf, JobAbandoned, JobNameUnknown, JobsStarted, WarningRaised
from oxcart.verdicts import Abandoned, Completed, Failed, Interrupted, Returned
from oxcart.worker.attempt import Attempt, CancelReason, Workplace
from oxcart.worker.board import Board
from oxcart.worker.claim import read_claims
from oxcart.worker.context import QueueChannel
from oxcart.worker.handler_task import Starter
from oxcart.worker.pools import Threads
from oxcart.worker.prefetch import LONGEST_WAIT_SECONDS, PAUSE_SECONDS, smoothed
from oxcart.worker.served_queue import ServedQueue

CONFIRM_AGAIN_SECONDS = 0.2
ADVANCE_AGAIN_MS = 1000  # a scheduled job whose schedule could not be advanced now comes back to try again
RETURN_DELAY_MS = 60_000  # for a job whose name nobody here handles (design 3.1)


class Intake:
    """Starts claimed jobs and routes their verdicts.

    `announces_starts`: someone reads JobsStarted (a log at debug); building it costs each job a little.
    `renew_locks` tells whether the server answered; `too_many_deaf` is called when half of the slots are lost.
    """

    def __init__(
        self,
        board: Board,
        handlers: Handlers,
        settings: WorkerSettings,
        link: Link,
        *,
        emit: Emit,
        announces_starts: bool,
        renew_locks: Callable[[], Awaitable[bool]],
        too_many_deaf: Callable[[], None],
    ) -> None:
        self.interrupted: list[Attempt] = []
        self.unknown: dict[str, None] = {}
        self._board = board
        self._handlers = handlers
        self._settings = settings
        self._link = link
        self._emit = emit
        self._announces_starts = announces_starts
        self._renew_locks = renew_locks
        self._too_many_deaf = too_many_deaf
        self._deaf: set[Attempt] = set()
        self._preparing: set[asyncio.Task[None]] = set()
        self._threads = Threads()
        self._starter: Starter | None = None
        self._workplaces: dict[ServedQueue, Workplace] = {}
        self._is_starting = False

    def close(self) -> None:
        """Let go of idle threads and of schedules being advanced."""
        for task in self._preparing:
            task.cancel()
        self._threads.close()
        if self._starter is not None:
            self._starter.close()

    @property
    def unknown_names(self) -> Sequence[str]:
        return tuple(self.unknown)

    def take(
        self, queue: ServedQueue, runs: Sequence[ClaimedRun], token: str, processed_on_ms: int, executed_ms: int
    ) -> None:
        """Hold all of them, so that their locks are renewed, before the first handler runs: it may block the loop.

        `executed_ms` is when the server claimed them, on our clock.
        """
        workplace = self._workplaces.get(queue) or self._set_up(queue)
        now = time.monotonic()
        attempts: list[Attempt] = []
        for run in runs:
            claims = read_claims(run, token, processed_on_ms)
            spec = self._handlers.get(claims[0].name)
            attempts += [self._hold(queue, Attempt(claim, spec, workplace, now)) for claim in claims]
        is_late = now_ms() - executed_ms > self._settings.lock_duration_ms / 3
        if is_late and not self._board.stopping:
            self._prepare(self._confirm_then_begin(queue, attempts), f"confirm:{token}")
        else:
            for attempt in attempts:
                self._begin_or_buffer(queue, attempt)

    def _set_up(self, queue: ServedQueue) -> Workplace:
        """Not before the first job: what it needs belongs to the event loop."""
        if self._starter is None:
            self._starter = Starter()
        workplace = self._workplaces[queue] = Workplace(
            asyncio.get_running_loop(),
            QueueChannel(self._link, queue.keys),
            self._threads,
            self._starter,
            self._handlers.backoffs,
            partial(self._verdict_reached, queue),
            partial(self._slot_freed, queue),
        )
        return workplace

    def _hold(self, queue: ServedQueue, attempt: Attempt) -> Attempt:
        job_id = attempt.claim.job_id
        earlier = queue.held.get(job_id)
        if earlier is not None:
            self.claim_lost(queue, earlier)
        queue.held[job_id] = attempt
        return attempt

    async def _confirm_then_begin(self, queue: ServedQueue, attempts: Sequence[Attempt]) -> None:
        """The answer was read late (the loop was blocked): the locks may have ended, and others have the jobs."""
        while not await self._renew_locks() and not self._board.stopping:  # noqa: ASYNC110 - it asks anew each time
            await asyncio.sleep(CONFIRM_AGAIN_SECONDS)
        for attempt in attempts:
            self._begin_or_buffer(queue, attempt)

    def _begin_or_buffer(self, queue: ServedQueue, attempt: Attempt) -> None:
        if attempt.verdict is not None:
            return
        if self._board.has_slot(queue) or self._board.stopping:
            self._begin(queue, attempt)
        else:
            self._buffer(queue, attempt)

    def _begin(self, queue: ServedQueue, attempt: Attempt) -> None:
        attempt.has_slot = True
        self._board.slot_taken(queue)
        if self._board.stopping:
            attempt.decide_without_running(Interrupted())
        elif attempt.claim.shared.scheduler_id is not None:
            self._prepare(self._advance(queue, attempt), f"schedule:{attempt.claim.shared.scheduler_id}")
        else:
            self._start(queue, attempt)

    def _prepare(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    # -------------------------------------------------------------------------------------------- claimed ahead
    def _buffer(self, queue: ServedQueue, attempt: Attempt) -> None:
        if not queue.buffer:
            asyncio.get_running_loop().call_later(LONGEST_WAIT_SECONDS, self._look_at_buffer, queue)
        queue.buffer.append(attempt)

    def _look_at_buffer(self, queue: ServedQueue) -> None:
        """Give back what could not start in time: another worker may be idle."""
        if not queue.buffer:
            return
        waited = time.monotonic() - queue.buffer[0].started
        if waited < LONGEST_WAIT_SECONDS:
            loop = asyncio.get_running_loop()
            loop.call_later(LONGEST_WAIT_SECONDS - waited + 0.001, self._look_at_buffer, queue)
            return
        queue.prefetch_from = time.monotonic() + PAUSE_SECONDS
        self._give_back(queue)

    def _give_back(self, queue: ServedQueue) -> None:
        """The newest first, so that the oldest is the next to be claimed again."""
        while queue.buffer:
            queue.buffer.pop().decide_without_running(Interrupted())

    def give_back_buffered(self) -> None:
        for queue in self._board.queues:
            self._give_back(queue)

    def _start_buffered(self) -> None:
        """Fill free slots from the buffers. A job that ends at once frees its slot in here: no deeper, once more."""
        if self._is_starting:
            return
        self._is_starting = True
        try:
            for queue in self._board.queues:
                while queue.buffer and self._board.has_slot(queue):
                    self._begin(queue, queue.buffer.popleft())
        finally:
            self._is_starting = False

    # -------------------------------------------------------------------------------------------- starting
    def _start(self, queue: ServedQueue, attempt: Attempt) -> None:
        if attempt.spec is None and attempt.claim.shared.deferred_failure is None:
            self._handle_unknown(queue, attempt)
            return
        if self._announces_starts:
            job_id = attempt.claim.job_id.decode("utf-8", "replace")
            self._emit(JobsStarted(queue.name, [(job_id, attempt.claim.name)]))
        attempt.start(queue.name)

    async def _advance(self, queue: ServedQueue, attempt: Attempt) -> None:
        """The next job of a schedule exists before this one begins: no crash of a handler ends a schedule."""
        claim = attempt.claim
        scheduler_id = claim.shared.scheduler_id or ""
        try:
            await advance_schedule(
                self._link,
                queue.keys,
                scheduler_id,
                claim.job_id.decode("utf-8", "replace"),
                raw_opts=claim.shared.raw_options,
                now_ms=now_ms(),
            )
        except InvalidInput as error:
            self._emit(WarningRaised("SCHEDULE_STOPPED", f"Schedule {scheduler_id} has no next run: {error}"))
        except OxcartError:
            if attempt.verdict is None:
                attempt.decide_without_running(Returned(ADVANCE_AGAIN_MS))
            return
        if attempt.verdict is None:
            if self._board.stopping:
                attempt.decide_without_running(Interrupted())
            else:
                self._start(queue, attempt)

    def _handle_unknown(self, queue: ServedQueue, attempt: Attempt) -> None:
        name, known = attempt.claim.name, self._handlers.names
        action = self._settings.unknown_jobs or "leave"
        if name not in self.unknown:
            self.unknown[name] = None
            self._emit(JobNameUnknown(queue.name, name, "fail" if action == "fail" else "wait", NO_HANDLER, known))
        if action == "fail":
            names = ", ".join(known) or "none"
            attempt.decide_without_running(Failed(f'No handler for the job name "{name}". Known here: {names}.', None))
        else:
            attempt.decide_without_running(Returned(RETURN_DELAY_MS))

    def _verdict_reached(self, queue: ServedQueue, attempt: Attempt) -> None:
        claim = attempt.claim
        if attempt.is_deaf and not attempt.ended:
            self._deaf.add(attempt)
            self._emit(HandlerDeaf(queue.name, claim.job_id.decode("utf-8", "replace"), claim.name))
            if len(self._deaf) * 2 >= self._settings.concurrency:
                self._too_many_deaf()
        if isinstance(attempt.verdict, Completed):
            queue.outbox.put(attempt)
        elif isinstance(attempt.verdict, Abandoned):
            if queue.held.get(claim.job_id) is attempt:
                del queue.held[claim.job_id]
            job_id = claim.job_id.decode("utf-8", "replace")
            self._emit(JobAbandoned(queue.name, job_id, claim.name, "another claim of it exists"))
        elif isinstance(attempt.verdict, Interrupted) and attempt.job is not None:
            self.interrupted.append(attempt)
        else:
            queue.outbox.put(attempt)
        self._board.work.set()

    def _slot_freed(self, queue: ServedQueue, attempt: Attempt) -> None:
        self._deaf.discard(attempt)
        if not attempt.has_slot:
            return
        if attempt.job is not None:
            queue.run_seconds = smoothed(queue.run_seconds, attempt.finished - attempt.started)
        self._board.slot_freed(queue)
        self._start_buffered()

    def claim_lost(self, queue: ServedQueue, attempt: Attempt) -> None:
        """Another claim of this job exists: its handler must stop, and nothing may be written."""
        if queue.held.get(attempt.claim.job_id) is not attempt:
            return
        if attempt in queue.buffer:
            queue.buffer.remove(attempt)
        attempt.cancel(CancelReason.CLAIM_LOST)
