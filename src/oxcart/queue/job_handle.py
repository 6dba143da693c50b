"""How does a program look after one job from outside? `queue.job(id)`: what Node's Job has there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oxcart.errors import InvalidInput
from oxcart.queue.job_access import JobAccess
from oxcart.queue.options import HIGHEST_PRIORITY_NUMBER, LONGEST_DELAY_MS


@dataclass(frozen=True, slots=True)
class JobHandle:
    """Every method raises JobNotFound where the job is gone, StateConflict, Unavailable, ServerRefused."""

    access: JobAccess
    now_ms: Callable[[], int]

    @property
    def id(self) -> str:
        return self.access.job_id

    async def change_delay(self, seconds: float) -> None:
        """Let a delayed job run so long from now. Raises StateConflict if it is not delayed, InvalidInput."""
        if not 0 <= seconds * 1000 <= LONGEST_DELAY_MS:
            raise InvalidInput(
                f"Changing a delay: {seconds:g} s is out of range; up to {LONGEST_DELAY_MS // 1000} s are."
            )
        await self.access.change_delay(round(seconds * 1000), self.now_ms())

    async def change_priority(self, priority: int, *, lifo: bool = False) -> None:
        """1 is the most urgent; with 0, none, it comes before all that have one, with `lifo` as the next one."""
        if isinstance(priority, bool) or not 0 <= priority <= HIGHEST_PRIORITY_NUMBER:
            raise InvalidInput(f"Changing a priority: {priority} is none from 0 to {HIGHEST_PRIORITY_NUMBER}.")
        await self.access.change_priority(priority, lifo=lifo)

    async def update_data(self, data: Any) -> None:
        """Other data, for an attempt that has not begun. Raises InvalidInput for what is no JSON."""
        await self.access.update_data(data)

    async def update_progress(self, progress: Any) -> None:
        await self.access.update_progress(progress)

    async def log(self, line: str, *, keep: int | None = None) -> int:
        """Append a line; returns how many there are. Only the last `keep` stay."""
        return await self.access.log(line, keep)

    async def clear_logs(self, *, keep: int | None = None) -> None:
        """Only the last `keep` lines stay; none without a number."""
        await self.access.clear_logs(keep)

    async def dependencies(self) -> dict[str, Any]:
        """Its children: `processed` with return values, `ignored` with reasons, `unprocessed` and `failed`, by key."""
        return await self.access.dependencies()

    async def dependency_counts(self) -> dict[str, int]:
        return await self.access.dependency_counts()

    async def ignored_children_failures(self) -> dict[str, str]:
        """Why children failed without failing this job, by their keys."""
        return await self.access.ignored_children_failures()

    async def remove_unprocessed_children(self) -> None:
        await self.access.remove_unprocessed_children()

    async def remove_child_dependency(self) -> bool:
        """Let its parent wait for it no longer, and run if it was the last; false if no parent does."""
        return await self.access.remove_child_dependency()
