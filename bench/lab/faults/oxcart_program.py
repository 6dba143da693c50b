"""Oxcart as its users run it: `oxcart run lab.faults.oxcart_program:app`; and as a producer: `python -m … add`."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from lab.faults.handling import handle
from lab.faults.producing import produce
from oxcart import Job, Oxcart, Queue

app = Oxcart()


@app.job("work")
async def work(job: Job[Any]) -> Any:
    return await handle(job.data, job.id, job.attempts_made)


async def _add() -> None:
    async with Queue("faults", os.environ["REDIS_URL"]) as queue:

        async def add(data: dict[str, Any]) -> str:
            return (await queue.add("work", data, keep_failed=True)).id

        await produce(add)


if __name__ == "__main__" and sys.argv[1:] == ["add"]:
    asyncio.run(_add())
