"""When, and in which order, did jobs start? For tests of waiting and of order; times are of time.monotonic()."""

from __future__ import annotations

import asyncio
import time

from oxcart import Job, Oxcart


class Starts:
    """`quick` ends at once; `slow` sleeps for `data` seconds; `held` waits for `go`. All are noted when they start."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.at: dict[str, float] = {}
        self.go = asyncio.Event()

    def app(self, *names: str) -> Oxcart:
        """With names: only those, each of which ends at once."""
        app = Oxcart()
        for name in names:
            app.job(name)(self._quick)
        if names:
            return app
        app.job("quick")(self._quick)
        app.job("slow")(self._slow)
        app.job("held")(self._held)
        return app

    def note(self, job: Job) -> None:
        self.order.append(job.id)
        self.at.setdefault(job.id, time.monotonic())

    async def _quick(self, job: Job) -> None:
        self.note(job)

    async def _slow(self, job: Job[float]) -> None:
        self.note(job)
        await asyncio.sleep(job.data)

    async def _held(self, job: Job) -> None:
        self.note(job)
        await self.go.wait()
