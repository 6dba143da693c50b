"""How does an idle worker learn of a job? It blocks on the markers of its queues, for as long as is cheap and safe.

A popped marker is a promise: whoever pops it claims before it blocks again, or puts it back. While jobs come, an
exchange that claims is sent right behind the blocked command: the server executes it as soon as a marker is there, and
the job comes with the same answer, a round trip earlier.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from redis.exceptions import ResponseError

from oxcart.clock import now_ms
from oxcart.connection.failures import classify
from oxcart.connection.link import Link, Server
from oxcart.connection.recovery import backoff_seconds
from oxcart.errors import ServerRefused, Unavailable
from oxcart.protocol.exchange import MAX_ITEMS
from oxcart.protocol.scripts import Command
from oxcart.worker.board import Board, Work
from oxcart.worker.exchange import Exchanger
from oxcart.worker.served_queue import ServedQueue

SHORT_SECONDS = 5.0  # while jobs come, or a limit may end without a marker
WITH_DELAYED_SECONDS = 10.0  # BullMQ's own bound: a delay marker may have gone with another worker
LONG_SECONDS = 20.0  # design, section 4: three commands a minute
JOBS_COME_SECONDS = 110.0  # the third idle minute is cheap from its beginning
WITHOUT_ROOM_SECONDS = 2.0  # one queue's slots are taken: when one becomes free, its marker must be watched again
ANSWER_MARGIN_SECONDS = 3.0
REFUSED_SECONDS = 2.0
GLANCE_EVERY_SECONDS = 0.05  # at other queues, while one has plenty


class Waiter:
    """Blocks on the markers whenever there is room and nothing to claim."""

    def __init__(
        self, board: Board, server: Server, link: Link, look_link: Link, exchanger: Exchanger, *, claims_ahead: bool
    ) -> None:
        self._board = board
        self._server = server
        self._link = link
        self._look_link = look_link
        self._exchanger = exchanger
        self._claims_ahead = claims_ahead
        self._ahead: tuple[ServedQueue, str] | None = None
        self._turn = 0

    async def run(self) -> None:
        refusals = 0
        while True:
            self._board.calm.clear()
            try:
                await self._wait_once()
                refusals = 0
            except Unavailable:
                await self._server.wait_until_ready()
            except ServerRefused as error:
                refusals += 1
                self._board.note_trouble(error.failure)
                await asyncio.sleep(max(REFUSED_SECONDS, backoff_seconds(refusals, error.failure.kind)))

    async def _wait_once(self) -> None:
        """Block on all markers once everything is quiet; beside a queue that has plenty, glance at the others.

        One blocked call must cover every queue: a job added to one that it leaves out would wait for its timeout.
        """
        board = self._board
        if board.claims_allowed and not board.stopping:
            quiet = [queue for queue in board.queues if queue.is_resting or not (queue.hot or queue.claims_in_flight)]
            with_room = [queue for queue in quiet if board.free_slots(queue) > 0 and not queue.is_resting]
            if len(quiet) == len(board.queues) and with_room:
                await self._block(with_room)
                return
            if any(queue.abundant for queue in board.queues):
                await asyncio.sleep(GLANCE_EVERY_SECONDS)
                await self._glance(with_room)
                return
        await board.calm.wait()

    def let_go(self) -> None:
        """Close the socket: the server forgets a blocked client at once, so no marker is popped for nobody, and what
        was sent behind it is not executed. Should that have just happened, the adopter is told.
        """
        self._link.close()
        self._ahead_is_lost()

    def _ahead_is_lost(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            self._exchanger.give_up(*ahead)

    async def _glance(self, queues: list[ServedQueue]) -> None:
        """Pop the markers that are there, without waiting."""
        if not queues:
            return
        replies = await self._look_link.requests([("ZPOPMIN", queue.keys.marker) for queue in queues])
        for queue, reply in zip(queues, replies, strict=True):
            if isinstance(reply, list) and reply:
                await self._popped(queue, reply[0], float(reply[1]))

    def _patience(self, queues: list[ServedQueue]) -> float:
        now = time.monotonic()
        if len(queues) < len(self._board.queues):
            return WITHOUT_ROOM_SECONDS
        if any(queue.has_limits or now - queue.last_job_at < JOBS_COME_SECONDS for queue in queues):
            return SHORT_SECONDS
        if any(queue.next_due_ms for queue in queues):
            return WITH_DELAYED_SECONDS
        return LONG_SECONDS

    async def _block(self, queues: list[ServedQueue]) -> None:
        seconds = self._patience(queues)
        self._board.longest_wait_seconds = seconds
        self._turn += 1
        turn = self._turn % len(queues)
        rotated = [*queues[turn:], *queues[:turn]]
        markers = [queue.keys.marker for queue in rotated]
        pop: Command = ("BZPOPMIN", *markers, seconds)
        likeliest = max(queues, key=lambda queue: queue.last_job_at)
        if self._claims_ahead and time.monotonic() - likeliest.last_job_at < JOBS_COME_SECONDS:
            await self._block_and_claim(queues, pop, seconds, likeliest)
            return
        reply = await self._link.request(*pop, deadline_seconds=seconds + ANSWER_MARGIN_SECONDS)
        self._board.note_answer()
        await self._read_pop(queues, reply)

    async def _read_pop(self, queues: list[ServedQueue], reply: Sequence[bytes] | None) -> None:
        if reply is None:
            await self._timed_out(queues)
            return
        key, member, score = reply
        queue = next(queue for queue in queues if queue.keys.marker.encode() == key)
        await self._popped(queue, member, float(score))

    async def _block_and_claim(
        self, queues: list[ServedQueue], pop: Command, seconds: float, queue: ServedQueue
    ) -> None:
        """Block, and have jobs of the likeliest queue claimed as soon as that ends."""
        room = min(self._board.free_slots(queue), MAX_ITEMS)
        work = Work(queue, [], room, room, queue.wakes)
        token, claim = self._exchanger.claim_ahead(work)
        self._ahead = (queue, token)
        try:
            popped, claimed = await self._link.requests((pop, claim), deadline_seconds=seconds + ANSWER_MARGIN_SECONDS)
        except Unavailable as error:
            if error.outcome_unknown:
                self._ahead_is_lost()
            raise
        finally:
            self._ahead = None
        if isinstance(popped, ResponseError):
            raise ServerRefused(classify(popped, target=self._server.target), "Waiting for jobs") from popped
        if isinstance(claimed, ResponseError):  # it does not know the script: the exchange that follows sends it
            await self._read_pop(queues, popped)
            return
        queue.hot = True
        jobs = self._exchanger.read_ahead(work, token, claimed)
        is_ours = popped is not None and popped[0] == queue.keys.marker.encode()
        if popped is None:
            await self._timed_out([other for other in queues if other is not queue])
        elif not is_ours or (not jobs and popped[1] == b"0"):
            # Another queue's, or the promise of this marker is not kept: a proxy may have run our claim before the pop.
            await self._read_pop(queues, popped)

    async def _popped(self, queue: ServedQueue, member: bytes, score: float) -> None:
        if self._board.free_slots(queue) <= 0:
            await self._look_link.request("ZADD", queue.keys.marker, score, member)
            return
        due_in_ms = score - now_ms()
        if member == b"0" or due_in_ms <= 0:
            queue.hot = True
            queue.wakes += 1
            await self._exchanger.exchange_once()  # at once: waking its own task takes longer than the server needs
            return
        queue.next_due_ms = int(score)
        queue.wake_in(due_in_ms / 1000 + 0.001, self._board.wake)

    async def _timed_out(self, queues: list[ServedQueue]) -> None:
        """A limit may have ended, or a marker gone with a worker that died before it claimed: no new one is sent.

        While jobs come we ask as BullMQ for Node does, after each wait; later the caretaker looks once a minute.
        """
        jobs_came = time.monotonic() - JOBS_COME_SECONDS
        for queue in queues:
            if queue.has_limits or queue.last_job_at > jobs_came:
                self._board.wake(queue)
            elif queue.next_due_ms:
                first = await self._look_link.request("ZRANGE", queue.keys.delayed, 0, 0, "WITHSCORES")
                note_next_due(self._board, queue, first)


def note_next_due(board: Board, queue: ServedQueue, first: list[bytes]) -> None:
    """`first` is the earliest of `delayed` with its score: epoch ms x 4096."""
    queue.next_due_ms = int(float(first[1])) // 4096 if first else 0
    if queue.next_due_ms:
        queue.wake_in((queue.next_due_ms - now_ms()) / 1000 + 0.001, board.wake)
