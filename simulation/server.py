"""What is simulated against? A real Valkey with the real Lua; only its clock is ours.

libfaketime shows it the time that stands in a file, and nothing moves between two steps. So a lock, a blocked command
and TIME end when the simulation says so. What it is asked is answered before anything else happens: `settle`.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hiredis

from oxcart.connection.embedded import find_binary

EPOCH_MS = 1_800_000_000_000
_LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
_START_SECONDS = 20.0
_INCOMPLETE = object()
_DIE_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
os.environ["LD_PRELOAD"] = sys.argv[1]
os.execv(sys.argv[2], sys.argv[2:])
"""


class NoFaketime(Exception):
    """This machine has no libfaketime."""


def find_library() -> str:
    """Raises NoFaketime."""
    for pattern in _LIBRARIES:
        for path in sorted(Path("/").glob(pattern[1:])):
            return str(path)
    raise NoFaketime("The simulation needs libfaketime to steer the server's clock: apt-get install libfaketime")


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory, with a name that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ox", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


class Socket:
    """One connection to the server, from the simulation's side. `number` is the order in which they were opened."""

    def __init__(self, path: str, number: int) -> None:
        self.number = number
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise
        self.is_closed = False
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self.owed = 0

    def send(self, data: bytes, commands: int) -> None:
        self.owed += commands
        self.sock.sendall(data)

    def read(self) -> tuple[bytes, list[Any]]:
        """What has come: the bytes, and the replies in them. Closed by the server: no bytes, `is_closed`."""
        chunks: list[bytes] = []
        while True:
            try:
                data = self.sock.recv(1 << 20, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.is_closed = True
                break
            chunks.append(data)
            self._reader.feed(data)
        replies: list[Any] = []
        while (reply := self._reader.gets()) is not _INCOMPLETE:
            replies.append(reply)
        self.owed -= len(replies)
        return b"".join(chunks), replies

    def wait(self) -> None:
        select.select([self.sock], [], [], 5.0)

    def close(self) -> None:
        self.is_closed = True
        self.sock.close()


class SteeredServer:
    """One Valkey in one folder. `now_ms` is since the epoch; `clients` are the open sockets by number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = str(folder / "s")
        self.now_ms = EPOCH_MS
        self.clients: dict[int, Socket] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._library = find_library()
        self._opened = 0
        self._poll = select.epoll()
        self._by_descriptor: dict[int, Socket] = {}
        self._control: Socket | None = None

    # -------------------------------------------------------------------------------------------- its life
    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_time()
        Path(self.path).unlink(missing_ok=True)
        environment = {
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "now"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_FMT": "%s",
            "TZ": "UTC",
        }
        options = {
            "port": "0", "unixsocket": self.path, "save": "", "appendonly": "yes", "appendfsync": "no",
            "dir": str(self.folder), "logfile": str(self.folder / "log"), "enable-debug-command": "yes",
            "auto-aof-rewrite-percentage": "0", "aof-use-rdb-preamble": "no", "databases": "1",
            # small things keep the order in which they were made, so that each run reads the same
            "hash-max-listpack-entries": "100000", "hash-max-listpack-value": "100000",
            "zset-max-listpack-entries": "100000", "zset-max-listpack-value": "100000",
            "set-max-listpack-entries": "100000", "set-max-listpack-value": "100000",
        }  # fmt: skip
        arguments = [argument for name, value in options.items() for argument in (f"--{name}", value)]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, self._library, str(find_binary()), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._control = Socket(self.path, 0)
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > give_up:
                    log = self.folder / "log"
                    said = log.read_text()[-1000:] if log.exists() else ""
                    raise RuntimeError(f"The simulation's server did not start: {said}") from None
                time.sleep(0.001)
        while isinstance(self.ask_all([("PING",)])[0], Exception):  # it is loading
            time.sleep(0.001)
        self.ask("DEBUG", "SET-ACTIVE-EXPIRE", "0")

    def kill(self) -> None:
        """Every client's socket is closed with it."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        for client in list(self.clients.values()):
            self.close(client)
        if self._control is not None:
            self._control.close()
            self._control = None

    def end(self) -> None:
        """For good."""
        self.kill()
        self._poll.close()

    def wipe(self) -> None:
        """Only while it does not run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    @property
    def log_file(self) -> Path:
        """The append-only file's growing part."""
        (path,) = (self.folder / "appendonlydir").glob("*.incr.aof")
        return path

    def log_size(self) -> int:
        return self.log_file.stat().st_size

    def truncate_log(self, size: int) -> None:
        os.truncate(self.log_file, size)

    # -------------------------------------------------------------------------------------------- its clock
    def set_time(self, now_ms: int) -> None:
        if now_ms != self.now_ms:
            self.now_ms = now_ms
            self._write_time()

    def _write_time(self) -> None:
        text = f"{self.now_ms // 1000}.{self.now_ms % 1000:03d}500\n".encode()
        descriptor = os.open(self.folder / "now", os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(descriptor, text, 0)
        os.close(descriptor)

    # -------------------------------------------------------------------------------------------- talking to it
    def open(self) -> Socket:
        self._opened += 1
        client = Socket(self.path, self._opened)
        self.clients[client.number] = client
        self._poll.register(client.sock.fileno(), select.EPOLLIN)
        self._by_descriptor[client.sock.fileno()] = client
        return client

    def close(self, client: Socket) -> None:
        if self.clients.pop(client.number, None) is not None:
            self._by_descriptor.pop(client.sock.fileno(), None)
            self._poll.unregister(client.sock.fileno())
            client.close()

    def settle(self, asked: Socket | None = None) -> list[tuple[Socket, bytes, list[Any]]]:
        """Everything it says until it has nothing more to say, what `asked` hears first; that one will be answered."""
        heard: dict[int, tuple[Socket, bytes, list[Any]]] = {}
        if asked is not None:
            while asked.owed and not asked.is_closed:
                asked.wait()
                self._hear(asked, heard)
        quiet = 0 if asked is None else 1
        while quiet < 2:
            self.ask("PING")
            spoke = sorted(self._by_descriptor[descriptor].number for descriptor, _ in self._poll.poll(0))
            for number in spoke:
                self._hear(self.clients[number], heard)
            quiet = 0 if spoke else quiet + 1
        first = asked.number if asked is not None else 0  # what it asked is what woke the others
        return [heard[number] for number in sorted(heard, key=lambda number: (number != first, number))]

    def _hear(self, client: Socket, heard: dict[int, tuple[Socket, bytes, list[Any]]]) -> None:
        data, replies = client.read()
        _, before, earlier = heard.get(client.number, (client, b"", []))
        heard[client.number] = (client, before + data, earlier + replies)
        if client.is_closed:
            self.close(client)

    def ask(self, *command: str | bytes | int | float) -> Any:
        """The simulation's own question, of which no client knows. An error reply is raised."""
        (reply,) = self.ask_all([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def ask_all(self, commands: list[tuple[str | bytes | int | float, ...]]) -> list[Any]:
        control = self._control
        assert control is not None
        control.send(b"".join(hiredis.pack_command(command) for command in commands), len(commands))  # type: ignore[arg-type]
        replies: list[Any] = []
        while control.owed:
            control.wait()
            replies += control.read()[1]
            if control.is_closed:
                raise RuntimeError("The simulation's server has ended.")
        return replies
