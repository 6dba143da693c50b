"""How does a test run several worker processes of different kinds on one queue? Starts, kills and replaces them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from support.server import PrivateServer

from .node_driver import NodeDriver
from .node_install import installed, node_binary

TESTS = Path(__file__).parent.parent
QUICK_RECOVERY: dict[str, Any] = {"lockDuration": 1500, "stalledInterval": 500, "maxStalledCount": 50}
OURS: dict[str, Any] = {"lock_duration_ms": 1500, "stalled_interval_ms": 500, "max_stalled_count": 50}


class Member(Protocol):
    """One worker process."""

    async def start(self) -> None: ...

    def kill(self) -> None:
        """Kill -9."""

    async def stop(self) -> None:
        """SIGTERM, and wait for the end."""


class NodeMember:
    def __init__(self, server: PrivateServer, queue: str, major: str, names: Sequence[str] | None = None) -> None:
        self._server, self._queue, self._major, self._names = server, queue, major, names
        self._driver: NodeDriver | None = None

    async def start(self) -> None:
        self._driver = NodeDriver(node_binary(), installed(self._major), self._major)
        self._driver.connect(self._server.host, self._server.port, self._server.password)
        await self._driver.queue(self._queue).start_worker(
            concurrency=5, name=f"node{self._major}", names=self._names, **QUICK_RECOVERY
        )

    def kill(self) -> None:
        assert self._driver is not None
        self._driver.kill()
        self._driver.close()

    async def stop(self) -> None:
        assert self._driver is not None
        await self._driver.queue(self._queue).stop_worker()
        self._driver.close()


class PythonMember:
    """A worker process in Python: `module` of this folder, which prints "ready" once it works."""

    def __init__(self, module: str, arguments: list[str], settings: Mapping[str, Any], stdin: str = "") -> None:
        self._command = [sys.executable, "-m", f"interop.{module}", *arguments, json.dumps(settings)]
        self._stdin = stdin
        self._process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        self._process = process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=TESTS
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(self._stdin + "\n")
        process.stdin.flush()
        first_line = await asyncio.to_thread(process.stdout.readline)
        assert first_line == "ready\n", f"{self._command[2]} did not start: {first_line!r}, exit {process.poll()}"

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await asyncio.to_thread(self._end, signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        assert process is not None
        process.send_signal(number)
        process.wait(20)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def oxcart_member(server: PrivateServer, queue: str, **settings: Any) -> PythonMember:
    """`settings` of the worker; and `names`, if it is to handle others than "job" and "child"."""
    return PythonMember("worker_process", [server.url, queue], {"concurrency": 5, **OURS, **settings})


def port_member(server: PrivateServer, queue: str) -> PythonMember:
    settings = {"concurrency": 5, **QUICK_RECOVERY}
    return PythonMember("port_process", [server.host, str(server.port), queue], settings, stdin=server.password)
