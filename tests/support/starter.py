"""How does a test start the command without an interpreter and imports of its own? By a fork of starter_process.py."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from asyncio import StreamReader
from collections.abc import Mapping
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


async def start(arguments: tuple[str, ...], folder: Path, environ: Mapping[str, str]) -> Forked | None:
    """The command `oxcart` in `folder` with exactly these variables. None: too long for a message."""
    wanted = {"arguments": arguments, "folder": str(folder.absolute()), "environ": dict(environ)}
    message = json.dumps(wanted, ensure_ascii=True).encode()
    if len(message) >= LONGEST_MESSAGE:
        return None
    pipes = [os.pipe() for _ in range(4)]
    (its_stdin, stdin), (stdout, its_stdout), (stderr, its_stderr), (told, its_told) = pipes
    theirs = [its_stdin, its_stdout, its_stderr, its_told]
    channel, _ = _starter()
    socket.send_fds(channel, [message], theirs)
    for descriptor in theirs:
        os.close(descriptor)
    pipes_of_ours = [await _pipe(descriptor) for descriptor in (stdout, stderr, told)]
    pid = int(await pipes_of_ours[2].reader.readline())
    return Forked(pid, stdin, *pipes_of_ours)


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
    return ours, process
