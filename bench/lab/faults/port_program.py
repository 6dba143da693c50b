"""BullMQ's own Python port, as its documentation shows it: python -m lab.faults.port_program work | add."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from bullmq import Queue, Worker

from lab.faults.handling import handle
from lab.faults.producing import produce


async def work(job: Any, _token: str) -> Any:
    return await handle(job.data, job.id, job.attemptsMade)


async def _work() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    options = json.loads(os.environ["FAULTS_WORKER"])
    worker = Worker("faults", work, {"connection": os.environ["REDIS_URL"], **options})
    worker.on("error", lambda *_: None)
    await stopping.wait()
    await worker.close()


async def _add() -> None:
    queue = Queue("faults", {"connection": os.environ["REDIS_URL"]})

    async def add(data: dict[str, Any]) -> str:
        return str((await queue.add("work", data, {})).id)

    await produce(add)


if __name__ == "__main__":
    asyncio.run(_add() if sys.argv[1] == "add" else _work())
