"""How fast does a peer's own producer add jobs, one by one, many at once or in bulk, and at what cost to the server?"""

from __future__ import annotations

from typing import Any

from lab import processes
from lab.distance import far_away
from lab.roster import Peer
from lab.server import BenchServer


def adding(server: BenchServer, peer: Peer, *, count: int, round_trip_ms: float = 0, **order: Any) -> dict[str, float]:
    """`failed` is 0, or this raises RuntimeError."""
    server.empty()
    before = server.probe.totals()
    if round_trip_ms:
        with far_away(server, round_trip_ms) as url:
            seconds = processes.add(peer, url, count=count, **order)
    else:
        seconds = processes.add(peer, server.url, count=count, **order)
    after = server.probe.totals()
    unfinished = peer.unfinished(server.probe.ask)
    if unfinished != count:
        raise RuntimeError(f"{peer.title} added {count} jobs, and {unfinished} of them are there.")
    return {
        "addedPerSecond": count / seconds,
        "failed": float(count - unfinished),
        "commandsPerJob": (after.commands - before.commands) / count,
        "serverCpuSecondsPer100k": (after.cpu_seconds - before.cpu_seconds) / count * 100_000,
    }
