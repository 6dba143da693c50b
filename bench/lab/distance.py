"""The same work when the server is far away: through the delay proxy, a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.drain import drain
from lab.roster import Peer
from lab.server import HOST, BenchServer


@contextmanager
def far_away(server: BenchServer, round_trip_ms: float) -> Iterator[str]:
    """The URL of the same server, `round_trip_ms` away."""
    program = Path(__file__).with_name("delay_proxy.py")
    command = [sys.executable, str(program), str(server.port), str(round_trip_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None
            yield f"redis://{HOST}:{int(proxy.stdout.readline())}/0"
        finally:
            proxy.terminate()


def distant_drain(
    server: BenchServer, peer: Peer, *, round_trip_ms: float, count: int, concurrency: int, **options: Any
) -> dict[str, float]:
    with far_away(server, round_trip_ms) as url:
        return drain(server, peer, count=count, concurrency=concurrency, url=url, job="noop", **options)
