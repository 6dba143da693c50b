"""How do lines leave the process? On a thread, so that a reader that is slow, stuck or gone never holds up a job."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TextIO

# What may wait for a stuck reader: minutes of ordinary logging. Beyond it lines are dropped and counted.
_MAX_WAITING_BYTES = 4 * 1024 * 1024
_CLOSE_SECONDS = 1.0


class LineWriter:
    """Writes lines in order to `stream` from a daemon thread, started by the first line.

    A process that was started with its stdout closed has no stream: None, and the lines are gone.

    `tick` runs on that thread: it does what is due and returns the seconds until it wants to run again, None for not
    before the next `wake()`. `report_lost(n)` makes the line that follows after n lines could not be written.

    Processes that share the stream share a file as well, open as `turns`: its lock keeps their lines whole, as a write
    of more than 4 KiB to a pipe may be cut by another's.
    """

    def __init__(
        self,
        stream: TextIO | None,
        tick: Callable[[], float | None],
        report_lost: Callable[[int], bytes],
        *,
        turns: int | None = None,
    ) -> None:
        self._stream = stream
        self._turns = turns
        self._tick = tick
        self._report_lost = report_lost
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        self._woken = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def put(self, line: bytes) -> None:
        """Never blocks and never raises for what the stream does."""
        if os.getpid() != self._pid:  # a forked child has no copy of the thread
            self._write(line)
            return
        with self._changed:
            if self._waiting_bytes + len(line) > _MAX_WAITING_BYTES or self._closing:
                self._lost += 1
                return
            self._lines.append(line)
            self._waiting_bytes += len(line)
            self._start_or_notify()

    def wake(self) -> None:
        with self._changed:
            self._woken = True
            self._start_or_notify()

    def close(self) -> None:
        """Write what waits, for one second at most. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_SECONDS)

    def _start_or_notify(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            self._thread.start()
        else:
            self._changed.notify()

    def _run(self) -> None:
        while True:
            seconds = self._tick()
            with self._changed:
                if not (self._lines or self._woken or self._closing):
                    self._changed.wait(seconds)
                self._woken = False
                batch, count = b"".join(self._lines), len(self._lines)
                self._lines.clear()
                if not batch and self._closing:
                    return
            self._deliver(batch, count)

    def _deliver(self, batch: bytes, count: int) -> None:
        """The bytes count as waiting until they are out: a stuck stream must not collect more with each batch."""
        if not batch:
            return
        written = self._write(batch)
        with self._changed:
            self._waiting_bytes -= len(batch)
            if not written:
                self._lost += count
            elif self._lost:
                report = self._report_lost(self._lost)
                self._lines.append(report)
                self._waiting_bytes += len(report)
                self._lost = 0

    def _write(self, data: bytes) -> bool:
        """False if the stream is closed, its reader gone, or its disk full: the worker goes on without a log."""
        if self._stream is None:
            return False
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):
            return _write_text(self._stream, data)
        with _turn(self._turns):
            return self._write_bytes(descriptor, memoryview(data))

    def _write_bytes(self, descriptor: int, rest: memoryview) -> bool:
        while rest:
            try:
                rest = rest[os.write(descriptor, rest) :]
            except BlockingIOError:  # a pipe that another program has set to non-blocking
                if self._closing:
                    return False
                with contextlib.suppress(OSError, ValueError):
                    select.select([], [descriptor], [], 1.0)
            except OSError:
                return False
        return True


@contextlib.contextmanager
def _turn(descriptor: int | None) -> Iterator[None]:
    """Hold the lock of this file, which ends with the process too. Without a file there is nobody to wait for."""
    if descriptor is None:
        yield
        return
    import fcntl

    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _write_text(stream: TextIO, data: bytes) -> bool:
    """A stream without a file behind it: a test's buffer, a notebook's output."""
    try:
        stream.write(data.decode("utf-8"))
        stream.flush()
    except (OSError, ValueError):
        return False
    return True
