"""Where do tests get a real server from? A private Valkey process each, in a folder that is thrown away."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from redis import Redis

from oxcart.connection.embedded import find_binary
from oxcart.connection.embedded_watchdog import HOST, answering_version, free_port

START_SECONDS = 20
# Ends the server with the test process, also after kill -9. A process id of its own is not needed: exec keeps it.
DIE_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""


class PrivateServer:
    """A server that only its test uses. Keeps its port and password over restarts, so that clients find it again."""

    def __init__(self, folder: Path, *, append_only: bool) -> None:
        self.folder = folder
        self.append_only = append_only
        self.host = HOST
        self.port = free_port()
        self.password = "p%ss/w:rd@#?"  # every character that a URL must escape, or a parser trips over
        self.process: subprocess.Popen[bytes] | None = None
        self.version = ""

    @property
    def url(self) -> str:
        return f"redis://default:p%25ss%2Fw%3Ard%40%23%3F@{self.host}:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server was not started"
        return self.process.pid

    def client(self) -> Redis:
        """A blocking client, for looking at keys from outside; close it."""
        return Redis(host=self.host, port=self.port, password=self.password, decode_responses=True, protocol=2)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Returns when the server answers. Does nothing if it runs."""
        if self.is_running():
            return
        log = (self.folder / "server.log").open("ab")
        command = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(find_binary()), "-"]
        with log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self.folder)
        assert self.process.stdin is not None
        self.process.stdin.write(self._config().encode())
        self.process.stdin.close()
        give_up = time.monotonic() + START_SECONDS
        while not (version := answering_version(self.port, self.password, self.pid)):
            if not self.is_running() or time.monotonic() > give_up:
                raise AssertionError(f"The server did not start:\n{(self.folder / 'server.log').read_text()}")
            time.sleep(0.01)
        self.version = version

    def stop(self) -> None:
        """End it as a deploy of the server would: SIGTERM, data written."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would: SIGKILL. With append_only, what it had acknowledged is still there."""
        self._end(signal.SIGKILL)

    def restart(self, *, keep_data: bool = True) -> None:
        """Stop it and start it again; with `keep_data` false (or without append_only) it comes back empty."""
        self.stop()
        if not keep_data:
            shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        self.start()

    def freeze(self) -> None:
        """It answers nothing any more, but its sockets stay open; until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "the server was not started"
        self.process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        if self.is_running():
            self._signal(number)
            self._signal(signal.SIGCONT)  # a frozen process takes no other signal
        self.process.wait(START_SECONDS)

    def _config(self) -> str:
        append_only = "yes" if self.append_only else "no"
        return (
            f'bind {HOST}\nport {self.port}\nrequirepass "{self.password}"\ndir .\nsave ""\n'
            f"appendonly {append_only}\nmaxmemory-policy noeviction\ntcp-backlog 128\nenable-debug-command local\n"
        )
