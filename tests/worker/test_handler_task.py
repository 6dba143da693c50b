"""Does a handler that starts inside its caller behave as one in a task of its own?"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine
from typing import Any

import pytest

from oxcart.protocol.job_options import JobOptions
from oxcart.worker.claim import Claim, Shared
from oxcart.worker.handler_task import Starter

CLAIM = Claim(b"7", b"{}", 0, Shared("token", 1, 0, "greet", JobOptions(), b"{}", 0, 0, 0))
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")


async def outcome_of(handler: Coroutine[Any, Any, Any], *, cancel: bool = False) -> Any:
    """What a handler returned; raises what it raised."""
    ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if error is None:
            ended.set_result(value)
        else:
            ended.set_exception(error if isinstance(error, Exception) else RuntimeError(type(error).__name__))

    starter = Starter()
    run = starter.start(handler, settle, CLAIM)
    if cancel:
        assert run is not None
        run.cancel()
    try:
        return await ended
    finally:
        starter.close()


async def test_a_handler_that_does_not_suspend_has_ended_when_start_returns() -> None:
    ended: list[Any] = []

    async def handler() -> int:
        return 5

    starter = Starter()
    run = starter.start(handler(), lambda value, _error: ended.append(value), CLAIM)
    starter.close()

    assert run is None
    assert ended == [5]


async def test_a_handler_that_suspends_goes_on_in_the_same_task() -> None:
    async def handler() -> tuple[bool, bool]:
        before = asyncio.current_task()
        await asyncio.sleep(0)
        middle = asyncio.current_task()
        await asyncio.sleep(0.001)
        return before is middle, middle is asyncio.current_task()

    caller = asyncio.current_task()

    assert await outcome_of(handler()) == (True, True)
    assert asyncio.current_task() is caller


async def test_a_timeout_that_begins_in_the_first_step_cancels_the_handler_and_nobody_else() -> None:
    async def handler() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "never"

    assert await outcome_of(handler()) == "timed out"


async def test_a_task_group_in_the_first_step_works() -> None:
    async def handler() -> int:
        async with asyncio.TaskGroup() as group:
            one, two = group.create_task(asyncio.sleep(0, 1)), group.create_task(asyncio.sleep(0.001, 2))
        return one.result() + two.result()

    assert await outcome_of(handler()) == 3


async def test_context_variables_stay_with_their_job() -> None:
    async def handler(name: str) -> tuple[str, str]:
        before = variable.get()
        variable.set(name)
        await asyncio.sleep(0)
        return before, variable.get()

    starter = Starter()
    seen: list[Any] = []
    for name in ("first", "second"):
        starter.start(handler(name), lambda value, _error: seen.append(value), CLAIM)
    while len(seen) < 2:
        await asyncio.sleep(0)
    starter.close()

    assert seen == [("nobody's", "first"), ("nobody's", "second")]
    assert variable.get() == "nobody's"


async def test_cancelling_right_after_the_first_step_reaches_the_handler() -> None:
    cleaned_up: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append("yes")

    with pytest.raises(RuntimeError, match="CancelledError"):
        await outcome_of(handler(), cancel=True)
    assert cleaned_up == ["yes"]


@pytest.mark.parametrize("suspend_first", [False, True])
async def test_a_handler_that_cancels_its_own_task_is_cancelled_alone(suspend_first: bool) -> None:
    cleaned_up: list[str] = []

    async def handler() -> None:
        if suspend_first:
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(60)
        finally:
            cleaned_up.append("yes")

    with pytest.raises(RuntimeError, match="CancelledError"):
        await outcome_of(handler())
    assert cleaned_up == ["yes"]


async def test_errors_are_handed_over(  # in the first step, and later
) -> None:
    async def at_once() -> None:
        raise ValueError("at once")

    async def later() -> None:
        await asyncio.sleep(0)
        raise ValueError("later")

    with pytest.raises(ValueError, match="at once"):
        await outcome_of(at_once())
    with pytest.raises(ValueError, match="later"):
        await outcome_of(later())


@pytest.mark.parametrize("suspend", [False, True])
@pytest.mark.parametrize("begun", [False, True])
async def test_what_a_handler_does_to_its_task_does_not_meet_the_next_handler(suspend: bool, begun: bool) -> None:
    """Before Python 3.12 the next one would run in the same task, if this one does not suspend."""
    called_back: list[str] = []
    seen: list[Any] = []

    async def meddles() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.add_done_callback(lambda _: called_back.append("yes"))
        task.cancel()
        task.uncancel()
        if suspend:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        return "meddled"

    async def innocent() -> str:
        await asyncio.sleep(0.001)
        return "innocent"

    starter = Starter()
    if begun:  # the task that waits for a handler
        starter.start(asyncio.sleep(0), lambda *_: None, CLAIM)
        await asyncio.sleep(0.002)
    for handler in (meddles(), innocent()):
        starter.start(handler, lambda *outcome: seen.append(outcome), CLAIM)
    async with asyncio.timeout(5):
        while len(seen) < 2 or not called_back:
            await asyncio.sleep(0.001)
    starter.close()

    assert ("innocent", None) in seen
    assert called_back == ["yes"]
