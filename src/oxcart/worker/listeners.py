"""Who in the program wants to hear what becomes of jobs? Functions declared by `@app.on`; none can harm a job.

Each is called for one thing after the other, when the server has what it is told: never on the way of a job. A plain
function runs in a thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from oxcart.errors import JobFailed
from oxcart.handlers import Listener, is_async_callable
from oxcart.own_tasks import start_own_task
from oxcart.protocol.codec import decode
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import WarningRaised
from oxcart.verdicts import Completed, Failed, RetryLater
from oxcart.worker.attempt import Attempt
from oxcart.worker.error_text import account_of
from oxcart.worker.pools import NoMoreThreads, Threads

About = Callable[[], tuple[Any, ...]]  # what a listener is called with, made where an error is the listener's own

MOST_WAITING = 10_000  # calls of one listener that is slower than jobs end; the oldest are left out


class Listeners:
    """The listeners of one worker, by event; false if there are none. Belongs to the event loop."""

    def __init__(self, declared: Mapping[str, Sequence[Listener]], emit: Emit) -> None:
        self._ears = {event: [_Ear(event, each, emit) for each in several] for event, several in declared.items()}

    def __bool__(self) -> bool:
        return bool(self._ears)

    def hears(self, event: str) -> bool:
        return event in self._ears

    def tell(self, event: str, *about: Any) -> None:
        self._tell(event, lambda: about)

    def tell_start(self, queue_name: str, attempt: Attempt) -> None:
        self._tell("active", partial(_job, queue_name, attempt))

    def tell_ends(self, queue_name: str, attempts: Sequence[Attempt]) -> None:
        """Verdicts that the server has: a job is told once for each of its attempts, as with BullMQ."""
        for attempt in attempts:
            if isinstance(attempt.verdict, Completed):
                self._tell("completed", partial(_completed, queue_name, attempt))
            elif isinstance(attempt.verdict, Failed | RetryLater):
                self._tell("failed", partial(_failed, queue_name, attempt))

    def _tell(self, event: str, about: About) -> None:
        for ear in self._ears.get(event, ()):
            ear.hear(about)

    async def close(self, seconds: float) -> None:
        """Wait for what is still to be told, so long at most."""
        ears = [ear for several in self._ears.values() for ear in several]
        busy = {ear.task for ear in ears if ear.task is not None}
        if busy:
            await asyncio.wait(busy, timeout=seconds)
        for ear in ears:
            ear.close()


class _Ear:
    """One listener and what it has yet to hear; its task lives while there is something."""

    def __init__(self, event: str, listener: Listener, emit: Emit) -> None:
        self.task: asyncio.Task[None] | None = None
        self._what = f'The listener {getattr(listener, "__name__", "?")} of "{event}"'
        self._listener = listener
        self._is_async = is_async_callable(listener)
        self._calling: asyncio.Task[BaseException | None] | None = None
        self._emit = emit
        self._waiting: deque[About] = deque(maxlen=MOST_WAITING)
        self._threads = Threads()
        self._told: set[str] = set()

    def hear(self, about: About) -> None:
        if len(self._waiting) == MOST_WAITING:
            self._tell_once(f"is slower than what it is told: the oldest of {MOST_WAITING} calls are left out")
        self._waiting.append(about)
        if self.task is None:
            self.task = start_own_task(self._run(), f"listener:{self._what}")

    def close(self) -> None:
        self._threads.close()
        for task in (self.task, self._calling):
            if task is not None:
                task.cancel()

    async def _run(self) -> None:
        try:
            while self._waiting:
                error = await self._call(self._waiting.popleft())
                if error is not None:
                    self._tell_once(f"has failed, which changes nothing for its job: {account_of(error)}")
        finally:
            self.task = None

    async def _call(self, about: About) -> BaseException | None:
        """What it raised. In a task, or thread, of its own: whatever it does to that, the next call comes."""
        if self._is_async:
            self._calling = calling = asyncio.create_task(self._await(about))
            await asyncio.wait({calling})
            return None if calling.cancelled() else calling.result()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def call(_: None) -> None:
            self._listener(*about())

        def note(_: Any, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(_settle, ended, error)

        try:
            self._threads.run(call, None, note)
        except NoMoreThreads as error:
            return error
        return await ended

    async def _await(self, about: About) -> BaseException | None:
        try:
            await self._listener(*about())
        except BaseException as error:  # noqa: BLE001 - the border around a listener; sys.exit() ends no worker
            return error
        return None

    def _tell_once(self, what: str) -> None:
        kind = what.partition(":")[0]
        if kind not in self._told:
            self._told.add(kind)
            self._emit(WarningRaised("LISTENER", f"{self._what} {what}. This is told once."))


def _settle(ended: asyncio.Future[BaseException | None], error: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(error)


def _job(queue_name: str, attempt: Attempt) -> tuple[Any, ...]:
    return (attempt.told(queue_name),)


def _completed(queue_name: str, attempt: Attempt) -> tuple[Any, ...]:
    assert isinstance(attempt.verdict, Completed)
    return attempt.told(queue_name), decode(attempt.verdict.returnvalue, "the return value")


def _failed(queue_name: str, attempt: Attempt) -> tuple[Any, ...]:
    assert isinstance(attempt.verdict, Failed | RetryLater)
    job_id = attempt.claim.job_id.decode("utf-8", "replace")
    return attempt.told(queue_name), attempt.error or JobFailed(job_id, attempt.verdict.reason)
