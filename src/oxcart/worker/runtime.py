"""What is a running worker? Read first: start, the loops, stop. Each loop's own file says how it works.

Waiter ── a marker pops ──> Board ── work ──> Exchanger x 2 ── claims ──> Attempt ── verdict ──> Board
beside them: LockRenewer (a thread), Caretaker (stalled jobs), Adopter (lost replies)
"""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import Coroutine, Sequence
from typing import Any

from oxcart.connection.blocking import BlockingLink
from oxcart.connection.link import Server
from oxcart.errors import OxcartError
from oxcart.handlers import Handlers
from oxcart.names import names_to_claim
from oxcart.protocol.keys import QueueKeys
from oxcart.queue.schedules import OWN_QUEUE
from oxcart.settings import QueueShare, WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import (
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from oxcart.worker import shutdown
from oxcart.worker.adopt import Adopter
from oxcart.worker.board import Board
from oxcart.worker.exchange import Exchanger
from oxcart.worker.intake import Intake
from oxcart.worker.items import keep_policy
from oxcart.worker.locks import LockRenewer
from oxcart.worker.served_queue import ServedQueue
from oxcart.worker.stalled import Caretaker
from oxcart.worker.status import RedisStatus, WorkerStatus
from oxcart.worker.unhandled import Unhandled
from oxcart.worker.waiting import Waiter

HEALTH_MARGIN_SECONDS = 5.0  # design 3.3
STOP_SCAN_SECONDS = 0.5
OWN_QUEUE_LOOK_SECONDS = 600.0  # only our own schedules use it: nobody's marker can be lost but ours


class Worker:
    """Serves the queues of its settings, and `oxcart` for our own recurring jobs, until `stop`."""

    def __init__(
        self,
        server: Server,
        handlers: Handlers,
        settings: WorkerSettings,
        emit: Emit,
        *,
        version: str,
        announces_starts: bool = False,
    ) -> None:
        self.worker_id = uuid.uuid4().hex
        self.name = f"oxcart-{self.worker_id[:8]}"
        self.failed = False
        self._server = server
        self._handlers = handlers
        self._settings = settings
        self._emit = emit
        self._version = version
        self._announces_starts = announces_starts
        self._started_at = time.monotonic()
        self._state = "starting"
        self._hurry = asyncio.Event()
        self._reconnected = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._board = Board(
            [self._served(share) for share in self._shares()], settings.concurrency, emit, prefetches=settings.prefetch
        )
        self.names = names_to_claim(handlers, settings)
        self.unhandled = Unhandled(handlers, settings, emit, worker_name=self.name)
        self._build_loops()

    def names_changed(self) -> None:
        """What a handler lacks has changed: its name begins or ceases to be claimed."""
        self.names = names_to_claim(self._handlers, self._settings)

    def _shares(self) -> Sequence[QueueShare]:
        shares = list(self._settings.queues)
        if all(share.name != OWN_QUEUE for share in shares):
            shares.append(QueueShare(OWN_QUEUE, None))
        return shares

    def _served(self, share: QueueShare) -> ServedQueue:
        look_every = OWN_QUEUE_LOOK_SECONDS if share.name == OWN_QUEUE else 60.0
        keys = QueueKeys(share.name, self._settings.prefix)
        return ServedQueue(keys, share.share or self._settings.concurrency, look_every)

    def _build_loops(self) -> None:
        settings, server, board, emit = self._settings, self._server, self._board, self._emit
        keep = (keep_policy(settings.keep_completed), keep_policy(settings.keep_failed))
        self._links = [server.link(f"exchange {number}") for number in (1, 2)]
        self._link = server.link("commands")
        self._blocking = server.link("blocking", client_name=self._client_name(board.queues[0]))
        self._named = [server.link("name", client_name=self._client_name(queue)) for queue in board.queues[1:]]
        self._intake = Intake(
            board,
            self._handlers,
            settings,
            self._link,
            emit=emit,
            announces_starts=self._announces_starts,
            renew_locks=lambda: self._locks.renew_now(),  # noqa: PLW0108 - it is made below
            too_many_deaf=self._stop_half_deaf,
        )
        self._adopter = Adopter(server, self._link, settings.lock_duration_ms, emit=emit, take=self._intake.take)
        self._exchangers = [
            Exchanger(
                board,
                server,
                link,
                worker_id=f"{self.worker_id}{'ab'[number]}",
                lock_duration_ms=settings.lock_duration_ms,
                keep=keep,
                allow_plain=settings.exchange == "own",
                worker_name=self.name,
                emit=emit,
                take=self._intake.take,
                give_up=self._adopter.expect,
            )
            for number, link in enumerate(self._links)
        ]
        self._waiter = Waiter(
            board, server, self._blocking, self._link, self._exchangers[0], claims_ahead=settings.prefetch
        )
        self._caretaker = Caretaker(
            board,
            server,
            self._link,
            interval_ms=settings.stalled_interval_ms,
            max_stalled_count=settings.max_stalled_count,
            emit=emit,
        )
        self._locks = LockRenewer(
            BlockingLink(server.target, "locks"),
            board.queues,
            settings.lock_duration_ms,
            emit=emit,
            on_lost=self._intake.claim_lost,
            on_answer=board.note_answer,
        )

    def _client_name(self, queue: ServedQueue) -> str:
        """How Node's getWorkers and bull-board find the workers of a queue in CLIENT LIST."""
        encoded = base64.b64encode(queue.name.encode()).decode()
        return f"{queue.keys.prefix}:{encoded}:w:{self.name}"

    # -------------------------------------------------------------------------------------------- start
    async def start(self) -> None:
        """Begin; returns at once, whether or not Redis is there. May be called once."""
        self._server.on_ready(self._reconnected.set)
        self._server.on_lost(self._redis_lost)
        self._locks.start()
        self._state = "running"
        self._main = asyncio.create_task(self._run(), name="worker")
        self._emit(
            WorkerStarted(
                self._version,
                tuple(queue.name for queue in self._board.queues),
                self._settings.concurrency,
                self._handlers.names,
                self._settings.shutdown_grace_seconds,
            )
        )

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name, loop in self._loops():
                group.create_task(loop, name=name)

    def _loops(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        return [
            ("recovery", self._recover_after_each_outage()),
            *((f"exchange:{i}", exchanger.run()) for i, exchanger in enumerate(self._exchangers)),
            ("waiting", self._waiter.run()),
            ("stalled", self._caretaker.run()),
            ("adoption", self._adopter.run()),
        ]

    async def _recover_after_each_outage(self) -> None:
        """In this order (design, section 4): outbox, lapsed locks, renewals, lost claims; only then new claims."""
        await self._server.wait_until_ready()
        self._reconnected.set()
        while True:
            await self._reconnected.wait()
            self._reconnected.clear()
            await self._recover()

    async def _recover(self) -> None:
        board = self._board
        while self._server.connected and any(queue.outbox.has_unconfirmed for queue in board.queues):
            board.work.set()
            board.answered.clear()
            await board.answered.wait()
        if board.held:
            await self._locks.renew_now()
            self._caretaker.hold_off_until = time.monotonic() + self._settings.lock_duration_ms / 1000
        await self._adopter.scan()
        for link in self._named:
            try:
                await link.open()
            except OxcartError:
                break  # only bull-board's list of workers misses us until the next reconnect
        if self._server.connected and not board.stopping:
            board.claims_allowed = True
            board.wake_all()

    def _redis_lost(self) -> None:
        self._board.claims_allowed = False
        self._board.answered.set()
        self._waiter.let_go()  # its socket may live, and what lies behind the blocked command is a claim

    # -------------------------------------------------------------------------------------------- stop
    async def wait(self) -> None:
        """Return when the worker has stopped; raises what a bug in a loop raised, as an ExceptionGroup."""
        assert self._main is not None
        await asyncio.wait({self._main})
        if self._stopping is not None:
            await self._stopping
        if not self._main.cancelled():
            self._main.result()

    async def stop(self, reason: str = "stop") -> None:
        """Stop claiming at once, give running jobs the grace, put the rest back. Safe to call twice, and before start;
        the second call ends the grace.
        """
        if self._main is None:
            self._state = "stopped"
            return
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(reason), name="worker:stop")
        else:
            self._hurry.set()
        await asyncio.shield(self._stopping)

    def _stop_half_deaf(self) -> None:
        """A restart frees the slots that deaf handlers take; the exit code asks the platform for one."""
        if self._stopping is None:
            self.failed = True
            self._stopping = asyncio.create_task(self._stop("half of the slots are taken by deaf handlers"))

    async def _stop(self, reason: str) -> None:
        began, finished_before = time.monotonic(), self._board.finished
        grace = self._settings.shutdown_grace_seconds
        self._state = "stopping"
        self._board.stopping = True
        self._board.claims_allowed = False
        self._waiter.let_go()
        self._intake.give_back_buffered()
        self._emit(WorkerStopping(reason, self._board.busy, grace))
        await self._adopter.scan_within(STOP_SCAN_SECONDS)
        await shutdown.drain(self._board, self._intake.interrupted, grace, self._hurry)
        self._locks.stop()
        self._intake.close()
        for queue in self._board.queues:
            queue.stop_timer()
        assert self._main is not None
        self._main.cancel()
        await asyncio.wait({self._main})
        self._state = "stopped"
        self._emit(
            WorkerStopped(
                time.monotonic() - began,
                self._board.finished - finished_before,
                len(self._intake.interrupted),
                self._board.undelivered,
            )
        )

    # -------------------------------------------------------------------------------------------- status
    def status(self) -> WorkerStatus:
        """A snapshot; safe to call from any thread."""
        board, server = self._board, self._server
        answered = board.first_answer_at is not None
        age = time.monotonic() - board.last_answer_at if answered else None
        patience = max(board.longest_wait_seconds, 20.0) + HEALTH_MARGIN_SECONDS
        failure = server.failure or board.trouble
        counts = [queue.dead_letters for queue in board.queues]
        known = [count for count in counts if count is not None]
        return WorkerStatus(
            healthy=server.connected and board.trouble is None and age is not None and age <= patience,
            state=self._state,
            queue_names=tuple(share.name for share in self._settings.queues),
            concurrency=self._settings.concurrency,
            jobs_processing=board.busy,
            unknown_jobs=tuple(self._intake.unknown_names),
            dead_letters=sum(known) if known else None,
            uptime_seconds=time.monotonic() - self._started_at,
            loop_lag_seconds=self._locks.loop_lag_seconds,
            redis=RedisStatus(
                connected=server.connected,
                failure=failure,
                host=server.target.host,
                port=server.target.port,
                tls=server.target.tls,
                last_fetch_age_seconds=age,
                reconnect_attempts=server.reconnect_attempts,
            ),
            exchanges=sum(exchanger.answered for exchanger in self._exchangers),
            outbox_verdicts=board.undelivered,
            unhandled=self.unhandled.shown,
        )
