"""How does an async handler run? Its first step at once, in the caller; a task carries it on only if it suspends.

Most handlers that matter for throughput never suspend, and a task costs more than the rest of such a job. The first
step must still run as its task would run it: `asyncio.timeout()` and task groups ask which task is current. Python 3.12
can start a task that way itself; before, a carrier does it: a task made beforehand that waits for something to carry.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any

from oxcart.worker.claim import Claim

Ended = Callable[[Any, BaseException | None], None]


class HandlerExited(Exception):  # noqa: N818
    """A handler called sys.exit(), or raised KeyboardInterrupt: that ends its job, not the worker."""


class Run:
    """A handler that has suspended. A plain task underneath: cancelling it cancels the handler."""

    __slots__ = ("_cancel",)

    def __init__(self, task: asyncio.Task[Any], claim: Claim, ended: Ended, cancel: Callable[[], object]) -> None:
        self._cancel = cancel
        task.set_name(f"handler:{claim.name}:{claim.job_id.decode('utf-8', 'replace')}")
        task.add_done_callback(lambda done: _report(done, ended))

    def cancel(self) -> None:
        self._cancel()


def _report(task: asyncio.Task[Any], ended: Ended) -> None:
    if task.cancelled():
        ended(None, asyncio.CancelledError())
        return
    error = task.exception()
    ended(None if error is not None else task.result(), error)


class Starter:
    """Starts handlers on one event loop. `start` returns None when the handler has ended already, `ended` called."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._spare: _Carrier | None = None

    def close(self) -> None:
        """End the carrier that waits."""
        if self._spare is not None:
            self._spare.task.cancel()
            self._spare = None

    if sys.version_info >= (3, 12):

        def start(self, handler: Coroutine[Any, Any, Any], ended: Ended, claim: Claim) -> Run | None:
            task = asyncio.Task(_guarded(handler), loop=self._loop, eager_start=True)  # type: ignore[call-arg]
            if not task.done():
                return Run(task, claim, ended, task.cancel)
            _report(task, ended)
            return None

    else:

        def start(self, handler: Coroutine[Any, Any, Any], ended: Ended, claim: Claim) -> Run | None:
            carrier, self._spare = self._spare or _Carrier(self._loop), None
            value: Any = None
            error: BaseException | None = None
            try:
                suspended_on = carrier.first_step(self._loop, handler)
            except StopIteration as done:
                value = done.value
            except (SystemExit, KeyboardInterrupt) as caught:
                error = _exited(caught)
            except BaseException as caught:  # noqa: BLE001 - the border around a handler; cancellation is an outcome too
                error = caught
            else:
                task = carrier.carry_on(handler, suspended_on)
                return Run(task, claim, ended, carrier.cancel)
            if carrier.task.cancelling():  # the handler has cancelled its own task in its first step
                carrier.task.cancel()
            else:
                self._spare = carrier
            ended(value, error)
            return None


class _Carrier:
    """A task that exists before its handler does, so that the handler's first step can run as this task's."""

    __slots__ = ("_context", "_handler", "_has_begun", "_loop", "_suspended_on", "_wake", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._wake: asyncio.Future[None] = loop.create_future()
        self._handler: Coroutine[Any, Any, Any] | None = None
        self._suspended_on: Any = None
        self._has_begun = False
        self._context = contextvars.copy_context()
        self.task: asyncio.Task[Any] = loop.create_task(self._run())

    def first_step(self, loop: asyncio.AbstractEventLoop, handler: Coroutine[Any, Any, Any]) -> Any:
        """What the handler suspended on; raises StopIteration with its value, or its error."""
        self._context = contextvars.copy_context()
        caller = asyncio.current_task(loop)
        if caller is not None:
            _leave_task(loop, caller)
        _enter_task(loop, self.task)
        try:
            return self._context.run(handler.send, None)
        finally:
            _leave_task(loop, self.task)
            if caller is not None:
                _enter_task(loop, caller)

    def carry_on(self, handler: Coroutine[Any, Any, Any], suspended_on: Any) -> asyncio.Task[Any]:
        """The task that the handler goes on in: this one, unless the handler has cancelled it before it began."""
        self._handler, self._suspended_on = handler, suspended_on
        if self.task.cancelling() and not self._has_begun:
            drive = _drive(handler, suspended_on, self._context, asyncio.CancelledError())
            self.task = self._loop.create_task(_guarded(drive))
        elif not self._wake.done():
            self._wake.set_result(None)
        return self.task

    def cancel(self) -> None:
        """Cancel the handler. A task that has not begun would end without ever telling it: let it begin first."""
        if self._has_begun:
            self.task.cancel()
        else:
            self._loop.call_soon(self.task.cancel)

    async def _run(self) -> Any:
        self._has_begun = True
        cancelled: asyncio.CancelledError | None = None
        try:
            await self._wake
        except asyncio.CancelledError as error:
            if self._handler is None:
                raise
            cancelled = error
        assert self._handler is not None
        return await _guarded(_drive(self._handler, self._suspended_on, self._context, cancelled))


_enter_task = asyncio.tasks._enter_task  # noqa: SLF001 - documented for loop authors
_leave_task = asyncio.tasks._leave_task  # noqa: SLF001


@coroutine
def _drive(
    handler: Coroutine[Any, Any, Any],
    suspended_on: Any,
    context: contextvars.Context,
    cancelled: asyncio.CancelledError | None,
) -> Generator[Any, Any, Any]:
    """Carry a started coroutine on inside another task, in the context in which it was started."""
    try:
        if cancelled is not None:
            suspended_on = context.run(handler.throw, cancelled)
        while True:
            try:
                sent = yield suspended_on
            except BaseException as error:  # noqa: BLE001 - thrown into us for the handler to see
                suspended_on = context.run(handler.throw, error)
            else:
                suspended_on = context.run(handler.send, sent)
    except StopIteration as done:
        return done.value


async def _guarded(handler: Any) -> Any:
    try:
        return await handler
    except (SystemExit, KeyboardInterrupt) as error:
        raise _exited(error) from error


def _exited(error: BaseException) -> HandlerExited:
    return HandlerExited(f"The handler called for the process to end ({type(error).__name__}: {error}).")
