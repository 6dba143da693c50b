"""How does a call that blocks run without holding up the end? In a daemon thread: nobody waits for one that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

Answer = TypeVar("Answer")


async def in_thread(doing: str, call: Callable[[], Answer]) -> Answer:
    """What the call returns or raises. When the waiter is cancelled, the thread goes on and is heard by nobody.

    asyncio's own threads would be waited for at the end of the process: a name server that is silent takes 30 s.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Answer] = loop.create_future()

    def settle(value: Answer | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        try:
            outcome: tuple[Answer | None, BaseException | None] = (call(), None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            outcome = (None, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=copy_context().run, args=(run,), name=f"doctor:{doing}", daemon=True).start()
    return await answer
