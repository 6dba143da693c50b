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
from functools import partial
from typing import Any

from oxcart.clock import now_ms
from oxcart.connection.blocking import BlockingLink
from oxcart.connection.link import Server
from oxcart.errors import InvalidInput, OxcartError
from oxcart.handlers import Handlers
from oxcart.protocol.exchange import ClaimedJob
from oxcart.protocol.keys import QueueKeys
from oxcart.queue.schedules import advance_schedule
from oxcart.settings import QueueShare, WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import (
    HandlerDeaf,
    JobAbandoned,
    JobNameUnknown,
    WarningRaised,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from oxcart.verdicts import Abandoned, Failed, Interrupted, Returned
from oxcart.worker import shutdown
from oxcart.worker.adopt import Adopter
from oxcart.worker.attempt import Attempt, CancelReason
from oxcart.worker.board import Board
from oxcart.worker.claim import read_claim
from oxcart.worker.context import QueueChannel
from oxcart.worker.exchange import Exchanger
from oxcart.worker.handler_task import Starter
from oxcart.worker.items import keep_policy
from oxcart.worker.locks import LockRenewer
from oxcart.worker.pools import Threads
from oxcart.worker.served_queue import ServedQueue
from oxcart.worker.stalled import Caretaker
from oxcart.worker.status import RedisStatus, WorkerStatus
from oxcart.worker.waiting import Waiter

ADVANCE_AGAIN_MS = 1000  # a scheduled job whose schedule could not be advanced now comes back to try again
RETURN_DELAY_MS = 60_000  # for a job whose name nobody here handles (design 3.1)
HEALTH_MARGIN_SECONDS = 5.0  # design 3.3
OWN_QUEUE = "oxcart"
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
    ) -> None:
        self.worker_id = uuid.uuid4().hex
        self.failed = False
        self._server = server
        self._handlers = handlers
        self._settings = settings
        self._emit = emit
        self._version = version
        self._threads = Threads()
        self._starter = Starter()
        self._started_at = time.monotonic()
        self._state = "starting"
        self._unknown: dict[str, None] = {}
        self._deaf: set[Attempt] = set()
        self._interrupted: list[Attempt] = []
        self._preparing: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()
        self._reconnected = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._board = Board([self._served(share) for share in self._shares()], settings.concurrency, emit)
        self._build_loops()

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
        self._channels = {queue: QueueChannel(self._link, queue.keys) for queue in board.queues}
        self._hooks = {
            queue: (partial(self._verdict_reached, queue), partial(self._slot_freed, queue)) for queue in board.queues
        }
        self._adopter = Adopter(self._link, settings.lock_duration_ms, emit=emit, take=self._take)
        self._exchangers = [
            Exchanger(
                board,
                server,
                link,
                worker_id=f"{self.worker_id}{'ab'[number]}",
                lock_duration_ms=settings.lock_duration_ms,
                keep=keep,
                allow_plain=settings.exchange == "own",
                emit=emit,
                take=self._take,
                give_up=self._adopter.expect,
            )
            for number, link in enumerate(self._links)
        ]
        self._waiter = Waiter(board, server, self._blocking, self._link)
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
            on_lost=self._claim_lost,
            on_answer=board.note_answer,
        )

    def _client_name(self, queue: ServedQueue) -> str:
        """How Node's getWorkers and bull-board find the workers of a queue in CLIENT LIST."""
        encoded = base64.b64encode(queue.name.encode()).decode()
        return f"{queue.keys.prefix}:{encoded}:w:oxcart-{self.worker_id[:8]}"

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

    # -------------------------------------------------------------------------------------------- jobs
    def _take(self, queue: ServedQueue, job: ClaimedJob, token: str, processed_on_ms: int) -> None:
        claim = read_claim(job, token, processed_on_ms)
        earlier = queue.held.get(claim.job_id)
        spec = self._handlers.get(claim.name)
        on_verdict, on_ended = self._hooks[queue]
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
        if self._board.stopping:
            attempt.decide_without_running(Interrupted())
        elif claim.scheduler_id is not None:
            self._advance_then_start(queue, attempt)
        else:
            self._start(queue, attempt)

    def _start(self, queue: ServedQueue, attempt: Attempt) -> None:
        if attempt.spec is None and attempt.claim.deferred_failure is None:
            self._handle_unknown(queue, attempt)
        else:
            attempt.start(queue.name)

    def _advance_then_start(self, queue: ServedQueue, attempt: Attempt) -> None:
        """The next job of a schedule exists before this one begins: no crash of a handler ends a schedule."""
        task = asyncio.create_task(self._advance(queue, attempt), name=f"schedule:{attempt.claim.scheduler_id}")
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)

    async def _advance(self, queue: ServedQueue, attempt: Attempt) -> None:
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
        if name not in self._unknown:
            self._unknown[name] = None
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
            self._stop_if_half_deaf()
        if isinstance(attempt.verdict, Abandoned):
            if queue.held.get(claim.job_id) is attempt:
                del queue.held[claim.job_id]
            job_id = claim.job_id.decode("utf-8", "replace")
            self._emit(JobAbandoned(queue.name, job_id, claim.name, "another claim of it exists"))
        elif isinstance(attempt.verdict, Interrupted) and attempt.job is not None:
            self._interrupted.append(attempt)
        else:
            queue.outbox.put(attempt)
        self._board.work.set()

    def _slot_freed(self, queue: ServedQueue, attempt: Attempt) -> None:
        self._deaf.discard(attempt)
        self._board.slot_freed(queue)

    def _claim_lost(self, queue: ServedQueue, attempt: Attempt) -> None:
        if queue.held.get(attempt.claim.job_id) is attempt:
            attempt.cancel(CancelReason.CLAIM_LOST)

    def _stop_if_half_deaf(self) -> None:
        if len(self._deaf) * 2 >= self._settings.concurrency and self._stopping is None and len(self._deaf) > 1:
            self.failed = True
            self._stopping = asyncio.create_task(self._stop("half of the slots are taken by deaf handlers"))

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

    async def _stop(self, reason: str) -> None:
        began, finished_before = time.monotonic(), self._board.finished
        grace = self._settings.shutdown_grace_seconds
        self._state = "stopping"
        self._board.stopping = True
        self._board.claims_allowed = False
        self._waiter.stop()
        self._emit(WorkerStopping(reason, self._board.busy, grace))
        await shutdown.drain(self._board, self._interrupted, grace, self._hurry)
        self._locks.stop()
        self._threads.close()
        self._starter.close()
        for queue in self._board.queues:
            queue.stop_timer()
        assert self._main is not None
        for task in (self._main, *self._preparing):
            task.cancel()
        await asyncio.wait({self._main})
        self._state = "stopped"
        self._emit(
            WorkerStopped(
                time.monotonic() - began,
                self._board.finished - finished_before,
                len(self._interrupted),
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
            unknown_jobs=tuple(self._unknown),
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
        )
