"""What is a running worker? Read first: start, the loops, stop. Each loop's own file says how it works.

Waiter ── a marker pops ──> Dispatch ── work ──> Exchanger ── claims ──> Attempt ── verdict ──> Dispatch
(one a queue)                                    (two loops)
beside them: LockRenewer (a thread), Caretaker (stalled jobs), Adopter (lost replies), Recovery (after an outage),
QueueWatch (what /health tells of the queues)
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from itertools import chain, repeat
from typing import Any

from oxcart import clock
from oxcart.connection.link import Link
from oxcart.connection.server import Server
from oxcart.errors import OxcartError
from oxcart.handlers import Handlers
from oxcart.own_tasks import start_own_task, unlist
from oxcart.protocol.keys import QueueKeys
from oxcart.queue.inspect import PAUSED
from oxcart.queue.schedules import OWN_QUEUE
from oxcart.settings import QueueShare, WorkerSettings
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import (
    WorkerStarted,
    WorkerSteered,
    WorkerStopped,
    WorkerStopping,
)
from oxcart.worker import shutdown
from oxcart.worker.adopt import Adopter
from oxcart.worker.common import Common
from oxcart.worker.controls import Controls
from oxcart.worker.dispatch import Dispatch
from oxcart.worker.exchange import Exchanger
from oxcart.worker.intake import Intake
from oxcart.worker.left import LeftJobs
from oxcart.worker.listeners import Listeners
from oxcart.worker.locks import LockRenewer
from oxcart.worker.phases import CLAIMS_AT_ONCE, Closed
from oxcart.worker.recovery import Recovery
from oxcart.worker.served_queue import ServedQueue
from oxcart.worker.stalled import PROBE_EVERY_SECONDS, Caretaker
from oxcart.worker.status import RedisStatus, WorkerStatus
from oxcart.worker.waiting import LONG_SECONDS, LONGEST_SECONDS, Waiter, look
from oxcart.worker.watch import QueueWatch

HEALTH_MARGIN_SECONDS = 5.0  # docs/http.md, GET /health
STOP_SCAN_SECONDS = 0.5
LISTEN_SECONDS = 5.0  # for listeners to hear of what was done last, as far as the grace leaves it
STOP_SECONDS = 1.6  # of the 2 s that a process may take beyond the grace


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
        release: str | None = None,
        announces_starts: bool = False,
        controls: Controls | None = None,
    ) -> None:
        self.worker_id = clock.new_uuid().hex
        self.name = f"{settings.worker_name}-{self.worker_id[:8]}"
        self.failed = False
        self._server = server
        self._handlers = handlers
        self._settings = settings
        self._emit = emit
        self._version = version
        self._release = release
        self._announces_starts = announces_starts
        self._controls = controls or Controls()
        self._listeners = Listeners(handlers.listeners, emit)
        self._started_at = clock.monotonic()
        self._state = "starting"
        self._hurry = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._unsubscribe: list[Callable[[], None]] = []
        self._dispatch = Dispatch(
            [self._served(share) for share in self._shares()], settings.concurrency, emit, prefetches=settings.prefetch
        )
        self._build_loops()

    def _shares(self) -> Sequence[QueueShare]:
        shares = list(self._settings.queues)
        if all(share.name != OWN_QUEUE for share in shares):
            shares.append(QueueShare(OWN_QUEUE, None))
        return shares

    def _served(self, share: QueueShare) -> ServedQueue:
        keys = QueueKeys(share.name, self._settings.prefix)
        is_ours, limit = share.name == OWN_QUEUE, self._settings.rate_limit
        limiter = (0, 0) if limit is None or is_ours else (limit.most, limit.duration_ms)
        return ServedQueue(
            keys,
            share.share or self._settings.concurrency,
            has_own_share=share.share is not None,
            is_ours=is_ours,
            limiter=limiter,
        )

    def _build_loops(self) -> None:
        server, dispatch = self._server, self._dispatch
        self._left = LeftJobs(self._handlers, self._settings, self._emit)
        link = server.link("commands")
        self._watch = QueueWatch(dispatch, server, link, self._left, version=self._version, release=self._release)
        common = Common(
            server,
            link,
            self._handlers,
            self._settings,
            dispatch,
            self._left,
            self._listeners,
            self._watch.hearing(self._emit),
            self.worker_id,
            self.name,
        )
        self._intake = Intake(
            common,
            announces_starts=self._announces_starts,
            renew_locks=lambda: self._locks.renew_now(),  # noqa: PLW0108 - it is made below
            too_many_deaf=self._stop_half_deaf,
        )
        self._locks = LockRenewer(common, self._intake.claim_lost)
        self._adopter = Adopter(common, self._intake)
        self._exchange, self._large = server.link("exchange"), server.link("large results")
        self._exchanger = Exchanger(common, self._exchange, self._intake, self._adopter)
        self._blocking = blocking = {
            queue: server.link("blocking", client_name=self._client_name(queue)) for queue in dispatch.queues
        }
        self._links = [common.link, self._exchange, self._large, *blocking.values()]
        self._waiters = [
            Waiter(common, queue, link, self._exchanger, self._adopter, longest_seconds=longest)
            for (queue, link), longest in zip(
                blocking.items(), chain([LONG_SECONDS], repeat(LONGEST_SECONDS)), strict=False
            )
        ]
        self._caretaker = Caretaker(common)
        self._recovery = Recovery(common, self._locks, self._adopter, self._caretaker, blocking)

    def _client_name(self, queue: ServedQueue) -> str:
        """How Node's getWorkers and bull-board find the workers of a queue in CLIENT LIST."""
        encoded = base64.b64encode(queue.name.encode()).decode()
        return f"{queue.keys.prefix}:{encoded}:w:{self.name}"

    # -------------------------------------------------------------------------------------------- start
    async def start(self) -> None:
        """Begin; returns at once, whether or not Redis is there. May be called once."""
        for queue in self._dispatch.queues:
            queue.last_job_at = asyncio.get_running_loop().time()  # jobs may well come: attentive at first
        self._unsubscribe = [
            self._server.on_ready(self._dispatch.tell),
            self._server.on_lost(self._redis_lost),
        ]
        self._locks.start()
        self._state = "running"
        self._main = start_own_task(self._run(), "worker")
        self._controls.bind(self)
        self._emit(
            WorkerStarted(
                self._version,
                tuple(queue.name for queue in self._dispatch.queues),
                self._settings.concurrency,
                self._handlers.names,
                self._settings.shutdown_grace_seconds,
            )
        )

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name, loop in self._loops():
                unlist(group.create_task(loop, name=name))

    def _loops(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        dispatch, queues = self._dispatch, self._dispatch.queues
        return [
            *(
                (f"exchange:{number}", self._exchanger.run(self._exchange, dispatch.next_work))
                for number in range(CLAIMS_AT_ONCE)
            ),
            ("large results", self._exchanger.run(self._large, dispatch.next_large)),
            *((f"waiting:{queue.name}", waiter.run()) for queue, waiter in zip(queues, self._waiters, strict=True)),
            *((f"recovery:{queue.name}", self._recovery.run(queue)) for queue in queues),
            ("stalled", self._caretaker.run()),
            ("watch", self._watch.run()),
            ("adoption", self._adopter.run()),
        ]

    def _redis_lost(self) -> None:
        self._recovery.redis_lost()
        self._locks.connect_anew()
        self._let_go()

    def _let_go(self) -> None:
        """Those sockets may live, and what lies behind a blocked command is a claim."""
        for waiter in self._waiters:
            waiter.let_go()

    # -------------------------------------------------------------------------------------------- while it runs
    @property
    def concurrency(self) -> int:
        return self._dispatch.concurrency

    @property
    def jobs_processing(self) -> int:
        return self._dispatch.busy

    @property
    def is_paused(self) -> bool:
        return self._dispatch.is_paused

    def pause(self) -> None:
        """Claim nothing from now on. What was claimed and has not begun goes back, in its order; what runs goes on."""
        dispatch = self._dispatch
        if dispatch.is_paused or self._state != "running":
            return
        dispatch.is_paused = True
        self._name_links(PAUSED)
        for queue in dispatch.queues:
            queue.fetching.given_up()
        self._intake.hold_back_all()
        self._emit(WorkerSteered("paused", dispatch.concurrency, dispatch.busy))
        self._listeners.tell("paused")

    def resume(self) -> None:
        dispatch = self._dispatch
        if not dispatch.is_paused or self._state != "running":
            return
        dispatch.is_paused = False
        dispatch.note_not_asked()
        self._name_links("")
        for queue in dispatch.queues:
            dispatch.hint(queue)
        self._emit(WorkerSteered("resumed", dispatch.concurrency, dispatch.busy))
        self._listeners.tell("resumed")

    def set_concurrency(self, slots: int) -> None:
        """More are filled at once; with fewer, running jobs go on, and none begins until fewer than that run."""
        self._dispatch.set_concurrency(slots)
        self._emit(WorkerSteered("concurrency", slots, self._dispatch.busy))

    def _name_links(self, mark: str) -> None:
        """Lists of workers show who is paused. A socket gets its name when it is opened, and what lies behind a blocked
        command on the old one is not executed.
        """
        self._let_go()
        for queue, link in self._blocking.items():
            link.name(self._client_name(queue) + mark)
            self._intake.prepare(self._open_again(queue, link), f"link:{queue.name}")

    async def _open_again(self, queue: ServedQueue, link: Link) -> None:
        """The old socket may have taken a marker with it. An unreachable server is told otherwise."""
        with contextlib.suppress(OxcartError):
            await link.open()
            if await look(link, self._dispatch, queue):
                await link.request("ZADD", queue.keys.marker, 0, "0")

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
            self._stopping = start_own_task(self._stop(reason), "worker:stop")
        else:
            self._hurry.set()
        await asyncio.shield(self._stopping)

    def _stop_half_deaf(self) -> None:
        """A restart frees the slots that deaf handlers take; the exit code asks the platform for one."""
        if self._stopping is None:
            self.failed = True
            self._stopping = start_own_task(self._stop("half of the slots are taken by deaf handlers"), "worker:stop")

    async def _stop(self, reason: str) -> None:
        began, finished_before = clock.monotonic(), self._dispatch.finished
        grace = self._settings.shutdown_grace_seconds
        self._state = "stopping"
        self._dispatch.stopping = True
        self._let_go()
        self._intake.hold_back_all()
        self._emit(WorkerStopping(reason, self._dispatch.busy, grace))
        self._listeners.tell("closing")
        scanning = start_own_task(self._adopter.scan_within(STOP_SCAN_SECONDS), "worker:last scan")
        await shutdown.claims_are_answered(self._dispatch, STOP_SCAN_SECONDS)
        await scanning
        self._intake.give_back_all()
        await shutdown.drain(self._dispatch, self._intake.give_back_all, grace, self._hurry)
        self._locks.stop()
        self._intake.close()
        assert self._main is not None
        self._main.cancel()
        await asyncio.wait({self._main})
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        for link in self._links:
            link.discard()
        self._state = "stopped"
        self._controls.bind(None)
        self._listeners.tell("closed")
        await self._listeners.close(min(LISTEN_SECONDS, max(0.05, began + grace + STOP_SECONDS - clock.monotonic())))
        self._emit(
            WorkerStopped(
                clock.monotonic() - began,
                self._dispatch.finished - finished_before,
                self._intake.interrupted,
                self._dispatch.undelivered,
            )
        )

    # -------------------------------------------------------------------------------------------- status
    def status(self) -> WorkerStatus:
        """A snapshot; safe to call from any thread."""
        dispatch, server, now = self._dispatch, self._server, clock.monotonic()
        answered_at = dispatch.last_answer_at or (self._caretaker.probed_at if dispatch.is_paused else 0.0)
        trouble = dispatch.trouble
        refused = {queue.name: queue.refusal.failure for queue in dispatch.queues if queue.refusal is not None}
        is_answered = answered_at > 0 and all(self._is_fetched(queue, now) for queue in dispatch.queues)
        return WorkerStatus(
            healthy=server.connected and trouble is None and is_answered,
            state="paused" if dispatch.is_paused and self._state == "running" else self._state,
            queue_names=tuple(share.name for share in self._settings.queues),
            concurrency=dispatch.concurrency,
            jobs_processing=dispatch.busy,
            unknown_jobs=self._left.unknown_names,
            uptime_seconds=clock.monotonic() - self._started_at,
            loop_lag_seconds=self._locks.loop_lag_seconds,
            redis=RedisStatus(
                connected=server.connected,
                failure=server.failure or trouble,
                host=server.target.host,
                port=server.target.port,
                tls=server.target.tls,
                last_fetch_age_seconds=max(0.0, now - answered_at) if answered_at else None,
                reconnect_attempts=server.reconnect_attempts,
                clock_skew_seconds=server.clock.skew_seconds,
            ),
            exchanges=self._exchanger.answered,
            outbox_verdicts=dispatch.undelivered,
            refused_queues=refused,
            queues=self._watch.facts,
        )

    def _is_fetched(self, queue: ServedQueue, now: float) -> bool:
        """Was the fetch loop of this queue answered within its current wait and a margin? The renewer's answers and
        probes count only where there is nothing to fetch: no room, or a queue that is closed for a time.
        """
        dispatch, fetching, phase = self._dispatch, queue.fetching, queue.phase
        if isinstance(phase, Closed) and now < phase.until + HEALTH_MARGIN_SECONDS:
            return True
        has_none_to_fetch_for = dispatch.busy >= dispatch.concurrency or queue.busy >= queue.share
        if has_none_to_fetch_for or dispatch.claims_nothing:
            heard_at = max(self._locks.answered_at, self._caretaker.probed_at, dispatch.last_answer_at)
            return now - heard_at <= PROBE_EVERY_SECONDS + HEALTH_MARGIN_SECONDS
        since = fetching.due_by or max(fetching.answered_at, dispatch.full_until, queue.full_until)
        return fetching.is_answered and now - since <= HEALTH_MARGIN_SECONDS
