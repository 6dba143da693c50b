"""What does a producer hold of a job that it has added? Its id, and a way to learn what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oxcart.queue.producer import Queue


class AddedJob:
    """A job that is stored. `is_new` is false where nothing was added, as a job of this id was there, or it was
    deduplicated: then `id` is that of the job which stands for it.
    """

    __slots__ = ("_queue", "id", "is_new", "name")

    def __init__(self, queue: Queue, job_id: str, name: str, *, is_new: bool = True) -> None:
        self._queue = queue
        self.id = job_id
        self.name = name
        self.is_new = is_new

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
