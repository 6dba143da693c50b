"""Who starts the embedded server, and stops it when its last user is gone? A small process of its own, one per folder.

Standard library only and run by its path: importing the package here would cost every folder a second worker's memory.

Three files are locks (flock), so that the kernel says who is alive, also after kill -9 and a reboot:

* `users.lock`: shared by every process that uses the server; exclusive for the watchdog while it looks, and stops it.
* `watchdog.lock`: exclusive, held by the one watchdog of this folder.
* `server.lock`: exclusive, inherited by the server, so that one that outlived its watchdog is noticed and ended.

`server.json` says where the server is; it means something only while `watchdog.lock` is held. A damaged one is ignored.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
USERS_LOCK = "users.lock"
WATCHDOG_LOCK = "watchdog.lock"
SERVER_LOCK = "server.lock"
STATE_FILE = "server.json"
PASSWORD_FILE = "password"  # noqa: S105 - a file's name
LOG_FILE = "server.log"
APPEND_ONLY_FOLDER = "appendonlydir"

LINGER_SECONDS = 1.0  # so that one command after another finds the server running
LOOK_SECONDS = 0.25
STOP_SECONDS = 10.0
CRASHES_PER_MINUTE = 5  # beyond that a restart does not help
LOG_BYTES = 1_048_576
REPORT_BYTES = 8_192  # the end of the log of a failed start; fits the pipe
PORT_TRIES = 4
PORT_TAKEN = "Failed listening on port"  # Valkey's words
PASSWORD_SHAPE = re.compile(r"[0-9a-f]{64}")


class StartFailed(Exception):  # noqa: N818 - names what happened
    """`outcome` is exited, no-binary or leftover; `detail` the end of its log, or what the system said."""

    def __init__(self, outcome: str, detail: str) -> None:
        self.outcome = outcome
        self.detail = detail
        super().__init__(f"{outcome}: {detail}")


# ------------------------------------------------------------------------------------------------ files of the folder
def open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(lock: int, *, shared: bool = False) -> bool:
    """Take the lock if it is free now; false if another holds it."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def is_locked(path: Path) -> bool:
    lock = open_lock(path)
    try:
        return not try_lock(lock, shared=True)
    finally:
        os.close(lock)


def read_state(folder: Path) -> dict[str, Any]:
    """What `server.json` says: pid, port, and version once it is ready. Empty if it is missing or damaged."""
    try:
        state = json.loads((folder / STATE_FILE).read_bytes())
        return state if isinstance(state["pid"], int) and isinstance(state["port"], int) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_private(path: Path, text: str) -> None:
    """Replace a file as a whole, readable by its owner only: nobody ever sees half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_password(folder: Path) -> str | None:
    """None if there is none, or what is there is not one of ours."""
    try:
        text = (folder / PASSWORD_FILE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if PASSWORD_SHAPE.fullmatch(text) else None


def read_or_make_password(folder: Path) -> str:
    password = read_password(folder)
    if password is None:
        password = secrets.token_hex(32)
        write_private(folder / PASSWORD_FILE, password + "\n")
    (folder / PASSWORD_FILE).chmod(0o600)
    return password


# ------------------------------------------------------------------------------------------------ the server
def answering_version(port: int, password: str, pid: int) -> str | None:
    """The version of process `pid` if it is who answers at this port, takes the password and serves; else None.

    A folder copied while its server ran has that server's port and password: only the process tells them apart.
    """
    request = b"".join(
        b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        for words in ((b"AUTH", password.encode()), (b"PING",), (b"INFO", b"server"))
    )
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection, connection.makefile("rb") as replies:
            connection.sendall(request)
            if replies.readline() != b"+OK\r\n" or replies.readline() != b"+PONG\r\n":
                return None
            info = replies.read(int(replies.readline()[1:]))
    except (OSError, ValueError):
        return None
    facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    return facts.get("valkey_version") if facts.get("process_id") == str(pid) else None


def free_port() -> int:
    """A port below those the kernel gives to clients: a client that tries again and again while the server is down
    could otherwise be given the server's own port, connect to itself, and keep the server from coming back.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


def config_text(port: int, password: str) -> str:
    """The server's settings, given on its standard input: the password is in no argument list and in no second file."""
    return "\n".join(
        (
            f"bind {HOST}",
            f"port {port}",
            f"requirepass {password}",
            "dir .",
            "appendonly yes",
            "appendfsync everysec",
            f"appenddirname {APPEND_ONLY_FOLDER}",
            'save ""',  # the append-only file is the one copy; a second would only double the writes
            "maxmemory-policy noeviction",  # a queue must not forget
            "tcp-backlog 128",  # the default exceeds what most kernels allow, and warns
            "",
        )
    )


