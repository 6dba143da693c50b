"""How does a program steer the worker that runs it? `app.worker`: pause, resume, slots; from any thread."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from oxcart.errors import InvalidInput, OxcartError
from oxcart.settings import MOST_SLOTS

POLL_SECONDS = 0.02


class Steered(Protocol):
    """What can be done to a running worker; on its event loop (worker/runtime.py)."""

    @property
    def is_paused(self) -> bool: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def jobs_processing(self) -> int: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def set_concurrency(self, slots: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Command:
    """One of them as text: `pause`, `resume`, `concurrency 4`."""

    what: str
    slots: int = 0

    @staticmethod
    def parse(text: str) -> Command:
        """Raises ValueError, which says what can be done."""
        what, _, slots = text.partition(" ")
        if what in {"pause", "resume"} and not slots:
            return Command(what)
        if what == "concurrency" and re.fullmatch("[0-9]{1,5}", slots) and 1 <= int(slots) <= MOST_SLOTS:
            return Command(what, int(slots))
        raise ValueError(
            f"A worker can be told pause, resume, and concurrency with slots, a whole number from 1 to {MOST_SLOTS}."
        )

    def __str__(self) -> str:
        return f"{self.what} {self.slots}" if self.slots else self.what


class Controls:
    """The worker of this process, while one runs the app; in another process, and before, each of these raises
    OxcartError. `oxcart pause` stops a queue for all workers; this stops one worker for all its queues.
    """

    def __init__(self) -> None:
        self._worker: Steered | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._included: list[Controls] = []

    def pause(self) -> None:
        """Claim nothing from now on. Jobs that were claimed and have not begun go back to their places; running ones go
        on, and `until_idle` waits for them. Locks, schedules and stalled jobs are looked after as before.
        """
        self._do(self._running("pause").pause)

    def resume(self) -> None:
        """Claim again."""
        self._do(self._running("resume").resume)

    def set_concurrency(self, slots: int) -> None:
        """Run so many jobs at once from now on, until the process ends: JOB_CONCURRENCY is not changed.

        More are claimed at once; with fewer, running jobs go on, and none begins before fewer than that run. A queue
        with a share of its own keeps it. Raises InvalidInput for a number below 1 or above 10 000.
        """
        if not isinstance(slots, int) or not 1 <= slots <= MOST_SLOTS:
            raise InvalidInput(f"set_concurrency({slots!r}): give a whole number from 1 to {MOST_SLOTS}.")
        worker = self._running("set_concurrency")
        self._do(lambda: worker.set_concurrency(slots))

    @property
    def is_paused(self) -> bool:
        return self._running("is_paused").is_paused

    @property
    def concurrency(self) -> int:
        return self._running("concurrency").concurrency

    @property
    def jobs_processing(self) -> int:
        """How many jobs are running."""
        return self._running("jobs_processing").jobs_processing

    async def until_idle(self) -> None:
        """Return when no job is running here. A handler that awaits this waits for itself."""
        while self.jobs_processing:  # noqa: ASYNC110 - seldom, and this late is in time
            await asyncio.sleep(POLL_SECONDS)

    # -------------------------------------------------------------------------------------------- for app and serving
    def obey(self, command: Command) -> None:
        if command.what == "pause":
            self.pause()
        elif command.what == "resume":
            self.resume()
        else:
            self.set_concurrency(command.slots)

    def bind(self, worker: Steered | None) -> None:
        """The worker that runs the app from now on; on its event loop. None: it has stopped."""
        self._worker = worker
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        for part in self._included:
            part.bind(worker)

    def include(self, other: Controls) -> None:
        """That app is part of ours: the same worker runs it."""
        if other is not self and other not in self._included:
            self._included.append(other)

    def _running(self, what: str) -> Steered:
        if self._worker is None:
            raise OxcartError(f"app.worker.{what}: no worker runs this app in this process. `oxcart run` starts one.")
        return self._worker

    def _do(self, change: Callable[[], None]) -> None:
        """Now, if this is the worker's loop; else as soon as it comes to it."""
        if threading.get_ident() == self._thread:
            change()
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(change)
