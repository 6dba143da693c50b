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
from oxcart.errors import Failure, Kind, ServerRefused, Unavailable
from oxcart.protocol import exchange as wire
from oxcart.protocol.exchange import START, Reply, exchange_command, read_reply
from oxcart.protocol.scripts import Command, ours, run
from oxcart.telemetry.events import FinishedJob, JobAbandoned, JobsFinished, JobUnconfirmed, JobUnreadable
from oxcart.verdicts import Completed, Failed, RetryLater, Verdict
from oxcart.worker.adopt import Adopter
from oxcart.worker.attempt import Attempt
from oxcart.worker.common import Common
from oxcart.worker.dispatch import Work
from oxcart.worker.failing import failed_unrecoverably
from oxcart.worker.intake import Intake
from oxcart.worker.items import Policies, finished_job, items_of
from oxcart.worker.phases import LONGEST_LIMIT_SECONDS, Answer, Closed, Rest
from oxcart.worker.prefetch import smoothed
from oxcart.worker.served_queue import ServedQueue

ANSWER_WITHIN_SECONDS = 15.0
"""Managed servers stall for seconds (cold keys under a global script lock); a stuck socket still shows in time."""

_DONE = frozenset({wire.WRITTEN, wire.REPEATED})


class Sent(NamedTuple):
    """An exchange as it was sent. `now_ms` is the time that its claims carry, 0 for the server's own."""

    work: Work
    token: str
    now_ms: int
    policies: Policies
    command: Command


