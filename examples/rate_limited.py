"""A service says "slow down": the whole queue stops for as long as the service asks, and no attempt is used.

python rate_limited.py
"""

from __future__ import annotations

import asyncio
import time

from oxcart import Job, Oxcart, Queue, RateLimited
from oxcart.testing import running_worker

app = Oxcart()


class TooManyRequests(Exception):  # noqa: N818 - HTTP's own name for it
    def __init__(self, retry_after_seconds: float) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"too many requests, retry after {retry_after_seconds} s")


class Service:
    """Stands for a web service that takes two messages, then none for a second."""

    def __init__(self) -> None:
        self._sent = 0
        self._closed_until = 0.0

    async def send(self, number: int) -> str:
        closed_for = self._closed_until - time.monotonic()
        if closed_for > 0:
            raise TooManyRequests(closed_for)
        self._sent += 1
        if self._sent % 2 == 0:
            self._closed_until = time.monotonic() + 1
        return f"sent {number}"


service = Service()


@app.job("send")
async def send(job: Job) -> str:
    try:
        return await service.send(job.data["number"])
    except TooManyRequests as error:
        raise RateLimited(error.retry_after_seconds) from error


async def main() -> None:
    async with running_worker(app, queue="messages", concurrency=1), Queue("messages") as queue:
        added = await queue.add_many([("send", {"number": number}) for number in range(5)])
        for job in added:
            print(await job.result(timeout_seconds=30))


if __name__ == "__main__":
    asyncio.run(main())
