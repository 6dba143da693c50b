"""How do verdicts get in and jobs out? By exchanges: the only file of the hot path that talks to the server.

Two loops share one link: while one waits for its answer the other collects what ends meanwhile (group commit). On one
link answers come in the order in which the server gave out the jobs, and so jobs start in that order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from oxcart.connection.failures import classify, closes_connection
from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.errors import Failure, Kind, ServerRefused, Unavailable
from oxcart.protocol.exchange import (
    MAXED,
    REPEATED,
    START,
    WRITTEN,
    ClaimedRun,
    Policy,
    Reply,
    exchange_command,
    read_reply,
)
from oxcart.protocol.scripts import Command, ours, run
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import FinishedJob, JobAbandoned, JobsFinished, JobUnconfirmed, JobUnreadable
from oxcart.verdicts import Completed, Failed, RetryLater
from oxcart.worker.attempt import Attempt
from oxcart.worker.dispatch import Dispatch, Work
from oxcart.worker.failing import failed_unrecoverably
from oxcart.worker.items import Answer, Policies, answer_of, fail_unpackable, finished_job, item_of
from oxcart.worker.left import LeftJobs
from oxcart.worker.phases import LONGEST_LIMIT_SECONDS, Closed, Rest
from oxcart.worker.phases import Answer as ClaimAnswer
from oxcart.worker.prefetch import smoothed
from oxcart.worker.served_queue import ServedQueue

ANSWER_WITHIN_SECONDS = 15.0
"""Managed servers stall for seconds (cold keys under a global script lock); a stuck socket still shows in time."""

_DONE = frozenset({WRITTEN, REPEATED})

Take = Callable[[ServedQueue, Sequence[ClaimedRun], str, int, int], None]
GiveUp = Callable[[ServedQueue, str], None]


class Sent(NamedTuple):
    """An exchange on its way. `processed_on_ms` is what its claims carry; `executed_ms` when the server claimed, on our
    clock.
    """

    work: Work
    token: str
    processed_on_ms: int
    executed_ms: int


class Exchanger:
    """Makes exchanges. `take` starts claimed jobs; `claims_settled` is called when an answer to a claim was worked off;
    `give_up` names a token whose claims nobody has heard of: the server may have executed the exchange, or may yet.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        server: Server,
        link: Link,
        *,
        worker_id: str,
        lock_duration_ms: int,
        keep: tuple[Policy, Policy],
        allow_plain: bool,
        worker_name: str,
        emit: Emit,
        left: LeftJobs,
        take: Take,
        claims_settled: Callable[[ServedQueue], None],
        give_up: GiveUp,
    ) -> None:
        self._dispatch = dispatch
        self._server = server
        self._link = link
        self._worker_id = worker_id
        self._lock_ms = lock_duration_ms
        self._keep = keep
        self._allow_plain = allow_plain
        self._worker_name = worker_name
        self._emit = emit
        self._left = left
        self._take = take
        self._claims_settled = claims_settled
        self.give_up = give_up
        self.answered = 0
        self._clock_gaps_ms: deque[int] = deque(maxlen=8)
        self._number = 0

    async def run(self) -> None:
        """One of the two loops."""
        loop, dispatch = asyncio.get_running_loop(), self._dispatch
        while True:
            step = dispatch.next_work(loop.time())
            if isinstance(step, Rest):
                await dispatch.rest(step.until)
            else:
                await self._exchange(step, loop.time(), self._link)

    async def run_large(self, link: Link) -> None:
        """The loop for large verdicts, one after the other: on their way they are in nobody's way."""
        loop, dispatch = asyncio.get_running_loop(), self._dispatch
        while True:
            step = dispatch.next_large(loop.time())
            if isinstance(step, Rest):
                await dispatch.rest(step.until)
            else:
                await self._exchange(step, loop.time(), link)

    def _command(self, work: Work, token: str, now: int, policies: Policies) -> Command:
        items = [item_of(attempt, policies) for attempt in work.batch]
        return exchange_command(
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
            names=self._left.names_to_claim if work.room else None,
            cursor=work.cursor,
        )

    def _next_token(self) -> str:
        self._number += 1
        return f"{self._worker_id}:{self._number}"

    async def _exchange(self, work: Work, asked_at: float, link: Link) -> None:
        queue, token, now = work.queue, self._next_token(), self._server.clock.now_ms()
        policies = Policies(*self._keep)
        for attempt in work.batch:
            attempt.times_sent += 1
        try:
            command = self._command(work, token, now, policies)
        except Exception:  # noqa: BLE001 - the border around the packing of verdicts
            fail_unpackable(work.batch, policies)
            policies = Policies(*self._keep)
            command = self._command(work, token, now, policies)
        if work.room:
            queue.fetching.asked("claim", asked_at + ANSWER_WITHIN_SECONDS)
        try:
            reply = await run(link, command, ours("exchange"), deadline_seconds=ANSWER_WITHIN_SECONDS)
        except Unavailable as error:
            self._unanswered(work, token, error)
            await self._server.wait_until_ready()
        except ServerRefused as error:
            self._refused(work, token, error.failure)
        except BaseException:  # cancelled at the end of a shutdown: the verdicts stay counted as undelivered
            self._dispatch.unanswered(work)
            queue.outbox.put_back(work.batch)
            raise
        else:
            answered_at = asyncio.get_running_loop().time()
            if link is self._link:
                self._dispatch.round_trip_seconds = smoothed(self._dispatch.round_trip_seconds, answered_at - asked_at)
            self._answered(Sent(work, token, now, now), read_reply(reply), policies, answered_at)

    # -------------------------------------------------------------------------------------------- behind a marker
    def claim_command(self, work: Work) -> tuple[str, Command]:
        """The token and the command of an exchange that only claims, whenever the server comes to it: waiting.py."""
        token = self._next_token()
        return token, exchange_command(
            work.queue.keys,
            now_ms=0,
            token=token,
            lock_ms=self._lock_ms,
            room=work.room,
            free=work.free,
            allow_plain=self._allow_plain,
            worker_name=self._worker_name,
            names=self._left.names_to_claim,
            cursor=work.cursor,
        )

    def read_claim(self, work: Work, token: str, answer: Sequence[Any], answered_at: float) -> int:
        """How many jobs the answer to `claim_command` brought; they have been started."""
        reply = read_reply(answer)
        self._server.clock.hear(reply.now_ms)
        self._clock_gaps_ms.append(self._server.clock.now_ms() - reply.now_ms)
        executed_ms = reply.now_ms + min(
            self._clock_gaps_ms
        )  # on our clock: the smallest gap has the least delay in it
        is_troubled = self._read_notes(work.queue, reply.notes)
        self._claimed(Sent(work, token, reply.now_ms, executed_ms), reply, answered_at, is_troubled=is_troubled)
        return reply.claimed

    def claim_refused(self, work: Work, token: str, failure: Failure) -> None:
        self._refused(work, token, failure)

    # -------------------------------------------------------------------------------------------- no answer
    def _unanswered(self, work: Work, token: str, error: Unavailable) -> None:
        self._dispatch.unanswered(work)
        work.queue.fetching.unanswered("claim")
        work.queue.outbox.put_back(work.batch)
        if not error.outcome_unknown:
            for attempt in work.batch:
                attempt.times_sent -= 1
        elif work.room:
            self.give_up(work.queue, token)

    def _refused(self, work: Work, token: str, failure: Failure) -> None:
        """The whole exchange was answered with an error. Too large a request is halved until the guilty verdict is
        alone; that one fails its job. Everything else is tried again, and shown in /health. An error from the middle
        of the script may have left claimed jobs behind: they are looked for as if no answer had come.
        """
        queue = work.queue
        self._dispatch.unanswered(work)
        if work.room:
            queue.fetching.answered("claim", asyncio.get_running_loop().time())
        queue.outbox.put_back(work.batch)
        may_have_run = failure.kind in {Kind.PERMANENT, Kind.UNKNOWN} or failure.code == "PERM"
        if not may_have_run:
            for attempt in work.batch:
                attempt.times_sent -= 1
        elif work.room:
            self.give_up(queue, token)
        if failure.code in {"Q_REQ", "Q_REC"} and work.batch:
            if len(work.batch) == 1:
                self._replace_verdict(queue, work.batch[0], failure)
            self._dispatch.send_fewer(queue, len(work.batch))
            return
        self._leave_alone(queue, failure)

    def _leave_alone(self, queue: ServedQueue, failure: Failure) -> None:
        if closes_connection(failure):  # it came from inside the script: the link takes it for an answer
            self._server.report(failure)
        self._dispatch.refused(queue, "fetch", failure, asyncio.get_running_loop().time())

    def _replace_verdict(self, queue: ServedQueue, attempt: Attempt, failure: Failure) -> None:
        queue.outbox.take_out(attempt)
        if isinstance(attempt.verdict, Completed):
            attempt.verdict = Failed(f"The return value could not be stored: {failure.summary} Return less.", None)
        elif isinstance(attempt.verdict, RetryLater | Failed):
            attempt.verdict = Failed(attempt.verdict.reason[:1000], b"")
        queue.outbox.put(attempt)

    # -------------------------------------------------------------------------------------------- the answer
    def _answered(self, sent: Sent, reply: Reply, policies: Policies, answered_at: float) -> None:
        work, queue = sent.work, sent.work.queue
        troubled = bool(work.batch) and self._settle(queue, work.batch, reply.statuses, policies, answered_at)
        if reply.notes:
            troubled = self._read_notes(queue, reply.notes) or troubled
        self._claimed(sent, reply, answered_at, is_troubled=troubled)

    def _claimed(self, sent: Sent, reply: Reply, answered_at: float, *, is_troubled: bool) -> None:
        dispatch, work, queue = self._dispatch, sent.work, sent.work.queue
        self.answered += 1
        if work.room:
            queue.fetching.answered("claim", answered_at)
            queue.has_limits = bool(reply.limit_ms) or reply.blocked == MAXED
            self._note_foreign(work, reply, answered_at)
            dispatch.answered(work, _claim_answer(reply, answered_at, self._server.clock.now_ms()))
            if not is_troubled and queue.refusals:
                dispatch.accepted(queue, "fetch", answered_at)
        elif reply.left:
            dispatch.hint(queue)
        else:
            dispatch.tell()
        if reply.runs:
            queue.last_job_at = answered_at
            self._take(queue, reply.runs, sent.token, sent.processed_on_ms, sent.executed_ms)
        queue.active_elsewhere = reply.active > len(queue.held)
        if work.room:
            self._claims_settled(queue)

    def _note_foreign(self, work: Work, reply: Reply, answered_at: float) -> None:
        """Of two that set out with the same cursor the first one counts; and none that set out before an outage."""
        queue = work.queue
        if reply.foreign:
            queue.last_job_at = answered_at  # so that the next marker goes on to others without a round trip
            self._left.met(queue.name, [foreign.name for foreign in reply.foreign])
        if work.cursor != queue.cursor:
            return
        if queue.has_foreign and reply.cursor == START:
            self._left.seen(queue.name, ())
        queue.learned(reply.cursor, reply.last_event_id)

    def _read_notes(self, queue: ServedQueue, notes: Sequence[tuple[bytes, bytes]]) -> bool:
        """True if one says that the server is in trouble."""
        troubled = False
        for job_id, note in notes:
            text = note.decode("utf-8", "replace")
            if job_id:
                self._emit(JobUnreadable(queue.name, job_id.decode("utf-8", "replace"), text))
            else:
                self._leave_alone(queue, classify(ResponseError(text), target=self._server.target))
                troubled = True
        return troubled

    def _settle(
        self,
        queue: ServedQueue,
        batch: list[Attempt],
        statuses: list[int | bytes],
        policies: Policies,
        answered_at: float,
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
        self._dispatch.send_as_many_as_allowed(queue)
        if finished:
            self._dispatch.finished += len(finished)
            queue.last_job_at = answered_at
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
                self._retry_with(
                    queue, attempt, attempt.failed(f"Job {job_id} has pending dependencies. moveToFinished", None)
                )
                return False
            case Answer.FAILED_CHILDREN:
                reason = f"Cannot complete job {job_id} because it has at least one failed child. moveToFinished"
                self._retry_with(queue, attempt, failed_unrecoverably(claim, reason))
                return False
            case Answer.ERROR:
                failure = classify(ResponseError(_text(status)), target=self._server.target)
                if failure.retryable:
                    queue.outbox.put(attempt)
                    self._leave_alone(queue, failure)
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


def _claim_answer(reply: Reply, now: float, now_ms: int) -> ClaimAnswer:
    due_at = now + (reply.next_due_ms - now_ms) / 1000 + 0.001 if reply.next_due_ms else None
    limit_seconds = min(reply.limit_ms / 1000, LONGEST_LIMIT_SECONDS)
    closed = Closed(now + limit_seconds, "limited") if reply.limit_ms > 0 else None
    return ClaimAnswer(bool(reply.plenty), bool(reply.left or reply.more), due_at, closed)


def _text(status: int | bytes) -> str:
    return status.decode("utf-8", "replace") if isinstance(status, bytes) else f"unexpected status {status}"
