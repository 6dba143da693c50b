"""Which port has nobody on it? One that is taken and not listened on: it refuses, and no other test can get it."""

from __future__ import annotations

import socket

_HELD: list[socket.socket] = []


def closed_port() -> int:
    """Connections to it are refused for as long as this test process lives.

    A port that was only free a moment ago may be another test's server a moment later.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    return int(held.getsockname()[1])
