"""What do tests of hostile handlers run? A worker process whose handler does whatever its job's data say.

python -m support.hostile_process      the environment says the rest; HOSTILE_LOOP is asyncio or uvloop
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvloop
from pydantic import BaseModel, field_validator
from redis import Redis

from oxcart import Job, Oxcart
from oxcart.serving import plan, run
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.logs import configure_logging
from support.hostile import AWAITABLES, ERRORS, VALUES, BadEnd, BadText, Spite, deep, spite

app = Oxcart()
mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="")
_kept: list[Any] = []  # so that a task lives as long as it wants


# ------------------------------------------------------------------------------------------------ deeds
def cancel_itself(_job: Job[Any]) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def cancel_and_uncancel_itself(_job: Job[Any]) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    task.uncancel()


def mark_its_task(_job: Job[Any]) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(spite)
    task.set_name(BadText("x"))


def log_badly(_job: Job[Any]) -> None:
    class BadHandler(logging.Handler):
        emit = spite

    logging.getLogger().addHandler(BadHandler())
    asyncio.get_running_loop().call_soon(spite)


def raise_at_a_signal(_job: Job[Any]) -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: signal.signal(signal.SIGUSR1, spite) and None)
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)


def leave_a_generator_that_exits(_job: Job[Any]) -> None:
    async def exit_at_the_end() -> AsyncIterator[int]:
        try:
            yield 5
            yield 6
        finally:
            sys.exit(5)

    async def begin() -> None:
        await anext(exit_at_the_end())

    _kept.append(asyncio.create_task(begin()))


def keep_the_executor_busy(_job: Job[Any]) -> None:
    _kept.extend(asyncio.create_task(asyncio.to_thread(time.sleep, 0.1)) for _ in range(60))


def cancel_all_tasks(_job: Job[Any]) -> None:
    for task in asyncio.all_tasks():
        task.cancel()


def stop_the_loop(_job: Job[Any]) -> None:
    asyncio.get_running_loop().stop()


def close_the_loop(_job: Job[Any]) -> None:
    asyncio.get_running_loop().close()


def exit_in_a_callback(_job: Job[Any]) -> None:
    asyncio.get_running_loop().call_soon(sys.exit, 3)


def interrupt_in_a_task(_job: Job[Any]) -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    _kept.append(asyncio.create_task(interrupt()))


def raise_in_the_exception_handler(_job: Job[Any]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(spite)
    loop.call_soon(spite)


def set_a_task_factory(_job: Job[Any]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(spite)
    loop.call_later(0.05, loop.set_task_factory, None)


def shut_the_executor_down(_job: Job[Any]) -> None:
    _kept.append(asyncio.create_task(asyncio.get_running_loop().shutdown_default_executor()))


def leave_a_task(_job: Job[Any]) -> None:
    async def go_on() -> None:
        await asyncio.sleep(0.01)
        raise Spite("in a task left behind")

    _kept.append(asyncio.create_task(go_on()))


def leave_a_thread(_job: Job[Any]) -> None:
    threading.Thread(target=time.sleep, args=(0.2,)).start()


def raise_in_a_thread(_job: Job[Any]) -> None:
    threading.Thread(target=spite, daemon=True).start()


def set_a_context_variable(_job: Job[Any]) -> None:
    mark.set("hostile")


def take_the_job_apart(job: Job[Any]) -> None:
    for name in type(job).__slots__:
        delattr(job, name)


def rename_the_job(job: Job[Any]) -> None:
    job.id = BadText("another")
    job.name = BadEnd()  # type: ignore[assignment]
    job.progress(5)


def report_something_bad(job: Job[Any]) -> None:
    for value in ("a model that cannot be dumped", "a dataclass whose fields exit", "ten megabytes", "NaN"):
        with contextlib.suppress(BaseException):
            job.progress(VALUES[value]())


def log_something_bad(job: Job[Any]) -> None:
    for line in ("half \ud800", BadText("x"), BadEnd(), "x" * 10_000_000):
        with contextlib.suppress(BaseException):
            job.log(line)  # type: ignore[arg-type]


def leave_rubbish(_job: Job[Any]) -> None:
    _kept.extend(([BadEnd()], [BadEnd()]))
    _kept.clear()
    gc.collect()


def make_warnings_errors(_job: Job[Any]) -> None:
    warnings.simplefilter("error")


def go_too_deep(_job: Job[Any]) -> None:
    deep()


def wait_for_itself(_job: Job[Any]) -> None:
    asyncio.run(asyncio.sleep(0))


DEEDS: dict[str, Callable[[Job[Any]], None]] = {
    deed.__name__.replace("_", " "): deed
    for deed in (
        cancel_itself,
        cancel_and_uncancel_itself,
        mark_its_task,
        log_badly,
        raise_at_a_signal,
        leave_a_generator_that_exits,
        keep_the_executor_busy,
        cancel_all_tasks,
        stop_the_loop,
        close_the_loop,
        exit_in_a_callback,
        interrupt_in_a_task,
        raise_in_the_exception_handler,
        set_a_task_factory,
        shut_the_executor_down,
        leave_a_task,
        leave_a_thread,
        raise_in_a_thread,
        set_a_context_variable,
        take_the_job_apart,
        rename_the_job,
        report_something_bad,
        log_something_bad,
        leave_rubbish,
        make_warnings_errors,
        go_too_deep,
        wait_for_itself,
    )
}

BACKOFFS: dict[str, Callable[[], Any]] = {
    "a huge int": lambda: 10**30,
    "NaN": lambda: float("nan"),
    "a text": lambda: "soon",
    "no more": lambda: -1,
    "at once": lambda: 0,
    "raises": spite,
    "exits": lambda: sys.exit(1),
    **VALUES,
}


# ------------------------------------------------------------------------------------------------ handlers
class Recipe(BaseModel):
    """What one job does, in this order; each may be missing. `deed` and `error` also before the first await."""

    validator: str | None = None
    early: str | None = None
    deed: str | None = None
    awaited: str | None = None
    error: str | None = None
    value: str | None = None
    backoff: str = "no more"

    @field_validator("validator")
    @classmethod
    def misbehave(cls, what: str | None) -> str | None:
        if what is not None:
            error = ERRORS[what]()
            raise error
        return what


def do(job: Job[Recipe], recipe: Recipe) -> Any:
    if recipe.deed is not None:
        DEEDS[recipe.deed](job)
    if recipe.error is not None:
        error = ERRORS[recipe.error]()
        raise error
    return VALUES[recipe.value]() if recipe.value is not None else None


@app.job("async", attempts=2, backoff="hostile", timeout_seconds=5)
async def run_async(job: Job[Recipe]) -> Any:
    recipe = job.data
    if recipe.early is not None:
        DEEDS[recipe.early](job)
    else:
        await asyncio.sleep(0.001)
    if recipe.awaited is not None:
        await AWAITABLES[recipe.awaited]()
    return do(job, recipe)


@app.job("plain", attempts=2, backoff="hostile", timeout_seconds=5)
def run_plain(job: Job[Recipe]) -> Any:
    recipe = job.data
    if recipe.early is not None:
        DEEDS[recipe.early](job)
    return do(job, recipe)


@app.backoff("hostile")
def backoff(attempts_made: int, name: str, error: BaseException, job: Job[Recipe]) -> Any:
    return BACKOFFS[job.data.backoff]()


@app.job("good")
async def good(job: Job[int]) -> str:
    await asyncio.sleep(0.001)
    return f"{job.data} {mark.get()}"


# ------------------------------------------------------------------------------------------------ forks
def note(job: Job[Any], what: str) -> None:
    with Redis.from_url(os.environ["EFFECTS_URL"], protocol=2) as client:
        client.rpush(f"effects:{job.queue_name}", what)


@app.job("fork")
async def fork(job: Job[str]) -> None:
    """`data` is what the child does: it sleeps, or it comes back as if it were the worker."""
    child = os.fork()
    if child == 0 and job.data == "sleep":
        time.sleep(60)
        os._exit(0)
    if child == 0 and job.data == "await":
        await asyncio.sleep(0)
    if child:
        note(job, f"child {child}")


@app.job("fork in a thread")
def fork_in_a_thread(job: Job[str]) -> None:
    if job.data == "return":
        child = os.fork()
        if child:
            note(job, f"child {child}")
        return
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    note(job, f"child {process.pid}")


def main() -> int:
    planned = plan(os.environ)
    bus = Bus()
    log = configure_logging(level=planned.settings.log.level, format="json")
    bus.subscribe(log)
    loop_factory = uvloop.new_event_loop if os.environ["HOSTILE_LOOP"] == "uvloop" else None
    return run(app, planned, bus, loop_factory=loop_factory, before_exit=log.close, loopback_only=True)


if __name__ == "__main__":
    sys.exit(main())
