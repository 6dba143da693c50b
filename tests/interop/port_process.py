"""A whole worker process of the official Python port: serves one queue until SIGTERM; its handler only sleeps.

python -m interop.port_process HOST PORT QUEUE SETTINGS-AS-JSON, the password as a line on stdin
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

from bullmq import Worker


async def handle(job: Any, token: str) -> Any:
    await asyncio.sleep(job.data.get("ms", 0) / 1000)
    return job.data.get("value")


async def main(host: str, port: str, queue: str, settings: str) -> None:
    password = sys.stdin.readline().rstrip("\n")
    connection = {"host": host, "port": int(port), "password": password}
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    worker = Worker(queue, handle, {"connection": connection, **json.loads(settings)})
    worker.on("error", lambda *_: None)
    print("ready", flush=True)
    await stopping.wait()
    await worker.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
