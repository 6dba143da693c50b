"""How does a program add jobs to a queue and look after them? `Queue`: the public face of everything in this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from oxcart.connection.server import Server
from oxcart.errors import OxcartError
from oxcart.handlers import RepeatStrategy
from oxcart.names import UnhandledJobs
from oxcart.protocol.keys import QueueKeys
from oxcart.queue import (
    dead_letters,
    flow_tree,
    flows,
    inspect,
    maintenance,
    migrate_schedules,
    queue_access,
    schedules,
    sending,
    unhandled,
)
from oxcart.queue.added_job import AddedJob
from oxcart.queue.adding import NO_DATA, JobItem, prepare, prepare_all
from oxcart.queue.channel import DEADLINE_SECONDS, Channel
from oxcart.queue.flow_tree import FlowTree
from oxcart.queue.flows import AddedFlow, FlowNode
from oxcart.queue.gathering import Gathering
from oxcart.queue.inspect import StoredJob, WorkerSeen
from oxcart.queue.job_access import JobAccess
from oxcart.queue.job_handle import JobHandle
from oxcart.queue.migrate_schedules import Migrated
from oxcart.queue.opening import open_server
from oxcart.queue.options import JobArguments
from oxcart.queue.other_prefixes import other_prefixes
from oxcart.queue.queue_access import Metrics, QueueEvent
from oxcart.queue.repair import Repair, RepairPlan, find_broken, repair
from oxcart.queue.repeats import Repeat
from oxcart.queue.results import Results
from oxcart.queue.schedules import Schedule

Part = TypeVar("Part")


class Queue:
    """One BullMQ queue: adds jobs, waits for results, looks at what is there and changes it.

        async with Queue("agent-jobs") as queue:
            added = await queue.add("greet", {"name": "Ann"})
            print(await added.result(timeout_seconds=10))

    Without `url` and `server` the settings of the environment decide, and without any an embedded server. Calls wait
    up to 10 s for a server that is away, then raise Unavailable. Safe for many tasks at once, in one event loop.
    `defaults` are options of every job that does not say otherwise.
    """

    def __init__(
        self,
        name: str,
        url: str | None = None,
        *,
        prefix: str = "bull",
        server: Server | None = None,
        defaults: JobArguments | None = None,
    ) -> None:
        self.keys = QueueKeys(name, prefix)
        self._url = url
        self._given_server = server
        self._defaults: Mapping[str, Any] = defaults or {}
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
        given = {**self._defaults, **options}
        job = prepare(self.keys, name, data, given, self.channel.server.clock.now_ms())
        stored = await self._adds.add(job, deadline_seconds)
        return AddedJob(self, stored.id, name, is_new=stored.is_new)

    async def add_many(self, items: Iterable[JobItem], *, deadline_seconds: float = DEADLINE_SECONDS) -> list[AddedJob]:
        """Add many jobs in few round trips, each of which may take `deadline_seconds`; in order, not as one whole.

        Raises InvalidInput or PayloadTooLarge, naming the item, before anything is sent; AddFailed half way.
        """
        jobs = prepare_all(self.keys, items, self._defaults, self.channel.server.clock.now_ms())
        stored = await sending.add_jobs(self.channel, jobs, deadline_seconds)
        added = zip(stored, jobs, strict=True)
        return [AddedJob(self, one.id, job.name, is_new=one.is_new) for one, job in added]

    async def add_flow(self, tree: FlowNode | Mapping[str, Any]) -> AddedFlow:
        """Add a job with all jobs below it, on any queues, at once; it runs when they have finished.

        A node is {"name", "data", "queue", "options", "children"}; queue defaults to this one.
        """
        return await flows.add_flow(self.channel, tree, self.channel.server.clock.now_ms())

    async def add_flows(self, trees: Iterable[FlowNode | Mapping[str, Any]]) -> list[AddedFlow]:
        return await flows.add_flows(self.channel, list(trees), self.channel.server.clock.now_ms())

    async def get_flow(self, job_id: str, *, depth: int = 10, max_children: int = 20) -> FlowTree | None:
        """A job and those below it, `depth` levels and `max_children` of each; None if it is not there."""
        return await flow_tree.read(self.channel, self.keys, job_id, depth, max_children)

    # -------------------------------------------------------------------------------------------- looking
    def job(self, job_id: str) -> JobHandle:
        """One job, to read and change: delay, priority, data, progress, log, children. Asks nothing by itself."""
        return JobHandle(JobAccess(self.channel, job_id), self.channel.server.clock.now_ms)

    async def result(self, job_id: str, *, timeout_seconds: float) -> Any:
        """Wait until a job has finished. Raises JobFailed, ResultGone, ResultTimeout or Unavailable."""
        return await self._results.wait(job_id, timeout_seconds)

    async def get(self, job_id: str) -> StoredJob | None:
        return await inspect.get(self.channel, job_id)

    async def state(self, job_id: str) -> str:
        return await inspect.state_of(self.channel, job_id)

    async def counts(self) -> dict[str, int]:
        """Jobs per state: waiting, active, delayed, prioritized, waiting-children, completed, failed, paused."""
        return await inspect.counts(self.channel)

    async def jobs(self, state: str, start: int = 0, end: int = -1) -> list[StoredJob]:
        """Jobs `start` to `end` of a state: finished ones newest first, others in the order of their turn."""
        return await inspect.jobs(self.channel, state, start, end)

    async def logs(self, job_id: str, start: int = 0, end: int = -1) -> list[str]:
        return await inspect.logs(self.channel, job_id, start, end)

    async def children_values(self, job_id: str) -> dict[str, Any]:
        return await inspect.children_values(self.channel, job_id)

    async def workers(self) -> list[WorkerSeen]:
        return await inspect.workers(self.channel)

    async def unhandled(self) -> tuple[UnhandledJobs, ...]:
        """What has waited for more than a minute without a handler, as the running workers have told lately."""
        return await unhandled.read(self.channel)

    async def counts_per_priority(self, priorities: Sequence[int]) -> dict[int, int]:
        """How many jobs wait with each of these priorities; 0 is without one."""
        return await queue_access.counts_per_priority(self.channel, priorities)

    async def meta(self) -> dict[str, str]:
        return await queue_access.meta(self.channel)

    async def metrics(self, target: str, start: int = 0, end: int = -1) -> Metrics:
        """Of `completed` or `failed` jobs per minute, the newest first, as workers with metrics have written them."""
        return await queue_access.metrics(self.channel, target, start, end)

    def events(self, since: str = "$") -> AsyncIterator[QueueEvent]:
        """Every event of the queue, whoever caused it, for ever: `async for event in queue.events()`.

        After `since`: "$" is now, "0" the oldest that is kept, else an event's id. Raises Unavailable.
        """
        return queue_access.events(self.channel, since)

    async def publish_event(self, name: str, fields: Mapping[str, Any] | None = None, *, keep: int = 10_000) -> str:
        """An event of your own, for Node's QueueEvents too (its QueueEventsProducer); about `keep` events stay."""
        return await queue_access.publish_event(self.channel, name, fields or {}, keep)

    async def deduplication_job_id(self, deduplication_id: str) -> str | None:
        return await queue_access.deduplication_job_id(self.channel, deduplication_id)

    async def is_maxed(self) -> bool:
        return await queue_access.is_maxed(self.channel)

    async def is_paused(self) -> bool:
        return await maintenance.is_paused(self.channel)

    # -------------------------------------------------------------------------------------------- changing
    async def remove(self, job_id: str, *, children: bool = True) -> None:
        """Raises JobNotFound; StateConflict while a worker holds it."""
        await maintenance.remove(self.channel, job_id, children=children)

    async def cancel(self, job_id: str, *, reason: str | None = None, retry: bool = False) -> None:
        """Have its Oxcart worker stop a job within seconds: it fails, or is tried again. Raises as `retry` does."""
        await maintenance.cancel(self.channel, job_id, reason=reason, retry=retry)

    async def retry(self, job_id: str, *, state: str = "failed", reset_attempts: bool = False) -> None:
        """Put a failed (or completed) job back. Raises JobNotFound or StateConflict."""
        await maintenance.retry(self.channel, job_id, state, reset_attempts=reset_attempts)

    async def retry_failed(
        self, *, reason: str | None = None, limit: int | None = None, reset_attempts: bool = False
    ) -> list[str]:
        """Put failed jobs back whose reason contains `reason`, the oldest first; returns their ids."""
        return await dead_letters.retry_many(self.channel, reason=reason, limit=limit, reset_attempts=reset_attempts)

    async def failed_reasons(self, *, limit: int = 1000) -> dict[str, int]:
        """Why the newest `limit` failed jobs failed, most frequent first."""
        return await dead_letters.reasons(self.channel, limit)

    async def retry_jobs(
        self, state: str = "failed", *, limit: int | None = None, before_ms: float | None = None
    ) -> int:
        """Put all failed (or completed) jobs back that ended before then, attempts anew; returns how many."""
        before = self.channel.server.clock.now_ms() if before_ms is None else before_ms
        return await queue_access.move_jobs_to_wait(self.channel, state, limit=limit, before_ms=before)

    async def promote_jobs(self, *, limit: int | None = None) -> int:
        return await queue_access.move_jobs_to_wait(self.channel, "delayed", limit=limit, before_ms=2.0**53)

    async def remove_deduplication_key(self, deduplication_id: str) -> bool:
        return await queue_access.remove_deduplication_key(self.channel, deduplication_id)

    async def promote(self, job_id: str) -> None:
        """Let a delayed job run now. Raises JobNotFound or StateConflict."""
        await maintenance.promote(self.channel, job_id)

    async def pause(self) -> None:
        """No worker claims from this queue until `resume`; running jobs go on."""
        await maintenance.pause(self.channel)

    async def resume(self) -> None:
        await maintenance.resume(self.channel)

    async def drain(self, *, delayed: bool = False) -> None:
        """Remove every waiting job, and with `delayed` those too."""
        await maintenance.drain(self.channel, delayed=delayed)

    async def clean(self, state: str, *, grace_seconds: float = 0, limit: int = 0) -> list[str]:
        """Remove jobs of a state older than `grace_seconds`, at most `limit` (0: all); returns their ids."""
        return await maintenance.clean(
            self.channel, state, self.channel.server.clock.now_ms(), grace_seconds=grace_seconds, limit=limit
        )

    async def obliterate(self, *, force: bool = False) -> None:
        """Remove the queue with everything in it; it must be paused. Raises StateConflict."""
        await maintenance.obliterate(self.channel, force=force)

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
        return await repair(self.channel, plan, self.channel.server.clock.now_ms())

    async def broken(self) -> list[Repair]:
        """What a repair would find in the first 20 000 keys of the database; nothing is changed."""
        return await find_broken(self.channel, self.channel.server.clock.now_ms())

    async def other_prefixes(self) -> list[str]:
        return await other_prefixes(self.channel)

    async def set_global_concurrency(self, concurrency: int | None) -> None:
        """At most so many jobs at once in all workers together, Node's included; None: no limit."""
        await maintenance.set_global_concurrency(self.channel, concurrency)

    async def set_rate_limit(self, limit: int | None, *, duration_seconds: float = 1.0) -> None:
        """At most `limit` jobs per `duration_seconds` in all workers together; None: no limit."""
        await maintenance.set_rate_limit(self.channel, limit, duration_seconds)

    async def rate_limit(self, seconds: float) -> None:
        """No worker claims for so long, as if a handler had raised RateLimited (Node's rateLimit)."""
        await queue_access.pause_for(self.channel, round(seconds * 1000))

    async def remove_rate_limit(self) -> bool:
        return await queue_access.remove_rate_limit(self.channel)

    async def limits(self) -> dict[str, int | None]:
        return await maintenance.limits(self.channel)

    async def rate_limit_ttl_ms(self) -> int:
        return await maintenance.rate_limit_ttl_ms(self.channel)

    async def trim_events(self, keep: int) -> int:
        return await maintenance.trim_events(self.channel, keep)

    # -------------------------------------------------------------------------------------------- schedules
    async def upsert_schedule(
        self,
        schedule_id: str,
        repeat: Repeat,
        *,
        name: str | None = None,
        data: Any = NO_DATA,
        repeat_strategy: RepeatStrategy | None = None,
        **options: Unpack[JobArguments],
    ) -> str | None:
        """Create or replace a job scheduler; returns the id of its next job, None if it has none left.

        `repeat_strategy` is that of the app whose worker will run it (`@app.repeat_strategy`). Raises InvalidInput for
        what cannot be used, StateConflict.
        """
        template, now = schedules.template_of(name or schedule_id, data, options), self.channel.server.clock.now_ms()
        return await schedules.upsert(self.channel, schedule_id, repeat, template, now, strategy=repeat_strategy)

    async def remove_schedule(self, schedule_id: str) -> bool:
        """False if there is none."""
        return await schedules.remove(self.channel, schedule_id)

    async def schedules(self, start: int = 0, end: int = -1) -> list[Schedule]:
        """Job schedulers `start` to `end` (both included), the one that is due next first; all of them."""
        return await schedules.find_all(self.channel, start, end)

    async def schedule(self, schedule_id: str) -> Schedule | None:
        return next((one for one in await self.schedules() if one.id == schedule_id), None)

    async def count_schedules(self) -> int:
        return int(await self.channel.command(f"Counting the schedules of {self.name}", "ZCARD", self.keys.repeat))

    async def migrate_schedules(self, *, dry_run: bool = False) -> list[Migrated]:
        """Make job schedulers with a template of what older versions of BullMQ, or Bull, have set up."""
        return await migrate_schedules.migrate(self.channel, dry_run=dry_run)

    async def run_schedule_now(self, schedule_id: str) -> AddedJob:
        """Add one job from a schedule's template; its own times stay as they are. Raises JobNotFound."""
        job = await schedules.job_now(self.channel, schedule_id, self.channel.server.clock.now_ms())
        stored = await sending.add_job(self.channel, job, DEADLINE_SECONDS)
        return AddedJob(self, stored.id, job.name, is_new=stored.is_new)

    @property
    def channel(self) -> Channel:
        """What its parts speak through; for those with functions of their own (search.py, editing.py)."""
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
