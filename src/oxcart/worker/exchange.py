"""How do verdicts get in and jobs out? By exchanges: the only file of the hot path that talks to the server.

One Exchanger is one exchange after the other on a link of its own; two of them share a board, so that while one waits
for its answer the other collects what finishes meanwhile (group commit, design decision 4).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from redis.exceptions import ResponseError

from oxcart.clock import now_ms
from oxcart.connection.failures import classify, closes_connection
from oxcart.connection.link import Link, Server
from oxcart.errors import Failure, Kind, ServerRefused, Unavailable
from oxcart.protocol.exchange import MAXED, REPEATED, WRITTEN, ClaimedRun, Policy, Reply, exchange_command, read_reply
from oxcart.protocol.scripts import Command, ours
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import FinishedJob, JobAbandoned, JobsFinished, JobUnconfirmed, JobUnreadable
from oxcart.verdicts import Completed, Failed, RetryLater
from oxcart.worker.attempt import Attempt
from oxcart.worker.board import Board, Work
from oxcart.worker.items import Answer, Policies, answer_of, finished_job, item_of
from oxcart.worker.prefetch import smoothed
from oxcart.worker.served_queue import ServedQueue

ANSWER_WITHIN_SECONDS = 15.0
"""Managed servers stall for seconds (cold keys under a global script lock); a stuck socket still shows in time."""

_DONE = frozenset({WRITTEN, REPEATED})

Take = Callable[[ServedQueue, Sequence[ClaimedRun], str, int, int], None]
GiveUp = Callable[[ServedQueue, str], None]


class Exchanger:
    """Makes exchanges until the board is done. `take` starts claimed jobs; `give_up` names a token whose claims
    nobody has heard of: the server may have executed the exchange, or may yet.
    """

    def __init__(
        self,
        board: Board,
        server: Server,
        link: Link,
        *,
        worker_id: str,
        lock_duration_ms: int,
        keep: tuple[Policy, Policy],
        allow_plain: bool,
        worker_name: str,
        emit: Emit,
        take: Take,
        give_up: GiveUp,
    ) -> None:
        self._board = board
        self._server = server
        self._link = link
        self._worker_id = worker_id
        self._lock_ms = lock_duration_ms
        self._keep = keep
        self._allow_plain = allow_plain
        self._worker_name = worker_name
        self._emit = emit
        self._take = take
        self.give_up = give_up
        self.answered = 0
        self._clock_gaps_ms: deque[int] = deque(maxlen=8)
        self._number = 0
        self._refusals = 0

    async def run(self) -> None:
        while True:
            if not await self.exchange_once():
                await self._board.wait_for_work()

    async def exchange_once(self) -> bool:
        """False if there is nothing to exchange."""
        work = self._board.take_work()
        if work is not None:
            await self._exchange(work)
        return work is not None

    def _next_token(self) -> str:
        self._number += 1
        return f"{self._worker_id}:{self._number}"

    async def _exchange(self, work: Work) -> None:
        token, now = self._next_token(), now_ms()
        policies = Policies(*self._keep)
        for attempt in work.batch:
            attempt.times_sent += 1
        items = [item_of(attempt, policies) for attempt in work.batch]
        command = exchange_command(
            work.queue.keys,
            now_ms=now,
            token=token,
            lock_ms=self._lock_ms,
            room=work.room,
            free=work.free,
            items=items,
            policies=policies.in_order,
            allow_plain=self._allow_plain,
            worker_name=self._worker_name,
        )
        asked_at = time.monotonic()
        try:
            reply = await self._ask(command)
        except Unavailable as error:
            self._unanswered(work, token, error)
            await self._server.wait_until_ready()
        except ServerRefused as error:
            await self._refused(work, error.failure)
        except BaseException:  # cancelled at the end of a shutdown: the verdicts stay counted as undelivered
            self._board.release(work)
            work.queue.outbox.put_back(work.batch)
            raise
        else:
            self._board.round_trip_seconds = smoothed(self._board.round_trip_seconds, time.monotonic() - asked_at)
            self._answered(work, token, now, read_reply(reply), policies)

    async def _ask(self, command: Sequence[Any]) -> Any:
        try:
            return await self._link.request(*command, deadline_seconds=ANSWER_WITHIN_SECONDS)
        except ServerRefused as error:
            if error.failure.code != "NOSCRIPT":
                raise
        return await self._link.request(
            "EVAL", ours("exchange").source, *command[2:], deadline_seconds=ANSWER_WITHIN_SECONDS
        )

    # -------------------------------------------------------------------------------------------- sent ahead
    def claim_ahead(self, work: Work) -> tuple[str, Command]:
        """The token and the command of an exchange that only claims, whenever the server comes to it (see waiting.py).

        No slot is reserved for it: should others be quicker, its jobs wait in the buffer, as prefetched ones do.
        """
        token = self._next_token()
        return token, exchange_command(
            work.queue.keys,
            now_ms=0,
            token=token,
            lock_ms=self._lock_ms,
            room=work.room,
            allow_plain=self._allow_plain,
            worker_name=self._worker_name,
        )

    def read_ahead(self, work: Work, token: str, answer: Sequence[Any]) -> int:
        """How many jobs the answer to `claim_ahead` brought; they have been started."""
        reply = read_reply(answer)
        self._clock_gaps_ms.append(now_ms() - reply.now_ms)
        executed_ms = reply.now_ms + min(
            self._clock_gaps_ms
        )  # on our clock: the smallest gap has the least delay in it
        self._board.note_answer()
        is_troubled = self._read_notes(work.queue, reply.notes)
        self._claimed(work, token, reply.now_ms, executed_ms, reply, is_troubled=is_troubled)
        self._board.work.set()
        return reply.claimed

    # -------------------------------------------------------------------------------------------- no answer
    def _unanswered(self, work: Work, token: str, error: Unavailable) -> None:
        self._board.release(work)
        work.queue.outbox.put_back(work.batch)
        if not error.outcome_unknown:
            for attempt in work.batch:
                attempt.times_sent -= 1
        elif work.room:
            self.give_up(work.queue, token)

    async def _refused(self, work: Work, failure: Failure) -> None:
        """The whole exchange was answered with an error: nothing ran. Too large a request is halved until the guilty
        verdict is alone; that one fails its job. Everything else is tried again, and shown in /health.
        """
        board, queue = self._board, work.queue
        board.release(work)
        queue.outbox.put_back(work.batch)
        for attempt in work.batch:
            attempt.times_sent -= 1
        if failure.code in {"Q_REQ", "Q_REC"} and work.batch:
            if len(work.batch) == 1:
                self._replace_verdict(queue, work.batch[0], failure)
            board.send_fewer(len(work.batch))
            return
        self._rest(queue, failure)
        await asyncio.sleep(0)

    def _rest(self, queue: ServedQueue, failure: Failure) -> None:
        """Leave a queue alone for a moment: full jitter, 0.1 to 2 s, for a used-up quota 5 to 60 s."""
        self._refusals += 1
        self._board.note_trouble(failure)
        if closes_connection(failure):  # it came from inside the script: the link takes it for an answer
            self._server.report(failure)
        shortest, longest = (5.0, 60.0) if failure.kind is Kind.QUOTA else (0.1, 2.0)
        seconds = max(shortest, random.random() * min(longest, shortest * 2.0 ** min(self._refusals, 10)))
        loop = asyncio.get_running_loop()
        queue.resting_until = max(queue.resting_until, loop.time() + seconds)
        loop.call_at(queue.resting_until, self._board.wake, queue)  # beside the queue's timer: an earlier wake is none

    def _replace_verdict(self, queue: ServedQueue, attempt: Attempt, failure: Failure) -> None:
        (taken,) = queue.outbox.take(1)
        assert taken is attempt
        queue.outbox.answered([attempt])
        if isinstance(attempt.verdict, Completed):
            attempt.verdict = Failed(f"The return value could not be stored: {failure.summary} Return less.", None)
        elif isinstance(attempt.verdict, RetryLater | Failed):
            attempt.verdict = Failed(attempt.verdict.reason[:1000], b"")
        queue.outbox.put(attempt)

    # -------------------------------------------------------------------------------------------- the answer
    def _answered(self, work: Work, token: str, now: int, reply: Reply, policies: Policies) -> None:
        board, queue = self._board, work.queue
        board.release(work)
        board.note_answer()
        troubled = bool(work.batch) and self._settle(queue, work.batch, reply.statuses, policies)
        if reply.notes:
            troubled = self._read_notes(queue, reply.notes) or troubled
        self._claimed(work, token, now, now, reply, is_troubled=troubled)
        board.answered.set()

    def _claimed(self, work: Work, token: str, now: int, executed_ms: int, reply: Reply, *, is_troubled: bool) -> None:
        board, queue = self._board, work.queue
        self.answered += 1
        if not is_troubled:
            self._refusals = 0
            if board.trouble is not None:
                board.trouble_is_over()
        if work.room:
            self._read_claims(work, reply)
        if reply.left:
            queue.hot = True
        if reply.runs:
            queue.last_job_at = board.last_answer_at
            self._take(queue, reply.runs, token, now, executed_ms)
        if not queue.hot:
            board.calm.set()

    def _read_claims(self, work: Work, reply: Reply) -> None:
        queue, board = work.queue, self._board
        queue.abundant = bool(reply.plenty)
        if not queue.abundant and queue.wakes == work.wakes:
            queue.hot = False
        queue.next_due_ms = reply.next_due_ms
        queue.has_limits = bool(reply.limit_ms) or reply.blocked == MAXED
        if reply.limit_ms > 0:
            queue.hot = False
            loop = asyncio.get_running_loop()
            queue.limited_until = loop.time() + reply.limit_ms / 1000
            loop.call_at(queue.limited_until, board.wake, queue)  # beside the queue's timer: an earlier wake is none
        elif reply.next_due_ms:
            queue.wake_in((reply.next_due_ms - now_ms()) / 1000 + 0.001, board.wake)

    def _read_notes(self, queue: ServedQueue, notes: Sequence[tuple[bytes, bytes]]) -> bool:
        """True if one says that the server is in trouble."""
        troubled = False
        for job_id, note in notes:
            text = note.decode("utf-8", "replace")
            if job_id:
                self._emit(JobUnreadable(queue.name, job_id.decode("utf-8", "replace"), text))
            else:
                self._rest(queue, classify(ResponseError(text), target=self._server.target))
                troubled = True
        return troubled

    def _settle(
        self, queue: ServedQueue, batch: list[Attempt], statuses: list[int | bytes], policies: Policies
    ) -> bool:
        """True if the server is in trouble and verdicts are kept to be sent again."""
        queue.outbox.answered(batch)
        finished: list[FinishedJob] = []
        held = queue.held
        troubled = False
        for attempt, status in zip(batch, statuses or repeat(WRITTEN, len(batch)), strict=True):
            if status in _DONE:
                job_id = attempt.claim.job_id
                if held.get(job_id) is attempt:
                    del held[job_id]
                finished.append(finished_job(attempt))
            else:
                troubled = self._not_written(queue, attempt, status, policies) or troubled
        self._board.send_as_many_as_allowed()
        if finished:
            self._board.finished += len(finished)
            queue.last_job_at = self._board.last_answer_at
            self._emit(JobsFinished(queue.name, finished))
        return troubled

    def _not_written(self, queue: ServedQueue, attempt: Attempt, status: int | bytes, policies: Policies) -> bool:
        """True if the server is in trouble and the verdict is kept to be sent again."""
        claim = attempt.claim
        job_id = claim.job_id.decode("utf-8", "replace")
        match answer_of(attempt, status, policies):
            case Answer.UNCONFIRMED:
                self._emit(JobUnconfirmed(queue.name, job_id, claim.name))
            case Answer.PENDING_CHILDREN:
                self._retry_with(queue, attempt, attempt.failed("it cannot complete: it has pending children", None))
                return False
            case Answer.FAILED_CHILDREN:
                reason = f"Cannot complete job {job_id} because it has at least one failed child"
                self._retry_with(queue, attempt, Failed(reason, None))
                return False
            case Answer.ERROR:
                failure = classify(ResponseError(_text(status)), target=self._server.target)
                if failure.retryable:
                    queue.outbox.put(attempt)
                    self._rest(queue, failure)
                    return True
                self._emit(JobUnreadable(queue.name, job_id, failure.summary))
            case _:
                reason = "it was removed" if status == -1 else "another worker has claimed it"
                self._emit(JobAbandoned(queue.name, job_id, claim.name, reason))
        if queue.held.get(claim.job_id) is attempt:
            del queue.held[claim.job_id]
        return False

    def _retry_with(self, queue: ServedQueue, attempt: Attempt, verdict: Any) -> None:
        attempt.verdict = verdict
        attempt.times_sent = 0
        queue.outbox.put(attempt)


def _text(status: int | bytes) -> str:
    return status.decode("utf-8", "replace") if isinstance(status, bytes) else f"unexpected status {status}"
