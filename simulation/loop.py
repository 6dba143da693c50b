"""How does time pass in a simulation? It jumps to the next timer. One loop runs all actors, one event after the other.

An actor is a process that could die: a worker, a producer. All that it has scheduled carries its name in its context,
so a dead one never runs again, not even its `finally`, and a stopped one goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

ACTOR: contextvars.ContextVar[Actor | None] = contextvars.ContextVar("actor", default=None)
THREAD: contextvars.ContextVar[bool] = contextvars.ContextVar("thread", default=False)

Call = Callable[[], object]


class Actor:
    """One process. `is_blocked`: its event loop stands still, its threads go on."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.is_stopped = False
        self.is_blocked = False
        self.context = contextvars.copy_context()
        self.context.run(ACTOR.set, self)
        self._deferred: list[asyncio.Handle] = []
        self._received: list[tuple[bool, Call]] = []

    def may_run(self, context: contextvars.Context) -> bool:
        return not self.is_stopped and not (self.is_blocked and not context.get(THREAD))

    def defer(self, handle: asyncio.Handle) -> None:
        self._deferred.append(handle)

    def receive(self, deliver: Call, *, in_thread: bool = False) -> None:
        """What comes over the network: at once, or when it goes on."""
        if self.is_stopped or (self.is_blocked and not in_thread):
            self._received.append((in_thread, deliver))
        elif self.is_alive:
            deliver()

    def kill(self) -> None:
        self.is_alive = False
        self._received.clear()

    def go_on(self, loop: VirtualLoop) -> None:
        """As a real loop does: what has come is read first, then the timers that passed meanwhile."""
        self.is_stopped = self.is_blocked = False
        received, self._received = self._received, []
        for _, deliver in received:
            deliver()
        deferred, self._deferred = self._deferred, []
        loop.take_back(deferred)


class SimTask(asyncio.Task[Any]):
    """Sets of tasks are walked through in an order that is the same in each run."""

    made = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        SimTask.made += 1
        self._position = SimTask.made
        super().__init__(*args, **options)
        loop = self.get_loop()
        if isinstance(loop, VirtualLoop):
            loop.keep(self)

    def __hash__(self) -> int:
        return self._position

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.BaseEventLoop):
    """`run_until(now)` runs everything that happens until then."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        self.steps = 0
        self.bugs: list[str] = []
        self._kept: list[asyncio.Task[Any]] = []
        self.set_exception_handler(self._bug)

    def _bug(self, _loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.bugs.append(f"{context['message']}: {error!r}"[:300])

    def time(self) -> float:
        return self._now

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Nobody may collect the tasks of the dead: that would run their `finally`."""
        self._kept.append(task)

    def take_back(self, handles: list[asyncio.Handle]) -> None:
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def run_until(self, when: float, *, until: Callable[[], bool] | None = None) -> None:
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            ready, timers = self._ready, self._scheduled  # type: ignore[attr-defined]
            while not (until is not None and until()):
                while ready:
                    self._run_handle(ready.popleft())
                while timers and timers[0]._cancelled:
                    heapq.heappop(timers)._scheduled = False
                if not timers or timers[0].when() > when:
                    break
                timer = heapq.heappop(timers)
                timer._scheduled = False
                self._now = max(self._now, timer.when())
                self._run_handle(timer)
            else:
                return
            self._now = max(self._now, when)
        finally:
            asyncio._set_running_loop(before)

    def _run_handle(self, handle: asyncio.Handle) -> None:
        if handle._cancelled:
            return
        context = handle._context  # type: ignore[attr-defined]
        actor = context.get(ACTOR)
        if actor is not None:
            if not actor.is_alive:
                return
            if not actor.may_run(context):
                actor.defer(handle)
                return
        self.steps += 1
        handle._run()

    # ---------------------------------------------------------------------------------------- what BaseEventLoop wants
    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if context is None:
            context = contextvars.copy_context()
            context.run(THREAD.set, False)
        return self.call_soon(callback, *args, context=context)

    def _process_events(self, event_list: Any) -> None:
        """There are none: the network is made of timers."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """Cancelled timers are dropped when their time comes."""


# ------------------------------------------------------------------------------------------------ threads
class _Owned(greenlet):  # type: ignore[misc]
    owner: SimThread | None = None


class SimThread:
    """A thread of an actor: runs whenever what it waits for is there, and never beside anything else."""

    def __init__(self, *, target: Callable[[], None], name: str = "", daemon: bool = False) -> None:
        del name, daemon
        self._greenlet = _Owned(target)
        self._greenlet.owner = self
        self._context = contextvars.copy_context()
        self._context.run(THREAD.set, True)
        self._greenlet.gr_context = self._context
        self._waits = 0

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self._loop = loop
        loop.call_soon(self._resume, 0, context=self._context.copy())

    def _resume(self, wait: int) -> None:
        """Go on, if it still waits for this."""
        if wait == self._waits and not self._greenlet.dead:
            self._waits += 1
            self._greenlet.parent = getcurrent()
            self._greenlet.switch()

    def wait(self, seconds: float | None) -> Callable[[], None]:
        """Prepare a wait; returns what ends it. `pause` then waits."""
        number, context = self._waits, self._context.copy()
        if seconds is not None:
            self._loop.call_later(max(0.0, seconds), self._resume, number, context=context)
        return lambda: _forget(self._loop.call_soon(self._resume, number, context=context))

    def pause(self) -> None:
        assert self._greenlet.parent is not None
        self._greenlet.parent.switch()

    @staticmethod
    def current() -> SimThread:
        current = getcurrent()
        assert isinstance(current, _Owned)
        assert current.owner is not None
        return current.owner


def _forget(_handle: asyncio.Handle) -> None:
    """Nobody will cancel it."""


class SimEvent:
    """threading.Event for a SimThread that waits and a loop that sets it."""

    def __init__(self) -> None:
        self._is_set = False
        self._wake: Callable[[], None] | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            thread = SimThread.current()
            self._wake = thread.wait(timeout)
            thread.pause()
            self._wake = None
        return self._is_set
