"""How are N worker processes kept running? Each has a place: what ends in it is replaced, whatever its exit code.

Two ends are clean: one that we asked for, and one whose worker has said over its channel that it has stopped.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from oxcart import clock
from oxcart.supervisor.channel import Lines, Message, Report, decode
from oxcart.supervisor.member import Place
from oxcart.supervisor.sums import Sums
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import ProcessLost, ProcessReplaced, WarningRaised
from oxcart.worker.controls import Command as Steering

FIRST_RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 30.0
STEADY_SECONDS = 60.0  # a process that has lived for so long is not part of a crash loop

# Of the 2 s that a run may take beyond its grace: a worker has delivered what it can by then (worker/shutdown.py), and
# the rest is for the end of HTTP.
KILL_AFTER_SECONDS = 1.8
LAST_WORDS_SECONDS = 1.0  # for what a process said last; something that it started may hold its end of the socket
KILLED = 1
_PIECE_BYTES = 64 * 1024
CANNOT_START = 71  # sysexits.h: the system refused


@dataclass(frozen=True, slots=True)
class Command:
    """How a worker process is started: `arguments`, with its place as the last option. `turns` orders the log."""

    arguments: Sequence[str]
    environ: Mapping[str, str]
    turns: int


@dataclass(frozen=True, slots=True)
class _Loss:
    """A place that nobody fills, as it was reported. `since` is of the monotonic clock."""

    code: int
    since: float


class Fleet:
    """Runs `processes` of a command until `stop`. Reports go into `sums`, everything else they say to `hear`.

    `remember` is told of a worker that was lost: its name, and how it ended.
    """

    def __init__(
        self,
        command: Command,
        sums: Sums,
        emit: Emit,
        *,
        grace_seconds: float,
        hear: Callable[[int, Message], None],
        remember: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._command = command
        self._sums = sums
        self._emit = emit
        self._grace_seconds = grace_seconds
        self._hear = hear
        self._remember = remember
        self._workers: dict[int, str] = {}
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._ways: dict[int, asyncio.StreamWriter] = {}
        self._steered: dict[str, Steering] = {}
        self._lost: dict[int, _Loss] = {}
        self._first_works = asyncio.Event()
        self._ending = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Until every process has ended because it, or another, was to end; returns the worst of their exit codes."""
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._sums.processes + 1):
                group.create_task(self._keep(number), name=f"process:{number}")
        return self._code

    def steer(self, command: Steering) -> None:
        """Tell every process, and those that will take the place of one."""
        self._steered["concurrency" if command.slots else "pause"] = command
        for way in self._ways.values():
            way.write(f"{command}\n".encode())

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Tell every process to end; told a second time, they end without their grace. What is late is killed."""
        is_first = not self._ending.is_set()
        self._ending.set()
        self._sums.stopping = True
        for process in self._running.values():
            _tell(process, number)
        grace = self._grace_seconds if is_first else 0.0
        asyncio.get_running_loop().call_later(grace + KILL_AFTER_SECONDS, self._kill)

    def _kill(self) -> None:
        for number, process in self._running.items():
            if not self._sums.has_stopped(number):
                sentence = (
                    f"Worker process {number} had not ended {KILL_AFTER_SECONDS:g} s after its grace and was killed; "
                    "its jobs are run again. Make its handlers listen to cancellation."
                )
                self._emit(WarningRaised("PROCESS_KILLED", sentence))
            _tell(process, signal.SIGKILL)

    # -------------------------------------------------------------------------------------------- one place
    async def _keep(self, number: int) -> None:
        if number > 1:
            await self._first_or_end()
        backoff = FIRST_RESTART_SECONDS
        while not self._ending.is_set():
            began = clock.monotonic()
            pid, code = await self._live(number)
            worker = self._workers.pop(number, None)
            if self._is_the_end(number, code):
                self._end_with(number, code)
                return
            if clock.monotonic() - began >= STEADY_SECONDS:
                backoff = FIRST_RESTART_SECONDS
            self._note_loss(number, pid, code, backoff)
            if worker is not None:
                await self._remember(worker, how_it_ended(code))
            await self._pause(backoff)
            backoff = min(backoff * 2, LONGEST_RESTART_SECONDS)

    async def _first_or_end(self) -> None:
        """The first process goes ahead: what keeps every one of them from starting is then said once."""
        waits = [asyncio.create_task(event.wait()) for event in (self._first_works, self._ending)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _is_the_end(self, number: int, code: int) -> bool:
        """A process ends all when it was told to end, or when none has ever worked and it has said why itself.

        A code of 0 alone says nothing: a handler may have called os._exit().
        """
        has_stopped = code == 0 and self._sums.has_stopped(number)
        return self._ending.is_set() or has_stopped or (code > 0 and not self._first_works.is_set())

    def _end_with(self, number: int, code: int) -> None:
        if code == -signal.SIGTERM or self._sums.has_stopped(number):
            code = max(code, 0)  # killed before it listened, or after it had delivered everything: no job knows of it
        self._code = max(self._code, KILLED if code < 0 else code)
        self._sums.ended(number, "has ended", None)
        if not self._ending.is_set():
            self.stop()

    def _note_loss(self, number: int, pid: int, code: int, restart_seconds: float) -> None:
        self._sums.ended(number, how_it_ended(code), restart_seconds)
        known = self._lost.get(number)
        if known is not None and known.code == code:
            return
        self._lost[number] = _Loss(code, clock.monotonic() if known is None else known.since)
        by_signal = _signal_name(-code) if code < 0 else None
        self._emit(ProcessLost(number, pid, None if by_signal else code, by_signal, restart_seconds))

    def _note_report(self, number: int, pid: int, report: Report) -> None:
        self._sums.reported(number, report)
        self._workers[number] = report.worker
        self._first_works.set()
        loss = self._lost.pop(number, None)
        if loss is not None:
            self._emit(ProcessReplaced(number, pid, clock.monotonic() - loss.since))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            return

    # -------------------------------------------------------------------------------------------- one process
    async def _live(self, number: int) -> tuple[int, int]:
        """Start a process and wait for its end; returns its pid and its code, negative for a signal."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await self._start(Place(number, theirs.fileno(), self._command.turns))
        except OSError as error:  # as when the machine has no memory, or no process, left
            ours.close()
            self._note_failed_start(number, error)
            return 0, CANNOT_START
        self._running[number] = process
        self._sums.started(number)
        if self._ending.is_set():  # it was told to end while it was being started
            _tell(process, signal.SIGTERM)
        listening = asyncio.create_task(self._listen(number, process.pid, ours))
        try:
            code = await process.wait()
        finally:
            del self._running[number]
            await asyncio.wait({listening}, timeout=LAST_WORDS_SECONDS)
            listening.cancel()
        if listening.done():
            listening.result()  # raises only for a bug
        return process.pid, code

    async def _start(self, place: Place) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._command.arguments,
            "--supervised",
            str(place),
            env=self._command.environ,
            stdin=subprocess.DEVNULL,
            pass_fds=(place.channel, place.turns),
            process_group=0,  # Ctrl-C at a terminal is for us: we pass it on, once
        )

    def _note_failed_start(self, number: int, error: OSError) -> None:
        if number not in self._lost or self._lost[number].code != CANNOT_START:
            sentence = (
                f"Worker process {number} cannot be started: {error.strerror}. Give the machine more, or run fewer."
            )
            self._emit(WarningRaised("PROCESS_NOT_STARTED", sentence))

    async def _listen(self, number: int, pid: int, channel: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=channel)
        self._ways[number] = writer
        writer.writelines(f"{command}\n".encode() for command in self._steered.values())
        lines = Lines()
        dropped, told = 0, 0
        try:
            while piece := await _next_piece(reader):
                dropped += sum(not self._understand(number, pid, line) for line in lines.feed(piece))
                if dropped + lines.left_out >= max(1, 10 * told):
                    told = dropped + lines.left_out
                    self._note_dropped(number, told)
        finally:
            del self._ways[number]
            writer.close()

    def _understand(self, number: int, pid: int, line: bytes) -> bool:
        """False for what is no message: whatever is written to that socket, the supervisor lives."""
        try:
            message = decode(line)
        except ValueError:
            return False
        if isinstance(message, Report):
            self._note_report(number, pid, message)
        else:
            self._hear(number, message)
        return True

    def _note_dropped(self, number: int, dropped: int) -> None:
        sentence = (
            f"Worker process {number} has told its supervisor what is no message, or too long, and it was left out "
            f"({dropped} so far). Its jobs are not concerned, its counters may be late. Please report it."
        )
        self._emit(WarningRaised("MESSAGE_DROPPED", sentence))


async def _next_piece(reader: asyncio.StreamReader) -> bytes:
    """Empty at the end, also at one in the middle of a line: the process was killed."""
    try:
        return await reader.read(_PIECE_BYTES)
    except OSError:
        return b""


def _tell(process: asyncio.subprocess.Process, number: int) -> None:
    if process.returncode is None:
        process.send_signal(number)


def how_it_ended(code: int) -> str:
    return f"was killed by {_signal_name(-code)}" if code < 0 else f"has ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"
