"""What does a handler receive? A Job: read-only facts, and two ways to report back (progress, log)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, Protocol, cast

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


class JobChannel(Protocol):
    """The way back from a handler to its queue; the worker has one, oxcart.testing another."""

    def open_reports(self, job_id: str) -> Reports: ...

    async def children_values(self, job_id: str) -> dict[str, Any]: ...


class AttemptState(Protocol):
    """What a job asks of the attempt that runs it."""

    @property
    def is_cancelled(self) -> bool: ...

    @property
    def lock_uncertain(self) -> bool: ...


class Job(Generic[Data]):
    """One job as its handler sees it.

    `data` is any JSON value, or the pydantic model that the handler's annotation names. `attempts_made` counts the
    attempts before this one. `deadline` is on clock.monotonic()'s clock, None without a timeout.
    """

    __slots__ = (
        "_attempt",
        "_blocking_loop",
        "_channel",
        "_reports",
        "attempts_made",
        "data",
        "deadline",
        "id",
        "keep_logs",
        "name",
        "parent_key",
        "priority",
        "queue_name",
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
