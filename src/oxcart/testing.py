"""How does a program test its handlers? `run_handler` without a server, `running_worker` with one, `wait_until`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any, TypeVar, overload

from oxcart import clock
from oxcart.app import Oxcart
from oxcart.errors import InvalidInput
from oxcart.job import Job
from oxcart.protocol.codec import decode, encode
from oxcart.queue.opening import open_server
from oxcart.serving import with_built_ins
from oxcart.settings import QueueShare, WorkerSettings
from oxcart.telemetry.bus import Bus
from oxcart.worker.runtime import Worker

Answer = TypeVar("Answer")

POLL_SECONDS = 0.01


@overload
def wait_until(
    predicate: Callable[[], Awaitable[Answer]], *, describe: str, timeout: float = ...
) -> Coroutine[Any, Any, Answer]: ...
@overload
def wait_until(
    predicate: Callable[[], Answer], *, describe: str, timeout: float = ...
) -> Coroutine[Any, Any, Answer]: ...
async def wait_until(
    predicate: Callable[[], Any],
    *,
    describe: str,
    timeout: float = 10,  # noqa: ASYNC109 - the word every test framework uses; in seconds
) -> Any:
    """Ask `predicate` (plain or async) until its answer is true, and return that answer.

        await wait_until(lambda: queue.counts(), describe="the queue can be counted")

    Raises AssertionError after `timeout` seconds, with `describe` (a claim: "job 7 is active") and the last answer.
    An error of the predicate is raised at once. An answer under way when the time is up is not waited for.
    """
    give_up = clock.monotonic() + timeout
    last: object = "no answer"
    while True:
        try:
            async with asyncio.timeout(give_up - clock.monotonic()) as limit:
                asked = predicate()
                answer = await asked if inspect.isawaitable(asked) else asked
        except TimeoutError:
            if not limit.expired():
                raise
        else:
            if answer:
                return answer
            last = answer
        if clock.monotonic() >= give_up:
            raise AssertionError(f"Waited {timeout:g} s, and still it is not so that {describe}; last answer: {last!r}")
        await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def running_worker(
    app: Oxcart, *, url: str | None = None, queue: str = "agent-jobs", **settings: Any
) -> AsyncIterator[Worker]:
    """A worker without HTTP, in this event loop, until the block ends; its own names and the app's are served.

    `settings` are fields of WorkerSettings: concurrency=5, lock_duration_ms=1000, shutdown_grace_seconds=1. Without
    `url` it uses, and if need be starts, the embedded server of the working directory.

        async with running_worker(app, url=redis_url, queue="crm"), Queue("crm", redis_url) as queue:
            added = await queue.add("greet", {"name": "Ann"})
            assert await added.result(timeout_seconds=5) == "Hello Ann"
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(open_server(url, None, environ={}))
        chosen = WorkerSettings(queues=(QueueShare(queue, None),), **settings)
        bus = Bus()
        served = with_built_ins(app)
        worker = Worker(server, served.handlers, chosen, bus.emit, version=version("oxcart"), controls=served.worker)
        await worker.start()
        try:
            yield worker
        finally:
            await worker.stop("the end of the block")


async def run_handler(
    app: Oxcart,
    name: str,
    data: Any = None,
    *,
    attempts_made: int = 0,
    job_id: str = "test-1",
    children: Mapping[str, Any] | None = None,
) -> HandlerRun:
    """Run one handler without a server: what it returned or raised, its progress and its log.

    `data` goes through JSON and the handler's model, as on the wire; `children` is what job.children_values() gives.
    What the handler raises is raised here.
    Raises InvalidInput for a name the app does not handle and for data that its model refuses.

        run = await run_handler(app, "greet", {"name": "Ann"})
        assert run.value == "Hello Ann"
    """
    spec = app.handlers.get(name)
    if spec is None:
        raise InvalidInput(f'The app has no handler for "{name}". Known here: {", ".join(app.handlers.names)}.')
    value = decode(encode(data if data is not None else {}, "data"))
    run = HandlerRun()
    run.children = dict(children or {})
    job: Job[Any] = Job(
        job_id,
        name,
        spec.parse(value) if spec.parse is not None else value,
        queue_name="test",
        attempts_made=attempts_made,
        channel=run,
    )
    if spec.is_async:
        run.value = await spec.function(job)
    else:
        job._blocking_loop = asyncio.get_running_loop()  # noqa: SLF001 - the job of a sync handler waits in its thread
        run.value = await asyncio.to_thread(spec.function, job)
    encode(run.value, "the return value")
    return run


class HandlerRun:
    """What one handler did: `value` it returned, each `progress` it reported, each line of its `log`, the `data` that
    it stored anew. It has no children that are pending or have failed.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self.progress: list[Any] = []
        self.log: list[str] = []
        self.children: dict[str, Any] = {}
        self.data: Any = None

    def open_reports(self, job_id: str) -> HandlerRun:  # noqa: ARG002 - one job only
        return self

    async def report_progress(self, progress: Any) -> None:
        encode(progress, "the progress")
        self.progress.append(progress)

    async def append_log(self, line: str, keep: int | None) -> None:  # noqa: ARG002 - a test sees all lines
        self.log.append(line)

    def flush(self, then: Callable[[], None]) -> bool:  # noqa: ARG002 - nothing is ever under way
        return False

    async def children_values(self, job_id: str) -> dict[str, Any]:  # noqa: ARG002
        return self.children

    def access(self, job_id: str) -> HandlerRun:  # noqa: ARG002
        return self

    async def update_data(self, data: Any) -> None:
        encode(data)
        self.data = data

    async def clear_logs(self, keep: int | None) -> None:
        self.log = self.log[-keep:] if keep else []

    async def extend_lock(self, token: str, duration_ms: int) -> None: ...

    async def has_pending_children(self) -> bool:
        return False

    async def dependencies(self) -> dict[str, Any]:
        return {"processed": self.children, "unprocessed": [], "ignored": {}, "failed": []}

    async def dependency_counts(self) -> dict[str, int]:
        return {"processed": len(self.children), "unprocessed": 0, "ignored": 0, "failed": 0}

    async def ignored_children_failures(self) -> dict[str, str]:
        return {}

    async def remove_unprocessed_children(self) -> None: ...
