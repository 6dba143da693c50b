"""How does a test run the real command? In a process of its own (forked: starter.py), in a folder of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import starter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COMMAND = (sys.executable, "-m", "oxcart")
LIMIT_SECONDS = 60

# The interpreter reads these before a line of ours runs, so a command that has them is not forked.
READ_BEFORE_WE_ARE = {"PYTHONPATH", "PYTHONWARNINGS", "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONUTF8"}

Process = asyncio.subprocess.Process | starter.Forked


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout, which is to be one JSON value and nothing else."""
        return json.loads(self.out)

    @property
    def last_line(self) -> str:
        return self.out.rstrip("\n").rpartition("\n")[2]


@dataclass(frozen=True, slots=True)
class Oxcart:
    """Runs `oxcart` in `folder`, with `environ` on top of this process's own variables."""

    folder: Path
    environ: Mapping[str, str]
    command: tuple[str, ...] = COMMAND

    async def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> Done:
        process = await self._start(arguments, environ)
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                out, err = await process.communicate(stdin.encode())
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            raise AssertionError(f"oxcart {arguments} did not end. Stdout: {out!r}. Stderr: {err!r}") from None
        finally:
            await _close(process)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    @asynccontextmanager
    async def running(self, *arguments: str, **environ: str) -> AsyncIterator[Running]:
        """A command that goes on until it is told to stop; killed at the end of the block."""
        process = await self._start(arguments, environ)
        running = Running(process)
        readers = [asyncio.create_task(running.read_out()), asyncio.create_task(running.read_err())]
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            await asyncio.wait(readers)
            await _close(process)

    async def _start(self, arguments: tuple[str, ...], environ: Mapping[str, str]) -> Process:
        pipe = asyncio.subprocess.PIPE
        given = {**os.environ, **self.environ, **environ}
        if self.command is COMMAND and not given.keys() & READ_BEFORE_WE_ARE:
            with suppress(starter.MessageTooLong):
                return await starter.start("oxcart", arguments, self.folder, given)
        return await asyncio.create_subprocess_exec(
            *self.command, *arguments, cwd=self.folder, env=given, stdin=pipe, stdout=pipe, stderr=pipe
        )


async def _close(process: Process) -> None:
    if isinstance(process, starter.Forked):
        await process.close()


class Running:
    """`out` and `err` are what it has written so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.out = ""
        self.err = ""

    async def read_out(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            self.out += chunk.decode()

    async def read_err(self) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(65536):
            self.err += chunk.decode()

    def lines(self) -> list[dict[str, Any]]:
        """The log: whole lines of JSON on stdout."""
        return [json.loads(line) for line in self.out.split("\n")[:-1]]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]

    async def stopped_by(self, number: int) -> int:
        """Send a signal; returns the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self.process.wait()
