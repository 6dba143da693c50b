"""How long from the call that adds a job to the first line of its handler? Stamped by the peer itself, one clock."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from lab import processes
from lab.processes import Workers
from lab.roster import Peer
from lab.server import BenchServer

GIVE_UP_SECONDS = 60
READY_SECONDS = 30


def latency(
    server: BenchServer, peer: Peer, *, per_second: float, count: int, concurrency: int = 100
) -> dict[str, float]:
    """Add `count` jobs, `per_second`, to a worker that waits. Raises RuntimeError if one was not run."""
    server.empty()
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder) / "stamps"
        stamps.touch()
        with Workers(peer, server.url, stamps=stamps, concurrency=concurrency) as workers:
            processes.add(peer, server.url, job="stamp", how="one", count=1)
            wait_for(stamps, 1, workers, READY_SECONDS)
            processes.add(peer, server.url, job="stamp", how="trickle", count=count, per_second=per_second)
            wait_for(stamps, count + 1, workers, GIVE_UP_SECONDS)
        waits = sorted(int(line) / 1000 for line in stamps.read_text().splitlines()[1:])
    return {"p50Ms": percentile(waits, 0.5), "p99Ms": percentile(waits, 0.99), "maxMs": waits[-1]}


def wait_for(stamps: Path, lines: int, workers: Workers, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while stamps.read_bytes().count(b"\n") < lines:
        workers.check()
        if time.monotonic() > give_up:
            raise RuntimeError(f"{workers.peer.title} ran fewer than {lines} jobs within {seconds:g} s.")
        time.sleep(0.02)


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
