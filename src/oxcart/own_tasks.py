"""How does Oxcart start a task that a handler cannot get hold of? Past the loop's task factory, unlisted.

Code of a user may cancel all that asyncio.all_tasks() lists, as examples of clean shutdowns do, or set a task factory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

# "Task lifetime support" in Python's documentation, for those who write their own tasks.
unlist = asyncio.tasks._unregister_task  # noqa: SLF001


def start_own_task(work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
    """A task of the running loop. Hold on to it: nothing else does while it waits."""
    task = asyncio.Task(work, loop=asyncio.get_running_loop(), name=name)
    unlist(task)
    return task
