"""How does a program add jobs to a queue and look after them? `Queue`: the public face of everything in this folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, Unpack

from oxcart.connection.server import Server
from oxcart.errors import InvalidInput, OxcartError, PayloadTooLarge
from oxcart.names import UnhandledJobs
from oxcart.protocol.keys import QueueKeys
from oxcart.queue import dead_letters, flows, inspect, maintenance, migrate_schedules, schedules, sending, unhandled
from oxcart.queue.adding import NO_DATA, NewJob, prepare
from oxcart.queue.channel import DEADLINE_SECONDS, Channel
from oxcart.queue.flows import AddedFlow, FlowNode
from oxcart.queue.gathering import Gathering
from oxcart.queue.inspect import StoredJob, WorkerSeen
from oxcart.queue.migrate_schedules import Migrated
from oxcart.queue.opening import open_server
from oxcart.queue.options import JobArguments
from oxcart.queue.repair import Repair, RepairPlan, repair
from oxcart.queue.repeats import Repeat
from oxcart.queue.results import Results
from oxcart.queue.schedules import Schedule

JobItem: TypeAlias = tuple[str, Any] | tuple[str, Any, Mapping[str, Any]]
"""(name, data) or (name, data, options), the options being those of `Queue.add`."""

Part = TypeVar("Part")


class AddedJob:
    """A job that is stored. `id` is that of the job it was deduplicated into, if it was."""

    __slots__ = ("_queue", "id", "name")

    def __init__(self, queue: Queue, job_id: str, name: str) -> None:
        self._queue = queue
        self.id = job_id
        self.name = name

    @property
    def queue_name(self) -> str:
        return self._queue.name

    async def result(self, *, timeout_seconds: float) -> Any:
        """Wait until it has finished. Raises JobFailed, ResultGone, ResultTimeout or Unavailable."""
        return await self._queue.result(self.id, timeout_seconds=timeout_seconds)

    async def state(self) -> str:
        """waiting, active, delayed, … as BullMQ names them. Raises JobNotFound."""
        return await self._queue.state(self.id)

    def __repr__(self) -> str:
        return f"AddedJob(id={self.id!r}, name={self.name!r}, queue={self.queue_name!r})"


class Queue:
    """One BullMQ queue: adds jobs, waits for results, looks at what is there and changes it.

        async with Queue("agent-jobs") as queue:
            added = await queue.add("greet", {"name": "Ann"})
            print(await added.result(timeout_seconds=10))

    Without `url` and `server` the settings of the environment decide, and without any an embedded server. Calls wait
    up to 10 s for a server that is away, then raise Unavailable. Safe for many tasks at once, in one event loop.
    """

    def __init__(
        self, name: str, url: str | None = None, *, prefix: str = "bull", server: Server | None = None
    ) -> None:
        self.keys = QueueKeys(name, prefix)
        self._url = url
        self._given_server = server
        self._stack: AsyncExitStack | None = None
        self._open_channel: Channel | None = None
        self._open_adds: Gathering | None = None
        self._open_results: Results | None = None

    @property
    def name(self) -> str:
        return self.keys.name

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise OxcartError(f"Opening queue {self.name}: it is open. Use another Queue, or this one's own block.")
        stack = AsyncExitStack()
        server = await stack.enter_async_context(open_server(self._url, self._given_server))
        link = server.link("queue")
        stack.callback(link.discard)

        self._open_channel = Channel(self.keys, server, link)
        results_link = server.link("results", client_name=inspect.client_name(self.keys) + ":qe")
        stack.callback(results_link.discard)
        self._open_results = Results(self._open_channel, results_link)
        self._open_adds = Gathering(self._open_channel)
        stack.push_async_callback(self._open_adds.close)
        stack.push_async_callback(self._open_results.close)
        self._stack = stack
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. May be called twice; only those waiting for results notice."""
        stack, self._stack = self._stack, None
        if self._open_channel is not None:
            self._open_channel.is_closed = True
        self._open_channel = self._open_adds = self._open_results = None
        if stack is not None:
            await stack.aclose()

    # -------------------------------------------------------------------------------------------- adding
    async def add(
        self,
        name: str,
        data: Any = NO_DATA,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        **options: Unpack[JobArguments],
    ) -> AddedJob:
        """Add a job; it is stored when this returns, once, whatever happened to replies on the way. Adds of many tasks
        at once travel together.

        Raises InvalidInput or PayloadTooLarge before anything is sent; ServerRefused; Unavailable after
        `deadline_seconds`, which says whether the job may have been stored all the same.
        """
        job = prepare(self.keys, name, data, options, self._channel.server.clock.now_ms())
        return AddedJob(self, await self._adds.add(job, deadline_seconds), name)

    async def add_many(self, items: Iterable[JobItem], *, deadline_seconds: float = DEADLINE_SECONDS) -> list[AddedJob]:
        """Add many jobs in few round trips, each of which may take `deadline_seconds`; in order, not as one whole.

        Raises InvalidInput or PayloadTooLarge, naming the item, before anything is sent; AddFailed half way.
        """
        jobs = self._prepare_all(items)
        ids = await sending.add_jobs(self._channel, jobs, deadline_seconds)
        return [AddedJob(self, job_id, job.name) for job_id, job in zip(ids, jobs, strict=True)]

    def _prepare_all(self, items: Iterable[JobItem]) -> list[NewJob]:
        now, jobs = self._channel.server.clock.now_ms(), []
        for position, item in enumerate(items):
            try:
                name, data, *options = item
                jobs.append(prepare(self.keys, name, data, options[0] if options else {}, now))
            except PayloadTooLarge as error:
                raise PayloadTooLarge(f"Item {position}: {error}") from error
            except InvalidInput as error:
                raise InvalidInput(f"Item {position}: {error}") from error
            except (TypeError, ValueError) as error:
                raise InvalidInput(f"Item {position}: give (name, data) or (name, data, options).") from error
        return jobs

    async def add_flow(self, tree: FlowNode | Mapping[str, Any]) -> AddedFlow:
        """Add a job with all jobs below it, on any queues, at once; it runs when they have finished.

        A node is {"name", "data", "queue", "options", "children"}; queue defaults to this one.
        """
        return await flows.add_flow(self._channel, tree, self._channel.server.clock.now_ms())

    # -------------------------------------------------------------------------------------------- looking
    async def result(self, job_id: str, *, timeout_seconds: float) -> Any:
        """Wait until a job has finished. Raises JobFailed, ResultGone, ResultTimeout or Unavailable."""
        return await self._results.wait(job_id, timeout_seconds)

    async def get(self, job_id: str) -> StoredJob | None:
        return await inspect.get(self._channel, job_id)

    async def state(self, job_id: str) -> str:
        return await inspect.state_of(self._channel, job_id)

    async def counts(self) -> dict[str, int]:
        """Jobs per state: waiting, active, delayed, prioritized, waiting-children, completed, failed, paused."""
        return await inspect.counts(self._channel)

    async def jobs(self, state: str, start: int = 0, end: int = -1) -> list[StoredJob]:
        """Jobs `start` to `end` of a state: finished ones newest first, others in the order of their turn."""
        return await inspect.jobs(self._channel, state, start, end)

    async def logs(self, job_id: str, start: int = 0, end: int = -1) -> list[str]:
        return await inspect.logs(self._channel, job_id, start, end)

    async def children_values(self, job_id: str) -> dict[str, Any]:
        return await inspect.children_values(self._channel, job_id)

    async def workers(self) -> list[WorkerSeen]:
        return await inspect.workers(self._channel)

    async def unhandled(self) -> tuple[UnhandledJobs, ...]:
        """What has waited for more than a minute without a handler, as the running workers have told lately."""
        return await unhandled.read(self._channel)

    async def is_paused(self) -> bool:
        return await maintenance.is_paused(self._channel)

    # -------------------------------------------------------------------------------------------- changing
    async def remove(self, job_id: str, *, children: bool = True) -> None:
        """Raises JobNotFound; StateConflict while a worker holds it."""
        await maintenance.remove(self._channel, job_id, children=children)

    async def cancel(self, job_id: str) -> None:
        """Ask the Oxcart worker that runs a job to stop it, within seconds. Raises JobNotFound or StateConflict."""
        await maintenance.cancel(self._channel, job_id)

    async def retry(self, job_id: str, *, state: str = "failed", reset_attempts: bool = False) -> None:
        """Put a failed (or completed) job back. Raises JobNotFound or StateConflict."""
        await maintenance.retry(self._channel, job_id, state, reset_attempts=reset_attempts)

    async def retry_failed(
        self, *, reason: str | None = None, limit: int | None = None, reset_attempts: bool = False
    ) -> list[str]:
        """Put failed jobs back whose reason contains `reason`, the oldest first; returns their ids."""
        return await dead_letters.retry_many(self._channel, reason=reason, limit=limit, reset_attempts=reset_attempts)

    async def failed_reasons(self, *, limit: int = 1000) -> dict[str, int]:
        """Why the newest `limit` failed jobs failed, most frequent first."""
        return await dead_letters.reasons(self._channel, limit)

    async def promote(self, job_id: str) -> None:
        """Let a delayed job run now. Raises JobNotFound or StateConflict."""
        await maintenance.promote(self._channel, job_id)

    async def pause(self) -> None:
        """No worker claims from this queue until `resume`; running jobs go on."""
        await maintenance.pause(self._channel)

    async def resume(self) -> None:
        await maintenance.resume(self._channel)

    async def drain(self, *, delayed: bool = False) -> None:
        """Remove every waiting job, and with `delayed` those too."""
        await maintenance.drain(self._channel, delayed=delayed)

    async def clean(self, state: str, *, grace_seconds: float = 0, limit: int = 0) -> list[str]:
        """Remove jobs of a state older than `grace_seconds`, at most `limit` (0: all); returns their ids."""
        return await maintenance.clean(
            self._channel, state, self._channel.server.clock.now_ms(), grace_seconds=grace_seconds, limit=limit
        )

    async def obliterate(self, *, force: bool = False) -> None:
        """Remove the queue with everything in it; it must be paused. Raises StateConflict."""
        await maintenance.obliterate(self._channel, force=force)

    async def repair(
        self,
        *,
        dry_run: bool = False,
        adopt_lost: bool = False,
        max_stalled_count: int = 3,
        stalled_interval_seconds: float = 30,
    ) -> list[Repair]:
        """Mend what is broken in this queue, beside its workers; says what it found and what it did.

        With `dry_run` nothing is changed. Jobs that no list names are put back only with `adopt_lost`. The stalled
        numbers are those of the workers.
        """
        plan = RepairPlan(dry_run, adopt_lost, max_stalled_count, round(stalled_interval_seconds * 1000))
        return await repair(self._channel, plan, self._channel.server.clock.now_ms())

    async def set_global_concurrency(self, concurrency: int | None) -> None:
        """At most so many jobs at once in all workers together, Node's included; None: no limit."""
        await maintenance.set_global_concurrency(self._channel, concurrency)

    async def set_rate_limit(self, limit: int | None, *, duration_seconds: float = 1.0) -> None:
        """At most `limit` jobs per `duration_seconds` in all workers together; None: no limit."""
        await maintenance.set_rate_limit(self._channel, limit, duration_seconds)

    async def limits(self) -> dict[str, int | None]:
        return await maintenance.limits(self._channel)

    async def rate_limit_ttl_ms(self) -> int:
        return await maintenance.rate_limit_ttl_ms(self._channel)

    async def trim_events(self, keep: int) -> int:
        return await maintenance.trim_events(self._channel, keep)

    # -------------------------------------------------------------------------------------------- schedules
    async def upsert_schedule(
        self,
        schedule_id: str,
        repeat: Repeat,
        *,
        name: str | None = None,
        data: Any = NO_DATA,
        **options: Unpack[JobArguments],
    ) -> str | None:
        """Create or replace a job scheduler; returns the id of its next job, None if it has none left."""
        template = schedules.template_of(name or schedule_id, data, options)
        return await schedules.upsert(self._channel, schedule_id, repeat, template, self._channel.server.clock.now_ms())

    async def remove_schedule(self, schedule_id: str) -> bool:
        """False if there is none."""
        return await schedules.remove(self._channel, schedule_id)

    async def schedules(self) -> list[Schedule]:
        """All job schedulers, the one that is due next first."""
        return await schedules.find_all(self._channel)

    async def migrate_schedules(self, *, dry_run: bool = False) -> list[Migrated]:
        """Make job schedulers with a template of what older versions of BullMQ, or Bull, have set up."""
        return await migrate_schedules.migrate(self._channel, dry_run=dry_run)

    async def run_schedule_now(self, schedule_id: str) -> AddedJob:
        """Add one job from a schedule's template; its own times stay as they are. Raises JobNotFound."""
        job = await schedules.job_now(self._channel, schedule_id, self._channel.server.clock.now_ms())
        return AddedJob(self, await sending.add_job(self._channel, job, DEADLINE_SECONDS), job.name)

    # -------------------------------------------------------------------------------------------- inside
    @property
    def channel(self) -> Channel:
        """What its parts speak through; for those that have functions of their own (search.py, editing.py)."""
        return self._channel

    @property
    def _channel(self) -> Channel:
        return self._opened(self._open_channel)

    @property
    def _adds(self) -> Gathering:
        return self._opened(self._open_adds)

    @property
    def _results(self) -> Results:
        return self._opened(self._open_results)

    def _opened(self, part: Part | None) -> Part:
        if part is None:
            raise OxcartError(f'Queue {self.name} is not open. Use it inside "async with Queue(…) as queue:".')
        return part

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"
