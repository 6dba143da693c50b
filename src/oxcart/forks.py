"""What does a child have that a handler has forked? None of our sockets, no part in our work, signals of its own.

A fork copies every descriptor: the server would go on serving a worker that has died, as long as a child of it lives,
and give it the next job. What is started as another program (subprocess, "spawn") never had them: Python closes them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol
from weakref import WeakSet

STRAYED: list[int] = []
"""Not empty in a child that was forked while a worker ran. It must not come back into the worker's code: it would be a
second one of the same name. So whoever has called user code looks here.
"""

_STRAY_CHILD_EXIT = 70


class HoldsDescriptors(Protocol):
    def descriptors(self) -> Iterable[int]:
        """Those that are open now; called in the child."""
        ...


# A fork is the whole process's, and so is what happens after it: Python keeps hooks for good, so there is one.
_holders: WeakSet[HoldsDescriptors] = WeakSet()
_tidy: set[Callable[[], None]] = set()
_here = threading.local()


def end_stray_child() -> None:
    """End this process at once, as a child should have done itself."""
    os.write(2, b"A child that a handler has forked came back into the worker: it ends here. End it with os._exit().\n")
    os._exit(_STRAY_CHILD_EXIT)


def keep_from_children(holder: HoldsDescriptors) -> None:
    """A forked child lets go of what `holder` has open at that moment. Ends with the holder."""
    _holders.add(holder)


@contextlib.contextmanager
def in_children(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` in each child that is forked meanwhile."""
    _tidy.add(act)
    try:
        yield
    finally:
        _tidy.discard(act)


def _before_fork() -> None:
    """A signal that reaches the child before it is tidied would be written into the pipe from which our loop reads."""
    _here.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT)) if _tidy else None


def _unblock() -> None:
    if _here.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _here.mask)


def _after_fork() -> None:
    """In the child. The numbers stay taken: a copy of a socket object may close its own later, and must not hit another
    file. Nothing is said to the peer, for the socket is still the parent's.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for holder in tuple(_holders):
        for descriptor in holder.descriptors():
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)
    for act in tuple(_tidy):
        act()
    _unblock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_unblock, after_in_child=_after_fork)
