"""What does `oxcart run` put together? Settings, log, Redis, worker, schedules, HTTP; the only owner of OS signals."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from oxcart.app import Oxcart
from oxcart.board.history import Recorder
from oxcart.builtin import CrmSource, built_in_app
from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget, TargetReport, resolve_target
from oxcart.crm_side import CrmSide
from oxcart.errors import OxcartError, SettingsError
from oxcart.forks import STRAYED, end_stray_child, in_children
from oxcart.names import unhandled_names
from oxcart.outward import start_alerts, start_http
from oxcart.own_tasks import start_own_task
from oxcart.queue.producer import Queue
from oxcart.secret import Secret
from oxcart.settings import Settings, WorkerSettings, inspect
from oxcart.steady_loop import run_to_the_end
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.events import Event, RedisReady, RedisTargetChosen, WarningRaised
from oxcart.worker.loop_watch import watching_loop
from oxcart.worker.runtime import Worker

SCHEDULES_AGAIN_SECONDS = 5.0  # after a refusal, as when the memory is full: no reconnect will follow
GARBAGE_OBJECTS = 20_000  # more than come and go with an exchange of 500 jobs: those leave no cycles
LINGER_SECONDS = 0.3  # for Python's own end; a part of the 2 s that a process may take beyond the grace
HANGING_END_SECONDS = 5.0  # beyond the grace: what a bug, or code of a user in our own, has left hanging hangs for ever


@dataclass(frozen=True, slots=True)
class Plan:
    """What the environment asks for. `target` None: the embedded server."""

    settings: Settings
    report: TargetReport
    warnings: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


def plan(environ: Mapping[str, str], *, embedded: bool = False) -> Plan:
    """Read the environment; `embedded` uses the private server whatever is set. Raises SettingsError."""
    report = resolve_target({} if embedded else environ, allow_embedded=embedded)
    found = inspect(environ)
    problems = (*report.problems, *found.problems)
    if found.settings is None or problems:
        raise SettingsError(problems)
    warnings = tuple(dict.fromkeys((*report.warnings, *found.warnings)))
    return Plan(found.settings, report, warnings, dict(environ))


@asynccontextmanager
async def open_target(planned: Plan) -> AsyncIterator[RedisTarget]:
    """The Redis to use, for as long as the context lasts."""
    if planned.report.target is not None:
        yield planned.report.target
        return
    from oxcart.connection.embedded import embedded_server

    async with embedded_server(Path(planned.settings.data_dir)) as found:
        yield found.target


class Service:
    """One running worker with its HTTP side and the built-in jobs. `http_port` is None without one."""

    def __init__(self, app: Oxcart, planned: Plan, bus: Bus) -> None:
        self.app = app
        self.plan = planned
        self.bus = bus
        self.http_port: int | None = None
        self.server: Server
        self.worker: Worker
        self.crm: CrmSide
        self._scheduled = asyncio.Event()
        self._schedules_task: asyncio.Task[None] | None = None

    async def start(
        self, stack: AsyncExitStack, *, http: bool = True, loopback_only: bool = False, process: int | None = None
    ) -> None:
        """Everything begins; what it opens closes with `stack`. Raises SettingsError, or PortUnavailable.

        With a number among the processes of a supervisor, what there may be only one of is left to the supervisor
        (HTTP, alerts, warnings) or to process 1 (schedules).
        """
        planned, settings = self.plan, self.plan.settings
        target = await stack.enter_async_context(open_target(planned))
        sources = planned.report.sources or ("the embedded server",)
        self.bus.emit(RedisTargetChosen(target.masked_url, sources, planned.report.ignored))
        if process is None:
            for warning in planned.warnings:
                self.bus.emit(WarningRaised("SETTINGS", warning))
        if settings.sentry_dsn:
            self._report_to_sentry(settings.sentry_dsn)
        self.server = Server(target, self.bus.emit)
        stack.push_async_callback(self.server.close)
        worker_settings = settings.worker
        if worker_settings.unknown_jobs is None:
            is_embedded = planned.report.target is None
            worker_settings = replace(worker_settings, unknown_jobs="fail" if is_embedded else "leave")
        leaves_jobs = worker_settings.unknown_jobs == "leave"
        self.crm = CrmSide(settings, self.server, self.bus.emit, leaves_jobs=leaves_jobs)
        stack.push_async_callback(self.crm.close)
        served = with_built_ins(self.app, self.crm)
        handlers = served.handlers
        if process in (None, 1):
            for warning in misnamed(worker_settings, handlers.names):
                self.bus.emit(WarningRaised("JOB_NAMES", warning))
        self.worker = Worker(
            self.server,
            handlers,
            worker_settings,
            self.bus.emit,
            version=version("oxcart"),
            release=settings.release,
            announces_starts=settings.log.level == "debug",
            controls=served.worker,
        )
        if process is None:
            self._send_alerts(stack)
        if http and process is None:
            self._start_http(stack, loopback_only=loopback_only)
        self._keep_history(stack)
        stack.enter_context(watching_loop(self.bus.emit))
        await self.worker.start()
        stack.push_async_callback(self.worker.stop, "the end")
        if process in (None, 1) and (self.app.schedules or self.crm.may_be_used):
            self.bus.subscribe(self._notice_reconnect)
            self._schedules_task = start_own_task(self._keep_schedules(), "schedules")
            stack.callback(self._schedules_task.cancel)

    def _send_alerts(self, stack: AsyncExitStack) -> None:
        alerts = start_alerts(stack, self.plan.settings, self.bus.emit)
        if alerts is not None:
            alerts.watch(lambda: self.worker.status().problems)
            self.bus.subscribe(alerts)

    def _keep_history(self, stack: AsyncExitStack) -> None:
        if self.plan.settings.http.board:
            recorder = Recorder(self.server, self.plan.settings.worker.prefix, self.worker.name)
            self.bus.subscribe(recorder)
            stack.push_async_callback(recorder.close)

    def _report_to_sentry(self, dsn: Secret) -> None:
        from oxcart.telemetry import sentry

        subscriber = sentry.sentry_subscriber(dsn, release=self.plan.settings.release, version=version("oxcart"))
        if subscriber is None:
            self.bus.emit(WarningRaised("SENTRY", sentry.MISSING))
        else:
            self.bus.subscribe(subscriber)

    # -------------------------------------------------------------------------------------------- schedules
    def _notice_reconnect(self, event: Event) -> None:
        if isinstance(event, RedisReady):
            self._scheduled.set()

    async def _keep_schedules(self) -> None:
        """Create the declared schedules once connected, and again where a restart of Redis has lost them."""
        self._scheduled.set()
        while True:
            await self._scheduled.wait()
            self._scheduled.clear()
            await self.server.wait_until_ready()
            try:
                for declared in self.app.schedules:
                    await self._ensure(declared.queue_name, declared.schedule_id)
                await self.crm.look_after_accounts()
            except OxcartError as error:
                self.bus.emit(WarningRaised("SCHEDULE", f"Setting up a schedule: {error}"))
                asyncio.get_running_loop().call_later(SCHEDULES_AGAIN_SECONDS, self._scheduled.set)

    async def _ensure(self, queue_name: str, schedule_id: str) -> None:
        """Leave a schedule that is stored as declared alone: replacing it would move its next run."""
        (declared,) = (entry for entry in self.app.schedules if entry.schedule_id == schedule_id)
        async with Queue(queue_name, prefix=self.plan.settings.worker.prefix, server=self.server) as queue:
            for stored in await queue.schedules():
                same = (stored.cron, stored.every_ms, stored.tz) == (
                    declared.repeat.cron,
                    declared.repeat.every_ms,
                    declared.repeat.tz,
                )
                if stored.id == schedule_id and same:
                    return
            strategy = self.app.handlers.repeat_strategy
            await queue.upsert_schedule(schedule_id, declared.repeat, repeat_strategy=strategy)

    # -------------------------------------------------------------------------------------------- HTTP
    def _start_http(self, stack: AsyncExitStack, *, loopback_only: bool) -> None:
        from oxcart.telemetry.metrics import Metrics

        metrics = Metrics()
        self.bus.subscribe(metrics)
        self.http_port = start_http(
            stack,
            self.plan.settings,
            self.bus.emit,
            self.server,
            status=self.worker.status,
            metrics=metrics,
            steer=self.app.worker.obey,
            loopback_only=loopback_only,
            environ=self.plan.environ,
            job_names=with_built_ins(self.app).handlers.names,
        )


def with_built_ins(app: Oxcart | None, crm: CrmSource | None = None) -> Oxcart:
    """The app to serve: the program's handlers first, ours where it has none of that name."""
    served = Oxcart()
    if app is not None:
        served.include(app)
    served.include(built_in_app(crm))
    return served


