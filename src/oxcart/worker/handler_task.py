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

from oxcart.forks import STRAYED, end_stray_child
from oxcart.own_tasks import unlist
from oxcart.worker.claim import Claim

Ended = Callable[[Any, BaseException | None], None]


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
    """Starts handlers on one event loop. `start` returns None when the handler has ended already, `ended` called.

    They raise neither SystemExit nor KeyboardInterrupt: a task lets those two out into the event loop.
    """

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
            drive = _as_coroutine(_drive(_call, handler, _NOT_BEGUN, None))
            task = asyncio.Task(drive, loop=self._loop, eager_start=True)  # type: ignore[call-arg]
            if STRAYED:
                end_stray_child()
            if not task.done():
                unlist(task)
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
            except BaseException as caught:  # noqa: BLE001 - to be handed over
                error = caught
            else:
                return Run(carrier.carry_on(handler, suspended_on), claim, ended, carrier.cancel)
            # It may have done something to its task that would meet the next one: cancelled it (and uncancelled it),
            # or put a callback on it.
            task: Any = carrier.task
            if task._callbacks or task._must_cancel or task.cancelling() or carrier.is_woken:  # noqa: SLF001
                task.cancel()
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
        self.task: asyncio.Task[Any] = asyncio.Task(self._run(), loop=loop)
        unlist(self.task)

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
            if STRAYED:
                end_stray_child()
            _leave_task(loop, self.task)
            if caller is not None:
                _enter_task(loop, caller)

    @property
    def is_woken(self) -> bool:
        return self._wake.done()

    def carry_on(self, handler: Coroutine[Any, Any, Any], suspended_on: Any) -> asyncio.Task[Any]:
        """The task that the handler goes on in: this one, unless the handler has cancelled it before it began."""
        self._handler, self._suspended_on = handler, suspended_on
        task: Any = self.task
        if not self._has_begun and (task.cancelling() or task._must_cancel):  # noqa: SLF001
            drive = _drive(self._context.run, handler, suspended_on, asyncio.CancelledError())
            self.task = asyncio.Task(_as_coroutine(drive), loop=self._loop)
            unlist(self.task)
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
        return await _drive(self._context.run, self._handler, self._suspended_on, cancelled)


_enter_task = asyncio.tasks._enter_task  # noqa: SLF001 - documented for loop authors
_leave_task = asyncio.tasks._leave_task  # noqa: SLF001


_NOT_BEGUN = object()


def _call(step: Callable[[Any], Any], argument: Any) -> Any:
    """As contextvars.Context.run, in the context of a task that the coroutine began in."""
    return step(argument)


@coroutine
def _drive(
    run: Callable[..., Any],
    handler: Coroutine[Any, Any, Any],
    suspended_on: Any,
    cancelled: asyncio.CancelledError | None,
) -> Generator[Any, Any, Any]:
    """Carry a coroutine on inside another task, and look at what it waits for: an awaitable may be an object of the
    user's. A task that gets one which raises when it is asked to call back stands still for ever.
    """
    try:
        if cancelled is not None:
            suspended_on = run(handler.throw, cancelled)
        elif suspended_on is _NOT_BEGUN:
            suspended_on = run(handler.send, None)
        while True:
            try:
                if suspended_on is not None and type(suspended_on) not in _FUTURES:
                    _try_out(suspended_on)
                if STRAYED:
                    end_stray_child()
                sent = yield suspended_on
            except BaseException as error:  # noqa: BLE001 - thrown into us for the handler to see
                suspended_on = run(handler.throw, error)
            else:
                suspended_on = run(handler.send, sent)
    except StopIteration as done:
        return done.value


_FUTURES = frozenset({asyncio.Future, asyncio.Task})
_loop_of: Callable[[Any], Any] = asyncio.futures._get_loop  # type: ignore[attr-defined]  # noqa: SLF001


def _try_out(awaited: Any) -> None:
    """Do with it all that a task does. Raises TypeError for what no task can wait for, and what the object raises."""
    is_blocking = getattr(awaited, "_asyncio_future_blocking", None)
    if is_blocking is None:
        raise TypeError("What was awaited yields something that is no future.")
    _loop_of(awaited)
    awaited._asyncio_future_blocking = is_blocking  # noqa: SLF001 - as a task does
    awaited.add_done_callback(_called_back, context=contextvars.copy_context())


def _called_back(_awaited: Any) -> None:
    """It can call back; nothing more was asked."""


async def _as_coroutine(drive: Any) -> Any:
    return await drive
