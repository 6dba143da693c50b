"""How does a test's own server run beside it? On an event loop in a thread, which nothing that blocks can stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

# Steps of the loop in which a connection just accepted reaches its handler, or one just closed its end.
_STEPS_TO_SETTLE = 20


class LoopThread:
    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it there and wait for its end."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def stop(self) -> None:
        """Cancel what still runs, let every socket close, and end the thread; may be called twice."""
        if self._thread.is_alive():
            self.run(_settle())
            self.run(_cancel_all())
            self.run(_settle())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def stop_listening(server: asyncio.Server) -> None:
    """Close the server, but first give each connection that it has just accepted its transport.

    asyncio makes that transport one step later, and where the server is closed by then, it gives up half way and leaves
    the socket open: a ResourceWarning, in whichever test the collector runs.
    """
    loop = asyncio.get_running_loop()
    for sock in server.sockets:
        loop.remove_reader(sock.fileno())
    await _settle()
    server.close()


async def _settle() -> None:
    for _ in range(_STEPS_TO_SETTLE):
        await asyncio.sleep(0)


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
