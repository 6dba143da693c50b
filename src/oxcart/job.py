"""What does a handler receive? A Job: facts, ways to report back, and what Node's Job can do with itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, cast

from oxcart.errors import MoveToWait

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Data = TypeVar("Data", default=Any)  # so that a plain `Job` passes strict type checks
else:
    from typing import TypeVar

    Data = TypeVar("Data")
Reply = TypeVar("Reply")


class Reports(Protocol):
    """What one job reports while it runs."""

    def report_progress(self, progress: Any) -> Coroutine[Any, Any, None]: ...

    def append_log(self, line: str, keep: int | None) -> Coroutine[Any, Any, None]: ...

    def flush(self, then: Callable[[], None]) -> bool:
        """The handler has ended. True if reports are still under way: `then` is called once, when they are not."""
        ...


class JobAccess(Protocol):
    """What a job can ask of its queue beside reports (queue.job_access.JobAccess)."""

    def update_data(self, data: Any) -> Coroutine[Any, Any, None]: ...

    def clear_logs(self, keep: int | None) -> Coroutine[Any, Any, None]: ...

    def extend_lock(self, token: str, duration_ms: int) -> Coroutine[Any, Any, None]: ...

    def has_pending_children(self) -> Coroutine[Any, Any, bool]: ...

    def dependencies(self) -> Coroutine[Any, Any, dict[str, Any]]: ...

    def dependency_counts(self) -> Coroutine[Any, Any, dict[str, int]]: ...

    def ignored_children_failures(self) -> Coroutine[Any, Any, dict[str, str]]: ...

    def remove_unprocessed_children(self) -> Coroutine[Any, Any, None]: ...


class JobChannel(Protocol):
    """The way back from a handler to its queue; the worker has one, oxcart.testing another."""

    def open_reports(self, job_id: str) -> Reports: ...

    def access(self, job_id: str) -> JobAccess: ...

    async def children_values(self, job_id: str) -> dict[str, Any]: ...


class AttemptState(Protocol):
    """What a job asks of the attempt that runs it."""

    @property
    def is_cancelled(self) -> bool: ...

    @property
    def lock_uncertain(self) -> bool: ...

    @property
    def options(self) -> Mapping[str, Any]: ...

    @property
    def lock_token(self) -> str: ...


class Job(Generic[Data]):
    """One job as its handler sees it.

    `data` is any JSON value, or the pydantic model that the handler's annotation names. `attempts_made` counts the
    attempts before this one, `attempts_started` how often it was begun, this time included, `stalled_count` how often
    it has lost its worker. `deadline` is on clock.monotonic()'s clock, None without a timeout.
    """

    __slots__ = (
        "_attempt",
        "_blocking_loop",
        "_channel",
        "_reports",
        "attempts_made",
        "attempts_started",
        "data",
        "deadline",
        "id",
        "keep_logs",
        "name",
        "parent_key",
        "priority",
        "queue_name",
        "stalled_count",
        "timestamp_ms",
    )

    def __init__(
        self,
        job_id: str,
        name: str,
        data: Data,
        *,
        queue_name: str,
        attempts_made: int,
        channel: JobChannel,
        attempts_started: int = 1,
        stalled_count: int = 0,
        timestamp_ms: int = 0,
        priority: int = 0,
        parent_key: str | None = None,
        keep_logs: int | None = None,
    ) -> None:
        self.id = job_id
        self.name = name
        self.data = data
        self.queue_name = queue_name
        self.attempts_made = attempts_made
        self.attempts_started = attempts_started
        self.stalled_count = stalled_count
        self.timestamp_ms = timestamp_ms
        self.priority = priority
        self.parent_key = parent_key
        self.keep_logs = keep_logs
        self.deadline: float | None = None
        self._channel = channel
        self._reports: Reports | None = None
        self._attempt: AttemptState | None = None
        self._blocking_loop: asyncio.AbstractEventLoop | None = None

    @property
    def cancelled(self) -> bool:
        """True once this attempt should stop: its claim is lost, its time is up, or the worker shuts down."""
        return self._attempt is not None and self._attempt.is_cancelled

    @property
    def lock_uncertain(self) -> bool:
        """True while a renewal of the job's lock is unanswered: another worker may take the job. Hold back effects."""
        return self._attempt is not None and self._attempt.lock_uncertain

    @property
    def options(self) -> Mapping[str, Any]:
        """What its producer gave it, with BullMQ's names: `attempts`, `delay`, `priority`, `removeOnComplete` …"""
        return {} if self._attempt is None else self._attempt.options

    def progress(self, value: Any) -> Awaitable[None]:
        """Report progress, any JSON value (Node's updateProgress). In a sync handler: without await.

        Raises InvalidInput at once; JobNotFound, Unavailable or ServerRefused when awaited. A report within 50 ms of
        the last one is sent behind it and not waited for; what the server says to it is raised by the next one.
        """
        return self._send(self._open_reports().report_progress(value))

    def log(self, line: str) -> Awaitable[None]:
        """Append a line to the job's log, as bull-board shows it; else as `progress`."""
        return self._send(self._open_reports().append_log(line, self.keep_logs))

    def children_values(self) -> Awaitable[dict[str, Any]]:
        """The return values of this job's finished children, by their keys (Node's getChildrenValues)."""
        return self._send(self._channel.children_values(self.id))

    def update_data(self, data: Any) -> Awaitable[None]:
        """Store other data, any JSON value: what the next attempt begins with (Node's updateData).

        `data` is what was given from then on, no model. Raises as `progress` does, all of it when awaited.
        """
        call = self._channel.access(self.id).update_data(data)
        self.data = data
        return self._send(call)

    def clear_logs(self, keep: int | None = None) -> Awaitable[None]:
        """Only the last `keep` lines of its log stay; none without a number."""
        return self._send(self._channel.access(self.id).clear_logs(keep))

    def extend_lock(self, seconds: float) -> Awaitable[None]:
        """Hold the job for so long, should this process stand still: its lock is renewed anyway, every few seconds.

        Raises StateConflict when awaited, if another worker may have the job.
        """
        token = "" if self._attempt is None else self._attempt.lock_token
        return self._send(self._channel.access(self.id).extend_lock(token, round(seconds * 1000)))

    def move_to_wait(self) -> NoReturn:
        """Give the job back, with no attempt used: it is claimed again, here or elsewhere. Raises MoveToWait."""
        raise MoveToWait

    def has_pending_children(self) -> Awaitable[bool]:
        """True while a child has not ended: only then is there something to raise WaitForChildren for."""
        return self._send(self._channel.access(self.id).has_pending_children())

    def dependencies(self) -> Awaitable[dict[str, Any]]:
        """Its children by what became of them (Node's getDependencies): `processed`: return values and `ignored`:
        reasons, by their keys; `unprocessed` and `failed`: keys.
        """
        return self._send(self._channel.access(self.id).dependencies())

    def dependency_counts(self) -> Awaitable[dict[str, int]]:
        """How many children are `processed`, `unprocessed`, `ignored` and `failed`."""
        return self._send(self._channel.access(self.id).dependency_counts())

    def failed_children_values(self) -> Awaitable[dict[str, str]]:
        """Why children failed without failing this job, by their keys: those with `continue_parent` or
        `ignore_dependency` (Node's getFailedChildrenValues, and getIgnoredChildrenFailures, which is the same).
        """
        return self._send(self._channel.access(self.id).ignored_children_failures())

    ignored_children_failures = failed_children_values

    def remove_unprocessed_children(self) -> Awaitable[None]:
        """Remove the children that have not begun: after one has failed the others may be of no use."""
        return self._send(self._channel.access(self.id).remove_unprocessed_children())

    def _open_reports(self) -> Reports:
        if self._reports is None:
            self._reports = self._channel.open_reports(self.id)
        return self._reports

    def _send(self, call: Coroutine[Any, Any, Reply]) -> Awaitable[Reply]:
        """On the event loop hand the coroutine to the caller; in a handler's thread run it and wait for it.

        Raises RuntimeError where waiting would stop the loop that is waited for.
        """
        if self._blocking_loop is None:
            return call
        if asyncio._get_running_loop() is self._blocking_loop:  # noqa: SLF001 - the public one raises without a loop
            call.close()
            raise RuntimeError("The job of a plain function was used on the worker's event loop: use it in its thread.")
        return cast("Awaitable[Reply]", asyncio.run_coroutine_threadsafe(call, self._blocking_loop).result())

    def __repr__(self) -> str:
        return f"Job(id={self.id!r}, name={self.name!r}, queue={self.queue_name!r})"
