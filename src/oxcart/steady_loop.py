"""How does the worker's event loop go on when a handler stops it? It is started again until the work has ended.

A handler's own tasks and callbacks are beyond the border around it (worker/attempt.py). What they raise ends in the
loop's exception handler. Out of the loop itself come `loop.stop()`, SystemExit and KeyboardInterrupt, and what an
exception handler, a logging handler or a signal handler of the user's raises.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from oxcart import clock
from oxcart.own_tasks import unlist

Result = TypeVar("Result")

# A loop that cannot run at all, for its descriptors were closed, must end the process and not go round for ever.
_MOST_ENDS = 10_000
_LEAST_SECONDS_OF_ENDS = 2.0


def run_to_the_end(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Result],
    *,
    may_go_on: Callable[[], bool],
    stopped: Callable[[str], None],
) -> Result:
    """Run `work` as asyncio.Runner would, whoever stops the loop meanwhile; `stopped` is told what they did.

    While `may_go_on` is false (no handler can be running yet) what comes out of the loop is raised: a Ctrl-C.
    """
    ends: deque[float] = deque([float("-inf")] * _MOST_ENDS, maxlen=_MOST_ENDS)
    task = loop.create_task(work)
    unlist(task)
    try:
        while not task.done():
            try:
                loop.run_until_complete(task)
            except BaseException as error:
                ends.append(clock.monotonic())
                if task.done() or loop.is_closed() or not may_go_on() or ends[-1] - ends[0] < _LEAST_SECONDS_OF_ENDS:
                    raise
                stopped(_what_happened(error))
    except BaseException:
        if not task.done() and not loop.is_closed():
            task.cancel()
            loop.run_until_complete(asyncio.wait({task}))
        raise
    return task.result()


def _what_happened(error: BaseException) -> str:
    if type(error) is RuntimeError and "stopped before" in str(error):
        return "stopped the event loop"
    return f"let {type(error).__name__} out of a task or callback of its own"