def die_with_parent() -> Callable[[], None] | None:
    """For the new server's process: end when the watchdog is killed. Only Linux can; elsewhere server.lock tells."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork
    set_parent_death_signal = 1
    return lambda: libc.prctl(set_parent_death_signal, signal.SIGTERM)


class Server:
    """The server process of one folder, a child of the watchdog."""

    def __init__(self, folder: Path, binary: str, password: str) -> None:
        self.folder = folder
        self.binary = binary
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wanted_port: int | None) -> int:
        """Start it and wait until it serves; returns its port: the wanted one if that is free. Raises StartFailed."""
        ports = [wanted_port or free_port(), *(free_port() for _ in range(PORT_TRIES))]
        for port in ports:
            log_start = self._spawn(port)
            if self._serves(port):
                return port
            said = self._log_since(log_start)
            if PORT_TAKEN not in said:
                raise StartFailed("exited", said)
        raise StartFailed("exited", f"{PORT_TAKEN} {ports}")

    def has_exited(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def stop(self) -> None:
        if self.process is None or self.has_exited():
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _spawn(self, port: int) -> int:
        """Start the process; returns where in the log its lines begin."""
        lock = take_server_lock(self.folder)
        log = os.open(self.folder / LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        log_start = os.fstat(log).st_size
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own binary
                [self.binary, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                pass_fds=[lock],
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            raise StartFailed("no-binary", error.strerror or str(error)) from error
        finally:
            os.close(log)
            os.close(lock)
        write_state(self.folder, self.process.pid, port)
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has exited already: its log says why
                self.process.stdin.write(config_text(port, self.password).encode())
                self.process.stdin.close()
        return log_start

    def _serves(self, port: int) -> bool:
        """Wait until it serves, however much it has to load; false if it exits instead."""
        while self.process is not None and self.process.poll() is None:
            version = answering_version(port, self.password, self.process.pid)
            if version:
                write_state(self.folder, self.process.pid, port, version)
                return True
            time.sleep(0.01)
        return False

    def _log_since(self, start: int) -> str:
        with (self.folder / LOG_FILE).open("rb") as log:
            log.seek(start)
            return log.read()[-REPORT_BYTES:].decode(errors="replace")


def write_state(folder: Path, pid: int, port: int, version: str = "") -> None:
    """Without a version the server is not ready yet, but its process is known."""
    write_private(folder / STATE_FILE, json.dumps({"pid": pid, "port": port, "version": version}))


def take_server_lock(folder: Path) -> int:
    """The lock that the next server inherits. A server that outlived its watchdog holds it still: it is ended first."""
    lock = open_lock(folder / SERVER_LOCK)
    for how in (signal.SIGTERM, signal.SIGKILL):
        give_up = time.monotonic() + STOP_SECONDS
        while time.monotonic() < give_up:
            if try_lock(lock):
                return lock
            pid = read_state(folder).get("pid")  # while the lock is held this process lives: the number is its own
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, how)
            time.sleep(0.05)
    os.close(lock)
    raise StartFailed("leftover", SERVER_LOCK)


# ------------------------------------------------------------------------------------------------ the watchdog
class Stopping(Exception):  # noqa: N818
    """SIGTERM: the machine shuts down."""


def supervise(folder: Path, binary: str, report: Callable[[str, str], None]) -> None:
    """Run the server until nobody uses it. Reports running, busy (another watchdog has this folder), or why not."""
    mine = open_lock(folder / WATCHDOG_LOCK)
    if not try_lock(mine):
        report("busy", "")
        return
    users = open_lock(folder / USERS_LOCK)
    server = Server(folder, binary, read_or_make_password(folder))
    try:
        port = server.start(read_state(folder).get("port"))  # where users of one that crashed still look for it
        report("running", "")
        guard(server, port, users)
    except StartFailed as failure:
        report(failure.outcome, failure.detail)
    except OSError as error:
        report("refused", f"{error.errno}")
    finally:
        server.stop()
        (folder / STATE_FILE).unlink(missing_ok=True)


def guard(server: Server, port: int, users: int) -> None:
    """Restart the server if it crashes. Returns, holding `users` exclusively, when nobody has used it for a while."""
    idle_since: float | None = None
    crashes: list[float] = []
    while True:
        now = time.monotonic()
        if not try_lock(users):
            idle_since = None
        elif idle_since is not None and now - idle_since >= LINGER_SECONDS:
            return
        else:
            idle_since = idle_since or now
            fcntl.flock(users, fcntl.LOCK_UN)
        if server.has_exited():
            crashes = [*(when for when in crashes if now - when < 60), now]
            if len(crashes) > CRASHES_PER_MINUTE:
                return
            port = server.start(port)
        time.sleep(LOOK_SECONDS)


class Reporter:
    """The one line to whoever started the watchdog; what comes after it goes to the log only."""

    def __init__(self, pipe: int) -> None:
        self.pipe: int | None = pipe

    def __call__(self, outcome: str, detail: str) -> None:
        if self.pipe is None:
            sys.stderr.write(f"watchdog: {outcome} {detail}\n")
            return
        with contextlib.suppress(BrokenPipeError):  # who asked is gone; the next one will ask again
            os.write(self.pipe, json.dumps([outcome, detail]).encode())
        os.close(self.pipe)
        self.pipe = None


def become_watchdog(folder: Path, binary: str, report_to: int) -> None:
    """The rest of this process's life, away from the terminal, session and streams of who started it."""
    os.setsid()
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, raise_stopping)
    log_path = folder / LOG_FILE
    if log_path.exists() and log_path.stat().st_size > LOG_BYTES:
        log_path.replace(log_path.with_name(f"{LOG_FILE}.1"))
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    for stream, target in ((0, null), (1, log), (2, log)):
        os.dup2(target, stream)
    supervise(folder, binary, Reporter(report_to))


def raise_stopping(*_: object) -> None:
    raise Stopping


def main(folder: Path, binary: str) -> None:
    """Start the watchdog as a process without a parent; print its one report, a JSON pair, and end."""
    reports, report_to = os.pipe()
    if os.fork() == 0:
        os.close(reports)
        try:
            become_watchdog(folder, binary, report_to)
        except BaseException:  # noqa: BLE001 - the end of this process: its log is the only reader left
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(report_to)
    with os.fdopen(reports, "rb") as answer:
        sys.stdout.buffer.write(answer.read())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
