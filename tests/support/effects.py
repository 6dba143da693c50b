"""What have the handlers of a fault test done? Counted by job id, outside the store that the fault hits."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from oxcart import Job, Oxcart


class Effects:
    """`quick` ends at once; `held` waits for `go`; `blocking` holds up the event loop for `data` seconds."""

    def __init__(self) -> None:
        self.started: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.cancelled: Counter[str] = Counter()
        self.go = asyncio.Event()

    def has_done(self, number: int) -> bool:
        return len(self.done) >= number

    def app(self) -> Oxcart:
        app = Oxcart()
        app.job("quick")(self._quick)
        app.job("held")(self._held)
        app.job("blocking")(self._blocking)
        return app

    async def _quick(self, job: Job) -> str:
        self.started[job.id] += 1
        self.done[job.id] += 1
        return job.id

    async def _held(self, job: Job) -> str:
        self.started[job.id] += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled[job.id] += 1
            raise
        self.done[job.id] += 1
        return job.id

    async def _blocking(self, job: Job[float]) -> str:
        self.started[job.id] += 1
        time.sleep(job.data)  # the fault itself
        self.done[job.id] += 1
        return job.id
