"""How does a test play a crowd of strangers on the HTTP port? A process of its own, so that it holds up nobody's clock.

    python -m support.strangers PORT NUMBER APART_SECONDS WORDS_IN_HEX

`NUMBER` connections from one machine. Each sends WORDS, a byte every APART_SECONDS, or nothing; and comes again so long
after it was sent away.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def descriptors(soft: int) -> Iterator[None]:
    """What is started meanwhile may have so many; fewer if the system says so."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@contextlib.contextmanager
def crowd(port: int, number: int, words: bytes = b"", *, apart_seconds: float = 3.0) -> Iterator[None]:
    arguments = [str(port), str(number), str(apart_seconds), words.hex()]
    with descriptors(number + 100):
        process = subprocess.Popen([sys.executable, "-m", "support.strangers", *arguments], cwd=TESTS)
    try:
        yield
    finally:
        assert process.poll() is None, "the crowd went home by itself"
        process.kill()
        process.wait(10)


class _Stranger:
    def __init__(self) -> None:
        self.connection: socket.socket | None = None
        self.said = 0
        self.due_at = 0.0


def _besiege(port: int, number: int, apart_seconds: float, words: bytes) -> None:
    selector = selectors.DefaultSelector()
    due = deque(_Stranger() for _ in range(number))  # in the order of their times, as all wait for as long
    while True:
        now = time.monotonic()
        while due and due[0].due_at <= now:
            stranger = due.popleft()
            if stranger.connection is None:
                _come(stranger, port, selector)
            elif words:
                with contextlib.suppress(OSError):
                    at = stranger.said % len(words)
                    stranger.connection.send(words[at : at + 1])
                    stranger.said += 1
            if words:
                stranger.due_at = now + apart_seconds
                due.append(stranger)
        for key, _ in selector.select(0.01):
            stranger = key.data
            if _is_sent_away(stranger.connection):
                selector.unregister(stranger.connection)
                stranger.connection.close()
                stranger.connection, stranger.said = None, 0
                if not words:
                    stranger.due_at = now + apart_seconds
                    due.append(stranger)


def _come(stranger: _Stranger, port: int, selector: selectors.BaseSelector) -> None:
    stranger.connection = socket.socket()
    stranger.connection.setblocking(False)
    stranger.connection.connect_ex(("127.0.0.1", port))
    selector.register(stranger.connection, selectors.EVENT_READ, stranger)


def _is_sent_away(connection: socket.socket) -> bool:
    try:
        return not connection.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


if __name__ == "__main__":
    _besiege(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), bytes.fromhex(sys.argv[4]))
