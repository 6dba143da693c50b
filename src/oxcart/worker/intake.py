"""What becomes of a claimed job? An attempt takes a slot, runs, and its verdict goes to the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from oxcart import clock
from oxcart.errors import InvalidInput, ServerRefused, Unavailable
from oxcart.own_tasks import start_own_task
from oxcart.protocol.exchange import ClaimedRun
from oxcart.queue.advance_schedules import advance_schedule
from oxcart.telemetry.events import HandlerDeaf, JobAbandoned, JobsStarted, WarningRaised
from oxcart.verdicts import Abandoned, Completed, Failed, Interrupted, RateLimitedFor, Returned
from oxcart.worker.apart import Apart
from oxcart.worker.attempt import Attempt, CancelReason, Workplace
from oxcart.worker.claim import read_claims
from oxcart.worker.common import Common
from oxcart.worker.context import QueueChannel, ReportLine
from oxcart.worker.error_text import account_of, plain_text
from oxcart.worker.handler_task import Starter
from oxcart.worker.phases import sent
from oxcart.worker.pools import Threads
from oxcart.worker.prefetch import LONGEST_WAIT_SECONDS, PAUSE_SECONDS, smoothed
from oxcart.worker.served_queue import ServedQueue

CONFIRM_AGAIN_SECONDS = 0.2
ADVANCE_AGAIN_MS = 1000  # a scheduled job whose schedule could not be advanced now comes back to try again
ADVANCE_AFTER_ERROR_MS = 30_000  # not for want of a server: a bug of somebody's, which will hardly be mended sooner


class Intake:
    """Starts claimed jobs and routes their verdicts.

    `announces_starts`: someone reads JobsStarted (a log at debug); building it costs each job a little.
    `renew_locks` tells whether the server answered; `too_many_deaf` is called when half of the slots are lost.
    `interrupted`: how many jobs a shutdown has cut off.
    """

    def __init__(
        self,
        common: Common,
        *,
        announces_starts: bool,
        renew_locks: Callable[[], Awaitable[bool]],
        too_many_deaf: Callable[[], None],
    ) -> None:
        self.interrupted = 0
        self._common = common
        self._dispatch = common.dispatch
        self._emit = common.emit
        self._reports = ReportLine(common.link)
        self._announces_starts = announces_starts
        self._renew_locks = renew_locks
        self._too_many_deaf = too_many_deaf
        self._deaf: set[Attempt] = set()
        self._preparing: set[asyncio.Task[Any]] = set()
        self._unconfirmed: dict[ServedQueue, list[Attempt]] = {}
        self._claimed = 0
        self._has_given_back_all = False
        self._threads = Threads()
        self._starter: Starter | None = None
        self._workplaces: dict[ServedQueue, Workplace] = {}
        self._is_starting = False
        self._apart = Apart(common, self)

    def close(self) -> None:
        """Let go of idle threads and of schedules being advanced."""
        for task in self._preparing:
            task.cancel()
        self._threads.close()
        if self._starter is not None:
            self._starter.close()

    def take(
        self, queue: ServedQueue, runs: Sequence[ClaimedRun], token: str, processed_on_ms: int, executed_ms: int
    ) -> None:
        """Hold all of them, so that their locks are renewed, before the first handler runs: it may block the loop.

        `executed_ms` is when the server claimed them.
        """
        workplace = self._workplaces.get(queue) or self._set_up(queue)
        now = clock.monotonic()
        attempts: list[Attempt] = []
        has_suspects, names = False, self._common.left.names_to_claim
        for run in runs:
            claims = read_claims(run, token, processed_on_ms)
            has_suspects = has_suspects or claims[0].shared.is_suspect
            spec = self._common.handlers.get(claims[0].name)
            held = [self._hold(queue, Attempt(claim, spec, workplace, now, now)) for claim in claims]
            if names is None or names.claims(claims[0].name):
                attempts += held
            else:  # it lacks something since the claim was sent: for others
                queue.giving_back += held
        is_late = self._common.link.clock.now_ms() - executed_ms > self._common.settings.lock_duration_ms / 3
        unconfirmed = self._unconfirmed.get(queue)
        if unconfirmed is not None:
            unconfirmed += attempts  # in their turn
        elif is_late and not self._dispatch.stopping:
            self._unconfirmed[queue] = attempts
            self.prepare(self._confirm_then_begin(queue), f"confirm:{token}")
        else:
            self._begin_all(queue, attempts, has_suspects=has_suspects)

    def _set_up(self, queue: ServedQueue) -> Workplace:
        """Not before the first job: what it needs belongs to the event loop."""
        if self._starter is None:
            self._starter = Starter()
        workplace = self._workplaces[queue] = Workplace(
            asyncio.get_running_loop(),
            QueueChannel(self._reports, queue.keys, self._emit),
            self._threads,
            self._starter,
            self._common.handlers.backoffs,
            self._common.settings.max_started_attempts,
            partial(self._verdict_reached, queue),
            partial(self._slot_freed, queue),
        )
        return workplace

    def _hold(self, queue: ServedQueue, attempt: Attempt) -> Attempt:
        job_id = attempt.claim.job_id
        self._claimed += 1
        attempt.number = self._claimed
        earlier = queue.held.get(job_id)
        if earlier is not None:
            self.claim_lost(queue, earlier)
        queue.held[job_id] = attempt
        return attempt

    async def _confirm_then_begin(self, queue: ServedQueue) -> None:
        """The answer was read late (the loop was blocked): the locks may have ended, and others have the jobs."""
        while not await self._renew_locks() and not self._dispatch.stopping:  # noqa: ASYNC110 - it asks anew each time
            await asyncio.sleep(CONFIRM_AGAIN_SECONDS)
        attempts = [attempt for attempt in self._unconfirmed.pop(queue) if attempt.verdict is None]
        has_suspects = any(attempt.claim.shared.is_suspect for attempt in attempts)
        self._begin_all(queue, attempts, has_suspects=has_suspects)
        self._dispatch.tell()

    def _begin_all(self, queue: ServedQueue, attempts: Sequence[Attempt], *, has_suspects: bool) -> None:
        """In their order, and behind those that wait for a slot already. Suspects go apart, and the others back."""
        dispatch = self._dispatch
        apart = self._set_apart(queue, attempts) if has_suspects else ()
        for attempt in attempts:
            if attempt.verdict is not None or attempt in apart:
                continue
            if self._has_given_back_all:
                attempt.decide_without_running(Interrupted())
            elif dispatch.stopping or dispatch.holds_back or queue.giving_back or self._is_limited_here(queue):
                queue.giving_back.append(attempt)
            elif not queue.buffer and dispatch.has_slot(queue):
                self.begin(queue, attempt)
            else:
                self._buffer(queue, attempt)

    def _set_apart(self, queue: ServedQueue, attempts: Sequence[Attempt]) -> Sequence[Attempt]:
        dispatch = self._dispatch
        if dispatch.stopping or queue.giving_back or self._is_limited_here(queue):
            return ()
        apart = self._apart.take(queue, attempts)
        if dispatch.holds_back:
            for other in dispatch.queues:
                self._hold_back(other)
        return apart

    def begin(self, queue: ServedQueue, attempt: Attempt) -> None:
        """It takes a slot. Of a schedule, the next job exists before this one starts: no crash of a handler ends it."""
        attempt.has_slot = True
        self._dispatch.slot_taken(queue)
        scheduler_id = attempt.claim.shared.scheduler_id
        if scheduler_id is None:
            self._start(queue, attempt)
            return
        link, claim = self._common.link, attempt.claim
        advance = advance_schedule(
            link,
            queue.keys,
            scheduler_id,
            claim.job_id.decode("utf-8", "replace"),
            raw_opts=claim.shared.raw_options,
            now_ms=link.clock.now_ms(),
            strategy=self._common.handlers.repeat_strategy,
            name=claim.name,
        )
        self.prepare(advance, f"schedule:{scheduler_id}").add_done_callback(partial(self._advanced, queue, attempt))

    def prepare(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = start_own_task(work, name)
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        return task

    # -------------------------------------------------------------------------------------------- claimed ahead
    def _buffer(self, queue: ServedQueue, attempt: Attempt) -> None:
        if not queue.buffer:
            asyncio.get_running_loop().call_later(LONGEST_WAIT_SECONDS, self._look_at_buffer, queue)
        queue.buffer.append(attempt)

    def _look_at_buffer(self, queue: ServedQueue) -> None:
        """Give back what could not start in time: another worker may be idle."""
        if not queue.buffer:
            return
        waited = clock.monotonic() - queue.buffer[0].started
        if waited < LONGEST_WAIT_SECONDS:
            loop = asyncio.get_running_loop()
            loop.call_later(LONGEST_WAIT_SECONDS - waited + 0.001, self._look_at_buffer, queue)
            return
        queue.prefetch_from = asyncio.get_running_loop().time() + PAUSE_SECONDS
        self._hold_back(queue)
        self._dispatch.tell()

    def _hold_back(self, queue: ServedQueue) -> None:
        queue.giving_back += queue.buffer
        queue.buffer.clear()

    def give_back(self) -> None:
        """What may not begin goes back when no claim of its queue is on its way: newer jobs would come to lie before
        older ones. Looked at before each exchange is planned, so that nothing depends on who set it aside, and when.
        """
        for queue in self._dispatch.queues:
            if queue.giving_back and not sent(queue.phase).claims and not self._dispatch.stopping:
                self._put_back_in_order(queue)

    def hold_back_all(self) -> None:
        """The worker stops: nothing that has not begun begins."""
        for queue in self._dispatch.queues:
            self._hold_back(queue)
            queue.giving_back += self._apart.leave(queue)

    def give_back_all(self) -> None:
        """What was held back, or cut off, goes back in its order; what is claimed after this, at once."""
        self._has_given_back_all = True
        for queue in self._dispatch.queues:
            self._put_back_in_order(queue)

    def _put_back_in_order(self, queue: ServedQueue) -> None:
        """The newest first: each goes to the head of the queue."""
        returning, queue.giving_back = queue.giving_back, []
        for attempt in sorted(returning, key=lambda attempt: attempt.number, reverse=True):
            if attempt.verdict is None:
                attempt.decide_without_running(Interrupted())
            else:
                queue.outbox.put(attempt)
        self._dispatch.tell()

    def _start_buffered(self) -> None:
        """Fill free slots from the buffers. A job that ends at once frees its slot in here: no deeper, once more."""
        if self._is_starting:
            return
        self._is_starting = True
        try:
            for queue in self._dispatch.queues:
                while queue.buffer and self._dispatch.has_slot(queue):
                    self.begin(queue, queue.buffer.popleft())
        finally:
            self._is_starting = False

    # -------------------------------------------------------------------------------------------- rate limited
    def _is_limited_here(self, queue: ServedQueue) -> bool:
        return queue.limited_here_until > 0 and asyncio.get_running_loop().time() < queue.limited_here_until

    def _limited(self, queue: ServedQueue, attempt: Attempt, delay_ms: int) -> None:
        """A handler has said that the queue is to pause. Nothing that was claimed ahead begins: it goes back, with the
        job that said so, as soon as no other claim is on its way, so that all lie in `wait` in their order.
        """
        queue.limited_here_until = asyncio.get_running_loop().time() + delay_ms / 1000
        self._dispatch.close_for_limit(queue, queue.limited_here_until)
        queue.giving_back.append(attempt)
        self._hold_back(queue)

    # -------------------------------------------------------------------------------------------- starting
    def _start(self, queue: ServedQueue, attempt: Attempt) -> None:
        if attempt.spec is None and attempt.claim.shared.deferred_failure is None:
            self._handle_unknown(queue, attempt)
            return
        if self._announces_starts:
            job_id = attempt.claim.job_id.decode("utf-8", "replace")
            self._emit(JobsStarted(queue.name, [(job_id, attempt.claim.name)]))
        attempt.start(queue.name)

    def _advanced(self, queue: ServedQueue, attempt: Attempt, advancing: asyncio.Task[str | None]) -> None:
        """The job runs, unless its schedule may still be advanced: then it comes again."""
        if advancing.cancelled():
            return
        error = advancing.exception()
        if isinstance(error, Unavailable | ServerRefused):
            if attempt.verdict is None:
                attempt.decide_without_running(Returned(ADVANCE_AGAIN_MS))
            return
        if isinstance(error, InvalidInput):
            self._tell_schedule(attempt, f"has no next run: {error}")
        elif error is not None:  # others wrote its options, or its repeat strategy
            again = f"could not be advanced, its job comes again in {ADVANCE_AFTER_ERROR_MS // 1000} s"
            self._tell_schedule(attempt, f"{again}: {account_of(error)}")
            if attempt.verdict is None:
                attempt.decide_without_running(Returned(ADVANCE_AFTER_ERROR_MS))
            return
        if attempt.verdict is None:
            if self._dispatch.stopping:
                attempt.decide_without_running(Interrupted())
            else:
                self._start(queue, attempt)

    def _tell_schedule(self, attempt: Attempt, what: str) -> None:
        schedule = plain_text(attempt.claim.shared.scheduler_id or "", 80)
        self._emit(WarningRaised("SCHEDULE_STOPPED", f"Schedule {schedule} {what}"))

    def _handle_unknown(self, queue: ServedQueue, attempt: Attempt) -> None:
        """Only with OXCART_UNKNOWN_JOBS=fail are such jobs claimed."""
        name, known = attempt.claim.name, ", ".join(self._common.handlers.names) or "none"
        self._common.left.tell(queue.name, name, job_id=attempt.claim.job_id.decode("utf-8", "replace"))
        attempt.decide_without_running(Failed(f'No handler for the job name "{name}". Known here: {known}.', None))

    def _verdict_reached(self, queue: ServedQueue, attempt: Attempt) -> None:
        claim, verdict = attempt.claim, attempt.verdict
        if attempt.is_deaf and not attempt.ended:
            self._deaf.add(attempt)
            self._emit(HandlerDeaf(queue.name, claim.job_id.decode("utf-8", "replace"), claim.name))
            if len(self._deaf) * 2 >= self._common.settings.concurrency:
                self._too_many_deaf()
        if isinstance(verdict, Completed):
            queue.outbox.put(attempt)
        elif isinstance(verdict, Abandoned):
            queue.let_go(attempt)
            job_id = claim.job_id.decode("utf-8", "replace")
            self._emit(JobAbandoned(queue.name, job_id, claim.name, "another claim of it exists"))
        elif type(verdict) is Interrupted and attempt.job is not None:
            self.interrupted += 1
            queue.giving_back.append(attempt)
        elif isinstance(verdict, RateLimitedFor) and not self._dispatch.stopping:
            self._limited(queue, attempt, verdict.delay_ms)
        else:
            queue.outbox.put(attempt)
            if claim.shared.stalls:
                self._apart.acquit(queue, attempt)
        self._dispatch.tell()

    def _slot_freed(self, queue: ServedQueue, attempt: Attempt) -> None:
        self._deaf.discard(attempt)
        if not attempt.has_slot:
            return
        if attempt.job is not None:
            queue.run_seconds = smoothed(queue.run_seconds, attempt.finished - attempt.started)
        self._dispatch.slot_freed(queue)
        self._start_buffered()

    def claim_lost(self, queue: ServedQueue, attempt: Attempt) -> None:
        """Another claim of this job exists: its handler must stop, and nothing may be written."""
        if queue.held.get(attempt.claim.job_id) is not attempt:
            return
        for waiting in (queue.buffer, queue.giving_back):
            if attempt in waiting:
                waiting.remove(attempt)
        attempt.cancel(CancelReason.CLAIM_LOST)