def misnamed(settings: WorkerSettings, handled: tuple[str, ...]) -> Iterator[str]:
    """A sentence for each name of OXCART_ONLY_JOBS and OXCART_EXCEPT_JOBS that means nothing to this app."""
    for variable, named in (("OXCART_ONLY_JOBS", settings.only_jobs), ("OXCART_EXCEPT_JOBS", settings.except_jobs)):
        for name, guess in unhandled_names(handled, named):
            meant = f' Did you mean "{guess}"?' if guess else ""
            yield f'{variable} names "{name}", which has no handler here.{meant} Known here: {", ".join(handled)}.'


async def serve(
    app: Oxcart | None,
    planned: Plan,
    bus: Bus,
    *,
    loopback_only: bool = False,
    process: int | None = None,
    on_started: Callable[[Service], None] | None = None,
    on_leaving: Callable[[], None] = lambda: None,
) -> int:
    """Run until SIGTERM or SIGINT (a second one ends the grace at once); returns the exit code."""
    service = Service(app or Oxcart(), planned, bus)
    async with AsyncExitStack() as stack:
        signals = catch_signals(stack)
        await service.start(stack, loopback_only=loopback_only, process=process)
        if on_started is not None:
            on_started(service)
        obeying = start_own_task(_obey(signals, service.worker), "signals")
        stack.callback(obeying.cancel)
        stack.callback(on_leaving)
        await service.worker.wait()
    return 1 if service.worker.failed else 0


