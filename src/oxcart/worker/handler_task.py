"""How does an async handler run? Its first step at once, in the caller; a task carries it on only if it suspends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from oxcart.worker.claim import Claim

Ended = Callable[[Any, BaseException | None], None]


class HandlerExited(Exception):  # noqa: N818
    """A handler called sys.exit(), or raised KeyboardInterrupt: that ends its job, not the worker."""


class Run:
    """A handler that has suspended."""

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task

    def cancel(self) -> None:
        self._task.cancel()


def start(loop: asyncio.AbstractEventLoop, handler: Coroutine[Any, Any, Any], ended: Ended, claim: Claim) -> Run | None:
    """Run `handler`; `ended(value, error)` is called once. None: it has ended already."""
    task = loop.create_task(_guarded(handler), name=f"handler:{claim.name}:{claim.job_id.decode('utf-8', 'replace')}")

    def done(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            ended(None, asyncio.CancelledError())
            return
        error = task.exception()
        ended(None if error is not None else task.result(), error)

    task.add_done_callback(done)
    return Run(task)


async def _guarded(handler: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await handler
    except (SystemExit, KeyboardInterrupt) as error:
        raise HandlerExited(f"The handler called for the process to end ({type(error).__name__}: {error}).") from error
