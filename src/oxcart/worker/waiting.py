"""How does an idle worker learn of a job? One waiter a queue blocks on the marker, for as long as is cheap and safe.

A popped marker is a promise: whoever pops it claims before it blocks again, or puts it back. While jobs follow on each
other, a claim is sent right behind the blocked pop: the server executes it as soon as a marker is there, and the job
comes with the same answer, a round trip earlier. What it claims for a worker that has become unreachable is lost to
everyone until its locks end; so it lies there for a moment only, and the wait before it has proved the link.

Beside jobs that it leaves to others it does not pop the marker, which stays there for them: it blocks on the queue's
events, behind those that its last claim has seen, and claims whenever one comes. Of a queue that keeps no events
(`opts.maxLenEvents` 0) nothing can be heard: there it claims once a second.

Each queue has a waiter and a socket of its own: nothing that one queue does (a broken key, a limit, a backlog) is in
the way of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from oxcart.connection.failures import classify
from oxcart.connection.link import Link
from oxcart.errors import ServerRefused, Unavailable
from oxcart.protocol.scripts import Command
from oxcart.worker.adopt import Adopter
from oxcart.worker.common import Common
from oxcart.worker.dispatch import Dispatch
from oxcart.worker.exchange import Exchanger
from oxcart.worker.phases import Idle, Rest
from oxcart.worker.served_queue import ServedQueue

BEHIND_SECONDS = 0.5  # with a claim behind it; longer, and a worker that is cut off takes jobs with it
FOLLOW_WITHIN_SECONDS = 1.0  # jobs that come more rarely than this are not in such a hurry
ATTENTIVE_SECONDS = 2.0  # while jobs come: with the margin, a socket that hangs is noticed within 5 s
LIMITED_SECONDS = 5.0  # a limit may end without a marker
LOOK_EVERY_SECONDS = 5.0  # while jobs come: a marker may have gone with a worker that died before it claimed
WITH_DELAYED_SECONDS = 10.0  # BullMQ's own bound: a delay marker may have gone with another worker
LONG_SECONDS = 20.0  # three commands a minute
LONGEST_SECONDS = 60.0  # on further queues: that the server answers at all shows on the first one
JOBS_COME_SECONDS = 110.0  # the third idle minute is cheap from its beginning
ANSWER_MARGIN_SECONDS = 2.5
WITHOUT_EVENTS_SECONDS = 1.0
EVENTS_APART_SECONDS = 0.02  # beside foreign jobs, when events come that bring us nothing: each costs a look
IDLE_LOOKS_AT_ONCE = 3  # the end of a job of our own is an event, too


class Waiter:
    """Blocks on the marker of one queue whenever there is room and nothing to claim. `longest_seconds` per wait."""

    def __init__(
        self,
        common: Common,
        queue: ServedQueue,
        link: Link,
        exchanger: Exchanger,
        adopter: Adopter,
        *,
        longest_seconds: float,
    ) -> None:
        self._dispatch = common.dispatch
        self._server = common.server
        self._claims_ahead = common.settings.prefetch
        self._queue = queue
        self._link = link
        self._exchanger = exchanger
        self._adopter = adopter
        self._longest_seconds = longest_seconds
        self._sent_behind: str | None = None
        self._idle_looks = 0
        self._looked_at = 0.0

    async def run(self) -> None:
        loop, dispatch, queue = asyncio.get_running_loop(), self._dispatch, self._queue
        while True:
            step = dispatch.next_wait(queue, loop.time())
            if isinstance(step, Rest):
                await dispatch.rest(step.until)
                continue
            try:
                await self._block(loop.time())
            except Unavailable:
                queue.fetching.unanswered("wait")
                await self._server.wait_until_ready()
            except ServerRefused as error:
                queue.fetching.answered("wait", loop.time())
                dispatch.refused(queue, "watch", error.failure, loop.time())

    def let_go(self) -> None:
        """Close the socket: the server forgets a blocked client at once, so no marker is popped for nobody, and what
        was sent behind it is not executed. Should that have just happened, the adopter is told.
        """
        self._link.close()
        if self._sent_behind is not None:
            self._adopter.expect(self._queue, self._sent_behind)

    def _patience(self, now: float) -> float:
        queue = self._queue
        if _is_deaf(queue):
            return WITHOUT_EVENTS_SECONDS
        if queue.has_limits:
            return LIMITED_SECONDS
        if self._jobs_come(now):
            return ATTENTIVE_SECONDS
        return WITH_DELAYED_SECONDS if _due_at(queue) is not None else self._longest_seconds

    def _jobs_come(self, now: float) -> bool:
        return now - self._queue.last_job_at < JOBS_COME_SECONDS

    def _may_claim_behind(self, now: float) -> bool:
        """Not if a delayed job is due meanwhile: then the exchanger claims, at that time."""
        due_at = _due_at(self._queue)
        follow = now - self._queue.last_job_at < FOLLOW_WITHIN_SECONDS
        return self._claims_ahead and follow and (due_at is None or due_at >= now + BEHIND_SECONDS)

    async def _block(self, now: float) -> None:
        dispatch, queue, loop = self._dispatch, self._queue, asyncio.get_running_loop()
        by_events, claims_behind = queue.has_foreign, self._may_claim_behind(now)
        seconds = BEHIND_SECONDS if claims_behind else self._patience(now)
        block = _next_event(queue, seconds) if by_events else ("BZPOPMIN", queue.keys.marker, seconds)
        queue.fetching.asked("wait", now + seconds)
        if claims_behind:
            came, jobs = await self._block_and_claim(block, seconds, now)
            if not by_events and came is not None and not jobs and came[1] == b"0" and not queue.has_foreign:
                dispatch.hint(queue)  # what the marker promised was not there: a proxy may have run our claim before
        else:
            came, jobs = await self._link.request(*block, deadline_seconds=seconds + ANSWER_MARGIN_SECONDS), 0
            queue.fetching.answered("wait", loop.time())
            dispatch.accepted(queue, "watch", loop.time())
            if came is None:
                await self._timed_out(loop.time())
            elif by_events:
                dispatch.hint(queue)
            else:
                await self._read_pop(came)
        self._idle_looks = self._idle_looks + 1 if by_events and came and not jobs else 0
        if self._idle_looks > IDLE_LOOKS_AT_ONCE:
            await asyncio.sleep(EVENTS_APART_SECONDS)

    async def _block_and_claim(self, block: Command, seconds: float, now: float) -> tuple[Any, int]:
        """Block, and have jobs claimed as soon as that ends. What the claim brought is taken whatever the first answer
        says. Returns that, and how many jobs came.
        """
        dispatch, queue, loop = self._dispatch, self._queue, asyncio.get_running_loop()
        work = dispatch.claim_behind_marker(queue, now)
        claim = self._exchanger.claim_behind_marker(work)
        self._sent_behind = claim.token
        try:
            came, claimed = await self._link.requests(
                (block, claim.command), deadline_seconds=seconds + ANSWER_MARGIN_SECONDS
            )
        except BaseException as error:
            dispatch.answered(work)
            if not isinstance(error, Unavailable) or error.outcome_unknown:
                self._adopter.expect(queue, claim.token)
            raise
        finally:
            self._sent_behind = None
        queue.fetching.answered("wait", loop.time())
        jobs = 0
        if isinstance(claimed, ResponseError):
            failure = classify(claimed, target=self._server.target)
            if failure.code == "NOSCRIPT":  # the exchange that follows sends it whole
                dispatch.answered(work)
            else:
                self._exchanger.refused(claim, failure)
        else:
            jobs = self._exchanger.read_claim(claim, claimed, loop.time())
        if isinstance(came, ResponseError):
            raise ServerRefused(classify(came, target=self._server.target), "Waiting for jobs") from came
        dispatch.accepted(queue, "watch", loop.time())
        return came, jobs

    async def _read_pop(self, popped: Sequence[Any]) -> None:
        dispatch, queue, now = self._dispatch, self._queue, asyncio.get_running_loop().time()
        _, member, score = popped
        due_in_ms = float(score) - self._server.clock.now_ms()
        if member != b"0" and due_in_ms > 0:
            dispatch.one_is_due(queue, now + due_in_ms / 1000 + 0.001)
        elif dispatch.room(queue, now)[0] > 0:
            dispatch.hint(queue)
        else:  # the slots went to other queues while this one was watched: somebody else may have room
            dispatch.hint(queue)
            await self._link.request("ZADD", queue.keys.marker, score, member)

    async def _timed_out(self, now: float) -> None:
        """A limit may have ended, or a marker gone with a worker that died before it claimed: no new one is sent.

        While jobs come we look every 5 s, where BullMQ for Node claims; later the caretaker does, once a minute.
        """
        queue = self._queue
        if queue.has_limits or _is_deaf(queue):
            self._dispatch.hint(queue)
        elif self._jobs_come(now):
            if now - max(self._looked_at, queue.last_job_at) >= LOOK_EVERY_SECONDS:
                self._looked_at = now
                if await look(self._link, self._dispatch, queue):
                    self._dispatch.hint(queue)
        elif _due_at(queue) is not None:
            first = await self._link.request("ZRANGE", queue.keys.delayed, 0, 0, "WITHSCORES")
            note_first_due(self._dispatch, queue, first, self._server.clock.now_ms())


def _next_event(queue: ServedQueue, seconds: float) -> Command:
    """One is enough: the claim that follows it has seen all that came before its answer."""
    block_ms, last = round(seconds * 1000), queue.last_event_id or "$"
    return ("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", queue.keys.events, last)


def _is_deaf(queue: ServedQueue) -> bool:
    """Beside foreign jobs in a queue that keeps no events."""
    return queue.has_foreign and not queue.last_event_id


async def look(link: Link, dispatch: Dispatch, queue: ServedQueue) -> bool:
    """Is there what nobody was told of? True if jobs wait; what else it sees is noted."""
    keys = queue.keys
    waiting, first, active = await link.requests(
        [
            ("EXISTS", keys.wait, keys.prioritized),
            ("ZRANGE", keys.delayed, 0, 0, "WITHSCORES"),
            ("LLEN", keys.active),
        ]
    )
    if isinstance(first, list):
        note_first_due(dispatch, queue, first, link.clock.now_ms())
    queue.active_elsewhere = _count(active) > len(queue.held)
    queue.seen_waiting = _count(waiting) > 0
    return queue.seen_waiting


def _count(reply: Any) -> int:
    return reply if isinstance(reply, int) else 0


def note_first_due(dispatch: Dispatch, queue: ServedQueue, first: list[bytes], now_ms: int) -> None:
    """`first` is the earliest of `delayed` with its score: epoch ms x 4096."""
    if first:
        due_in_ms = float(first[1]) // 4096 - now_ms
        dispatch.one_is_due(queue, asyncio.get_running_loop().time() + due_in_ms / 1000 + 0.001)


def _due_at(queue: ServedQueue) -> float | None:
    return queue.phase.due_at if isinstance(queue.phase, Idle) else None
