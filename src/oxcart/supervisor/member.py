"""How does a worker process live under a supervisor? A thread reports twice a second and sees when the supervisor ends.

A thread, so that it reports, and ends the process, also while a handler blocks the event loop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from oxcart.errors import InvalidInput, OxcartError
from oxcart.forks import keep_from_children
from oxcart.supervisor.channel import REPORT_SECONDS, JobsEnded, Noticed, Report, encode, message_of
from oxcart.telemetry.alerts import AlertLimits, AlertRules
from oxcart.telemetry.events import Event
from oxcart.telemetry.metrics import Metrics
from oxcart.worker.controls import Command
from oxcart.worker.status import WorkerStatus

BEYOND_GRACE_SECONDS = 2.0  # a worker has ended by then, unless something keeps it
_log = logging.getLogger("oxcart.supervisor")
_STUCK_SECONDS = 0.2  # of the 2 s, at the end of a process whose supervisor does not read
_MOST_NEWS = 10_000  # while the supervisor does not read; the oldest go first


@dataclass(frozen=True, slots=True)
class Place:
    """What the supervisor gives a process: its number, its end of the socket, and the file that orders log lines."""

    process: int
    channel: int
    turns: int

    def __str__(self) -> str:
        return f"{self.process}:{self.channel}:{self.turns}"


def parse_place(text: str) -> Place:
    try:
        process, channel, turns = map(int, text.split(":"))
        for descriptor in (channel, turns):
            os.set_inheritable(descriptor, False)  # what a handler starts is to hold neither
    except (ValueError, OSError) as error:
        raise InvalidInput("--supervised is for the processes that --processes starts; use --processes.") from error
    return Place(process, channel, turns)


class Member:
    """One worker process's side of the channel. A subscriber: it counts, and with `watches_alerts` tells of events.

    Only its thread waits for the supervisor to read: one that is frozen must not hold up a job.
    """

    def __init__(self, place: Place, *, grace_seconds: float, watches_alerts: bool) -> None:
        self._metrics = Metrics()
        self._socket = socket.socket(fileno=place.channel)
        self._grace_seconds = grace_seconds
        self._rules = AlertRules(AlertLimits(), 0.0) if watches_alerts else None
        self._news: deque[Noticed | JobsEnded] = deque(maxlen=_MOST_NEWS)
        self._status: Callable[[], WorkerStatus] | None = None
        self._worker = ""
        self._obey: Callable[[Command], None] | None = None
        self._heard = b""
        self._sending = threading.Lock()
        keep_from_children(self)

    def start(self) -> None:
        """Watch the supervisor from now on; before there is a worker, its end is ours at once."""
        threading.Thread(target=self._run, name="supervisor", daemon=True).start()

    def report_on(self, worker: str, status: Callable[[], WorkerStatus], obey: Callable[[Command], None]) -> None:
        """There is a worker of this name: the first report goes out now, the others by the thread. `obey` is called
        there for what the supervisor says.
        """
        self._worker, self._status, self._obey = worker, status, obey
        self.report()

    def __call__(self, event: Event) -> None:
        self._metrics(event)
        if self._rules is not None and self._rules.concerns(type(event)):
            self._news.append(message_of(event))

    def report(self) -> None:
        """Tell the news and the counters now, unless the supervisor does not read."""
        if self._status is None or not self._sending.acquire(timeout=_STUCK_SECONDS):
            return
        try:
            news = [self._news.popleft() for _ in range(len(self._news))]
            report = Report(self._status(), self._metrics.counts(), self._worker)
            self._socket.sendall(b"".join(map(encode, (*news, report))))
        except OSError:  # the supervisor has ended: the thread sees to it
            return
        finally:
            self._sending.release()

    def descriptors(self) -> Iterable[int]:
        return (self._socket.fileno(),)

    def _run(self) -> None:
        while not self._supervisor_has_ended(REPORT_SECONDS):
            self._obey_what_was_heard()
            self.report()
        self._end()

    def _supervisor_has_ended(self, seconds: float) -> bool:
        readable, _, _ = select.select([self._socket], [], [], seconds)
        try:
            said = self._socket.recv(4096) if readable else None
        except OSError:
            return True
        self._heard += said or b""
        return said == b""

    def _obey_what_was_heard(self) -> None:
        """Not before there is a worker; of one that has stopped nothing is wanted any more."""
        if self._obey is None:
            return
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, OxcartError):
                self._obey(Command.parse(line.decode()))

    def _end(self) -> None:
        """As the supervisor would have: SIGTERM, unless it has sent that already, and no longer than it allows."""
        if self._status is None or self._status().state in {"running", "paused"}:
            _log.warning("The supervisor has ended without a word: this worker process stops as at SIGTERM.")
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._grace_seconds + BEYOND_GRACE_SECONDS)
        os._exit(1)
