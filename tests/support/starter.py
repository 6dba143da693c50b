"""How does a test start the command without an interpreter and imports of its own? By a fork of starter_process.py."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import select
import socket
import subprocess
import sys
from asyncio import StreamReader
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from support.starter_process import LONGEST_MESSAGE

TESTS = Path(__file__).resolve().parent.parent


class Forked:
    """As far as tests use it, an `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, stdin: int, stdout: Pipe, stderr: Pipe, told: Pipe) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = stdout.reader
        self.stderr = stderr.reader
        self._stdin = stdin
        self._pipes = (stdout, stderr, told)
        self._end = asyncio.create_task(self._read_end(told.reader))

    async def _read_end(self, told: StreamReader) -> int:
        self.returncode = int(await told.readline())
        return self.returncode

    async def close(self) -> None:
        """After its end, when all was read: no descriptor is left."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1
        for pipe in self._pipes:
            pipe.transport.close()
        await asyncio.gather(*(pipe.closed for pipe in self._pipes))

    def send(self, given: bytes) -> None:
        """To its stdin."""
        os.write(self._stdin, given)

    async def communicate(self, given: bytes = b"") -> tuple[bytes, bytes]:
        writing = asyncio.to_thread(self._write, given)
        out, err, _, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), writing, self.wait())
        return out, err

    def _write(self, given: bytes) -> None:
        with suppress(BrokenPipeError):  # it may not want that
            while given:
                given = given[os.write(self._stdin, given) :]
        os.close(self._stdin)
        self._stdin = -1

    async def wait(self) -> int:
        return await asyncio.shield(self._end)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(9)

    async def end(self) -> None:
        self.kill()
        await self.wait()
        await self.close()


async def start(
    module: str, arguments: Sequence[str], folder: Path = TESTS, environ: Mapping[str, str] = os.environ
) -> Forked:
    """`python -m MODULE` in `folder`, with exactly these variables. Raises MessageTooLong."""
    (its_stdin, stdin), (stdout, its_stdout), (stderr, its_stderr) = (os.pipe() for _ in range(3))
    try:
        pid, told = _fork(module, arguments, folder, environ, [its_stdin, its_stdout, its_stderr])
    except MessageTooLong:
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        raise
    finally:
        for descriptor in (its_stdin, its_stdout, its_stderr):
            os.close(descriptor)
    return Forked(pid, stdin, *[await _pipe(descriptor) for descriptor in (stdout, stderr, told)])


class LoggedProcess:
    """As far as tests use it, a `subprocess.Popen` with its output in a file and an empty stdin."""

    def __init__(
        self, module: str, arguments: Sequence[str], log: Path, folder: Path, environ: Mapping[str, str]
    ) -> None:
        with log.open("wb") as output, Path(os.devnull).open("rb") as nothing:
            streams = [nothing.fileno(), output.fileno(), output.fileno()]
            self.pid, told = _fork(module, arguments, folder, environ, streams)
        self.returncode: int | None = None
        self._told = os.fdopen(told, "rb", 0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            ready, _, _ = select.select([self._told], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired("python", timeout or 0)
            self.returncode = int(self._told.readline())
            self._told.close()
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(9)


class MessageTooLong(Exception):
    """Such a command has to be started in another way."""


def _fork(
    module: str, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], streams: Sequence[int]
) -> tuple[int, int]:
    """The process id, and the descriptor that is told the exit code."""
    wanted = {"module": module, "arguments": arguments, "folder": str(folder.absolute()), "environ": dict(environ)}
    message = json.dumps(wanted).encode()
    if len(message) >= LONGEST_MESSAGE:
        raise MessageTooLong
    told, its_told = os.pipe()
    channel, _ = _starter()
    socket.send_fds(channel, [message], [*streams, its_told])
    os.close(its_told)
    pid = b""
    while not pid.endswith(b"\n"):
        pid += os.read(told, 1)
    return int(pid), told


class Pipe(asyncio.StreamReaderProtocol):
    """The end of a pipe that we read."""

    transport: asyncio.BaseTransport

    def __init__(self) -> None:
        self.reader = StreamReader()
        self.closed = asyncio.get_running_loop().create_future()
        super().__init__(self.reader)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.closed.set_result(None)


async def _pipe(descriptor: int) -> Pipe:
    file = os.fdopen(descriptor, "rb", 0)
    transport, protocol = await asyncio.get_running_loop().connect_read_pipe(Pipe, file)
    protocol.transport = transport
    return protocol


@cache
def _starter() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """One for each test process; it ends with that."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.starter_process", str(its.fileno())], cwd=TESTS, pass_fds=[its.fileno()]
        )
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_MESSAGE * 2)

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours, process