def run(
    app: Oxcart | None,
    planned: Plan,
    bus: Bus,
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    before_exit: Callable[[], None] = lambda: None,
    loopback_only: bool = False,
    process: int | None = None,
    on_started: Callable[[Service], None] | None = None,
) -> int:
    """serve() as the whole life of this process; returns the exit code, for the caller to exit with at once.

    A handler that never ends, in a task or in a thread of asyncio.to_thread, would keep Python from exiting until the
    platform kills it: the process then ends itself, a moment after `before_exit` was called. An end that nobody
    asked for is bounded, too: a worker that stands still on its way out would look alive.
    """
    _collect_garbage_seldom()
    started: list[Service] = []
    told: set[str] = set()

    def note_start(service: Service) -> None:
        started.append(service)
        if on_started is not None:
            on_started(service)

    def tell(what: str) -> None:
        if what not in told:
            told.add(what)
            bus.emit(WarningRaised("USER_CODE", f"A handler {what}. That ends no worker, and is told once."))

    def leave_in_time() -> None:
        _exit_within(planned.settings.worker.shutdown_grace_seconds + HANGING_END_SECONDS, 1, first=tell_of_hanging)

    def tell_of_hanging() -> None:
        bus.emit(
            WarningRaised("HANGING_END", "The worker does not come to its end, so its process ends now, with code 1.")
        )
        before_exit()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        serving = serve(
            app,
            planned,
            bus,
            loopback_only=loopback_only,
            process=process,
            on_started=note_start,
            on_leaving=leave_in_time,
        )
        code = run_to_the_end(runner.get_loop(), serving, may_go_on=lambda: bool(started), stopped=tell)
        before_exit()
        _exit_within(LINGER_SECONDS, code)
    return code


def _collect_garbage_seldom() -> None:
    """Look for cycles when there may be some, not with each hundred jobs: that took up to a fifth of a busy worker.

    What is there at the start stays for good, and need not be looked at again.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)


def _exit_within(seconds: float, code: int, *, first: Callable[[], None] = lambda: None) -> None:
    def exit_now() -> None:
        try:
            first()
            sys.stdout.flush()
        finally:
            os._exit(code)

    timer = threading.Timer(seconds, exit_now)
    timer.daemon = True
    timer.start()


def catch_signals(stack: AsyncExitStack) -> asyncio.Queue[str]:
    """The names of the signals that ask us to end, from the first moment on."""
    loop, caught = asyncio.get_running_loop(), asyncio.Queue[str]()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, caught.put_nowait, number.name)
        stack.callback(loop.remove_signal_handler, number)
    STRAYED.clear()
    stack.enter_context(in_children(partial(_leave_to_child, loop, threading.get_ident())))
    return caught


def _leave_to_child(loop: asyncio.AbstractEventLoop, loop_thread_id: int) -> None:
    """In a child that a handler has forked: signals to it are not ours, and it must not go on as a worker."""
    STRAYED.append(os.getpid())
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if threading.get_ident() == loop_thread_id:
        loop.call_soon(end_stray_child)


async def _obey(signals: asyncio.Queue[str], worker: Worker) -> None:
    stopping: list[asyncio.Task[None]] = []
    while True:
        name = await signals.get()
        stopping.append(start_own_task(worker.stop(name), f"signals:{name}"))