class Exchanger:
    """Makes exchanges: `intake` starts what they claim, `adopter` looks for claims whose answer is lost."""

    def __init__(self, common: Common, link: Link, intake: Intake, adopter: Adopter) -> None:
        self._common = common
        self._dispatch = common.dispatch
        self._server = common.server
        self._emit = common.emit
        self._link = link
        self._intake = intake
        self._adopter = adopter
        self.answered = 0
        self._clock_gaps_ms: deque[int] = deque(maxlen=8)
        self._number = 0

    async def run(self, link: Link, next_work: Callable[[float], Work | Rest]) -> None:
        """One of the loops: two for all, one for large verdicts, which are in nobody's way on a link of their own."""
        loop = asyncio.get_running_loop()
        while True:
            self._intake.give_back()
            step = next_work(loop.time())
            if isinstance(step, Rest):
                await self._dispatch.rest(step.until)
            else:
                await self._exchange(step, loop.time(), link)

    def _to_send(self, work: Work, now_ms: int) -> Sent:
        self._number += 1
        common, token = self._common, f"{self._common.worker_id}:{self._number}"
        policies = Policies(common.settings)
        items = items_of(work.batch, policies)
        command = exchange_command(
            work.queue.keys,
            now_ms=now_ms,
            token=token,
            lock_ms=common.settings.lock_duration_ms,
            room=work.room,
            free=work.free,
            items=items,
            policies=policies.in_order,
            allow_plain=common.settings.exchange == "own",
            worker_name=common.worker_name,
            names=common.left.names_to_claim if work.room else None,
            cursor=work.cursor,
        )
        return Sent(work, token, now_ms, policies, command)

    async def _exchange(self, work: Work, asked_at: float, link: Link) -> None:
        for attempt in work.batch:
            attempt.times_sent += 1
        sent = self._to_send(work, self._server.clock.now_ms())
        if work.room:
            work.queue.fetching.asked("claim", asked_at + ANSWER_WITHIN_SECONDS)
        try:
            reply = await run(link, sent.command, ours("exchange"), deadline_seconds=ANSWER_WITHIN_SECONDS)
        except Unavailable as error:
            self._dispatch.answered(work)
            work.queue.fetching.unanswered("claim")
            work.queue.outbox.put_back(work.batch)
            self._may_have_run(sent, may=error.outcome_unknown)
            await self._server.wait_until_ready()
        except ServerRefused as error:
            self.refused(sent, error.failure)
        except BaseException:  # cancelled at the end of a shutdown: the verdicts stay counted as undelivered
            self._dispatch.answered(work)
            work.queue.outbox.put_back(work.batch)
            raise
        else:
            answered_at = asyncio.get_running_loop().time()
            if link is self._link:
                self._dispatch.round_trip_seconds = smoothed(self._dispatch.round_trip_seconds, answered_at - asked_at)
            self._read(sent, read_reply(reply), answered_at, sent.now_ms)

    # -------------------------------------------------------------------------------------------- behind a marker
    def claim_behind_marker(self, work: Work) -> Sent:
        """For waiting.py to send: the server comes to it whenever a marker is set."""
        return self._to_send(work, 0)

    def read_claim(self, sent: Sent, answer: Sequence[Any], answered_at: float) -> int:
        """How many jobs it brought; they have been started."""
        reply, clock = read_reply(answer), self._server.clock
        clock.hear(reply.now_ms)
        self._clock_gaps_ms.append(clock.now_ms() - reply.now_ms)
        executed_ms = reply.now_ms + min(
            self._clock_gaps_ms
        )  # on our clock: the smallest gap has the least delay in it
        self._read(sent, reply, answered_at, executed_ms)
        return reply.claimed

    # -------------------------------------------------------------------------------------------- no answer
    def _may_have_run(self, sent: Sent, *, may: bool) -> None:
        if not may:
            for attempt in sent.work.batch:
                attempt.times_sent -= 1
        elif sent.work.room:
            self._adopter.expect(sent.work.queue, sent.token)

    def refused(self, sent: Sent, failure: Failure) -> None:
        """The whole exchange was answered with an error. Too large a request is halved until the guilty verdict is
        alone; that one fails its job. Everything else is tried again, and shown in /health. An error from the middle
        of the script may have left claimed jobs behind: they are looked for as if no answer had come.
        """
        work, queue = sent.work, sent.work.queue
        self._dispatch.answered(work)
        if work.room:
            queue.fetching.answered("claim", asyncio.get_running_loop().time())
        queue.outbox.put_back(work.batch)
        may_have_run = failure.kind in {Kind.PERMANENT, Kind.UNKNOWN} or failure.code == "PERM"
        self._may_have_run(sent, may=may_have_run)
        if failure.code in {"Q_REQ", "Q_REC"} and work.batch:
            if len(work.batch) == 1:
                queue.outbox.take_out(work.batch[0])
                self._put(queue, work.batch[0], _smaller(work.batch[0].verdict, failure))
            self._dispatch.send_fewer(queue, len(work.batch))
            return
        self._leave_alone(queue, failure)

    def _leave_alone(self, queue: ServedQueue, failure: Failure) -> None:
        if closes_connection(failure):  # it came from inside the script: the link takes it for an answer
            self._server.report(failure)
        self._dispatch.refused(queue, "fetch", failure, asyncio.get_running_loop().time())

    def _put(self, queue: ServedQueue, attempt: Attempt, verdict: Verdict | None) -> None:
        """To be sent instead of the verdict that it had."""
        attempt.verdict = verdict
        attempt.times_sent = 0
        queue.outbox.put(attempt)

    # -------------------------------------------------------------------------------------------- the answer
    def _read(self, sent: Sent, reply: Reply, answered_at: float, executed_ms: int) -> None:
        """`executed_ms`: when the server claimed, on our clock."""
        dispatch, work, queue = self._dispatch, sent.work, sent.work.queue
        troubled = bool(work.batch) and self._settle(sent, reply.statuses, answered_at)
        troubled = self._read_notes(queue, reply.notes) or troubled
        self.answered += 1
        if work.room:
            queue.fetching.answered("claim", answered_at)
            queue.has_limits = bool(reply.limit_ms) or reply.blocked == wire.MAXED
            self._note_foreign(work, reply, answered_at)
            dispatch.answered(work, _answer_of_claim(reply, answered_at, self._server.clock.now_ms()))
            if not troubled and queue.refusals:
                dispatch.accepted(queue, "fetch", answered_at)
        elif reply.left:
            dispatch.marked(queue)
        else:
            dispatch.tell()
        if reply.runs:
            queue.last_job_at = answered_at
            self._intake.take(queue, reply.runs, sent.token, reply.now_ms, executed_ms)
        queue.active_elsewhere = reply.active > len(queue.held)

    def _note_foreign(self, work: Work, reply: Reply, answered_at: float) -> None:
        """Of two that set out with the same cursor the first one counts; and none that set out before an outage."""
        queue, left = work.queue, self._common.left
        if reply.foreign:
            queue.last_job_at = answered_at  # so that the next marker goes on to others without a round trip
            left.met(queue.name, [foreign.name for foreign in reply.foreign])
        if work.cursor != queue.cursor:
            return
        if queue.has_foreign and reply.cursor == START:
            left.seen(queue.name, ())
        queue.learned(reply.cursor, reply.last_event_id)

    def _read_notes(self, queue: ServedQueue, notes: Sequence[tuple[bytes, bytes]]) -> bool:
        """True if one says that the server is in trouble."""
        troubled = False
        for job_id, note in notes:
            if job_id:
                self._emit(JobUnreadable(queue.name, _text(job_id), _text(note)))
            else:
                self._leave_alone(queue, self._failure_in(note))
                troubled = True
        return troubled

    def _failure_in(self, text: bytes) -> Failure:
        return classify(ResponseError(_text(text)), target=self._server.target)

    def _settle(self, sent: Sent, statuses: Sequence[int | bytes], answered_at: float) -> bool:
        """True if the server is in trouble and verdicts are kept to be sent again."""
        queue, batch = sent.work.queue, sent.work.batch
        queue.outbox.answered(batch)
        finished: list[FinishedJob] = []
        troubled = False
        for attempt, status in zip(batch, statuses or repeat(wire.WRITTEN, len(batch)), strict=True):
            if status in _DONE:
                queue.let_go(attempt)
                finished.append(finished_job(attempt))
            else:
                troubled = self._not_written(queue, attempt, status, sent.policies) or troubled
        self._dispatch.send_as_many_as_allowed(queue)
        if finished:
            self._dispatch.finished += len(finished)
            queue.last_job_at = answered_at
            self._emit(JobsFinished(queue.name, finished))
        return troubled

    def _not_written(self, queue: ServedQueue, attempt: Attempt, status: int | bytes, policies: Policies) -> bool:
        """True if the server is in trouble and the verdict is kept to be sent again."""
        job_id, name = _text(attempt.claim.job_id), attempt.claim.name
        match status:
            case wire.PENDING_CHILDREN:
                reason = f"Job {job_id} has pending dependencies. moveToFinished"
                self._put(queue, attempt, attempt.failed(reason, None))
                return False
            case wire.FAILED_CHILDREN:
                reason = f"Cannot complete job {job_id} because it has at least one failed child. moveToFinished"
                self._put(queue, attempt, failed_unrecoverably(attempt.claim, reason))
                return False
            case bytes():
                failure = self._failure_in(status)
                if failure.retryable:
                    queue.outbox.put(attempt)
                    self._leave_alone(queue, failure)
                    return True
                self._emit(JobUnreadable(queue.name, job_id, failure.summary))
            case wire.NO_SUCH_JOB if attempt.times_sent > 1 and policies.may_have_removed(attempt):
                self._emit(JobUnconfirmed(queue.name, job_id, name))
            case _:
                reason = "it was removed" if status == wire.NO_SUCH_JOB else "another worker has claimed it"
                self._emit(JobAbandoned(queue.name, job_id, name, reason))
        queue.let_go(attempt)
        return False


def _smaller(verdict: Verdict | None, failure: Failure) -> Verdict | None:
    """What can be said of a job whose verdict is too large for the server."""
    if isinstance(verdict, Completed):
        return Failed(f"The return value could not be stored: {failure.summary} Return less.", None)
    return Failed(verdict.reason[:1000], b"") if isinstance(verdict, RetryLater | Failed) else verdict


def _answer_of_claim(reply: Reply, now: float, now_ms: int) -> Answer:
    due_at = now + (reply.next_due_ms - now_ms) / 1000 + 0.001 if reply.next_due_ms else None
    limit_seconds = min(reply.limit_ms / 1000, LONGEST_LIMIT_SECONDS)
    closed = Closed(now + limit_seconds, "limited") if reply.limit_ms > 0 else None
    return Answer(bool(reply.plenty), bool(reply.left or reply.more), due_at, closed)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
