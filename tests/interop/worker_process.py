"""A whole Oxcart worker process for these tests: serves one queue with the behaving app until SIGTERM.

python -m interop.worker_process URL QUEUE SETTINGS-AS-JSON
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

from oxcart.testing import running_worker

from .behaviours import behaving_app


async def main(url: str, queue: str, settings: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    chosen = json.loads(settings)
    app = behaving_app(*chosen.pop("names", ()))
    async with running_worker(app, url=url, queue=queue, **chosen):
        print("ready", flush=True)
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
