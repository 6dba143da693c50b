"""What becomes of a claimed job? An attempt takes a slot, runs, and its verdict goes to the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from oxcart.clock import now_ms
from oxcart.connection.link import Link
from oxcart.errors import InvalidInput, OxcartError
from oxcart.handlers import Handlers
from oxcart.protocol.exchange import ClaimedJob
from oxcart.queue.schedules import advance_schedule
from oxcart.settings import WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import HandlerDeaf, JobAbandoned, JobNameUnknown, WarningRaised
from oxcart.verdicts import Abandoned, Failed, Interrupted, Returned
from oxcart.worker.attempt import Attempt, CancelReason
from oxcart.worker.board import Board
from oxcart.worker.claim import read_claim
from oxcart.worker.context import QueueChannel
from oxcart.worker.handler_task import Starter
from oxcart.worker.pools import Threads
from oxcart.worker.served_queue import ServedQueue

ADVANCE_AGAIN_MS = 1000  # a scheduled job whose schedule could not be advanced now comes back to try again
CONFIRM_AGAIN_SECONDS = 0.2
RETURN_DELAY_MS = 60_000  # for a job whose name nobody here handles (design 3.1)


class Intake:
    """Starts claimed jobs and routes their verdicts.

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
        self._renew_locks = renew_locks
        self._too_many_deaf = too_many_deaf
        self._deaf: set[Attempt] = set()
        self._preparing: set[asyncio.Task[None]] = set()
        self._threads = Threads()
        self._starter: Starter | None = None
        self._channels = {queue: QueueChannel(link, queue.keys) for queue in board.queues}
        self._hooks = {
            queue: (partial(self._verdict_reached, queue), partial(self._slot_freed, queue)) for queue in board.queues
        }

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

    def take(self, queue: ServedQueue, jobs: Sequence[ClaimedJob], token: str, processed_on_ms: int) -> None:
        """Hold all of them, so that their locks are renewed, before the first handler runs: it may block the loop."""
        attempts = [self._hold(queue, job, token, processed_on_ms) for job in jobs]
        is_late = now_ms() - processed_on_ms > self._settings.lock_duration_ms / 3
        if is_late and not self._board.stopping:
            self._prepare(self._confirm_then_begin(queue, attempts), f"confirm:{token}")
        else:
            for attempt in attempts:
                self._begin(queue, attempt)

    def _hold(self, queue: ServedQueue, job: ClaimedJob, token: str, processed_on_ms: int) -> Attempt:
        claim = read_claim(job, token, processed_on_ms)
        earlier = queue.held.get(claim.job_id)
        spec = self._handlers.get(claim.name)
        on_verdict, on_ended = self._hooks[queue]
        if self._starter is None:
            self._starter = Starter()
        attempt = Attempt(
            claim,
            spec,
            channel=self._channels[queue],
            threads=self._threads,
            starter=self._starter,
            backoffs=self._handlers.backoffs,
            on_verdict=on_verdict,
            on_ended=on_ended,
        )
        if earlier is not None:
            earlier.cancel(CancelReason.CLAIM_LOST)
        queue.held[claim.job_id] = attempt
        self._board.slot_taken(queue)
        return attempt

    async def _confirm_then_begin(self, queue: ServedQueue, attempts: Sequence[Attempt]) -> None:
        """The answer was read late (the loop was blocked): the locks may have ended, and others have the jobs."""
        while not await self._renew_locks() and not self._board.stopping:  # noqa: ASYNC110 - it asks anew each time
            await asyncio.sleep(CONFIRM_AGAIN_SECONDS)
        for attempt in attempts:
            self._begin(queue, attempt)

    def _begin(self, queue: ServedQueue, attempt: Attempt) -> None:
        if attempt.verdict is not None:
            return
        if self._board.stopping:
            attempt.decide_without_running(Interrupted())
        elif attempt.claim.scheduler_id is not None:
            self._prepare(self._advance(queue, attempt), f"schedule:{attempt.claim.scheduler_id}")
        else:
            self._start(queue, attempt)

    def _prepare(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    def _start(self, queue: ServedQueue, attempt: Attempt) -> None:
        if attempt.spec is None and attempt.claim.deferred_failure is None:
            self._handle_unknown(queue, attempt)
        else:
            attempt.start(queue.name)

    async def _advance(self, queue: ServedQueue, attempt: Attempt) -> None:
        """The next job of a schedule exists before this one begins: no crash of a handler ends a schedule."""
        claim = attempt.claim
        try:
            await advance_schedule(
                self._link,
                queue.keys,
                claim.scheduler_id or "",
                claim.job_id.decode("utf-8", "replace"),
                raw_opts=claim.raw_options,
                now_ms=now_ms(),
            )
        except InvalidInput as error:
            self._emit(WarningRaised("SCHEDULE_STOPPED", f"Schedule {claim.scheduler_id} has no next run: {error}"))
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
        action = self._settings.unknown_jobs or "return"
        if name not in self.unknown:
            self.unknown[name] = None
            job_id = attempt.claim.job_id.decode("utf-8", "replace")
            self._emit(JobNameUnknown(queue.name, name, job_id, action, known))
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
            if len(self._deaf) > 1 and len(self._deaf) * 2 >= self._settings.concurrency:
                self._too_many_deaf()
        if isinstance(attempt.verdict, Abandoned):
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
        self._board.slot_freed(queue)

    def claim_lost(self, queue: ServedQueue, attempt: Attempt) -> None:
        if queue.held.get(attempt.claim.job_id) is attempt:
            attempt.cancel(CancelReason.CLAIM_LOST)
