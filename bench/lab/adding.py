"""How fast does a peer's own producer add jobs, one call after the other or in bulk, and at what cost to the server?"""

from __future__ import annotations

from lab import processes
from lab.roster import Peer
from lab.server import BenchServer


def adding(server: BenchServer, peer: Peer, *, how: str, count: int) -> dict[str, float]:
    server.empty()
    before = server.probe.totals()
    seconds = processes.add(peer, server.url, count=count, how=how)
    after = server.probe.totals()
    unfinished = peer.unfinished(server.probe.ask)
    if unfinished != count:
        raise RuntimeError(f"{peer.title} added {count} jobs, and {unfinished} of them are there.")
    return {
        "addedPerSecond": count / seconds,
        "commandsPerJob": (after.commands - before.commands) / count,
        "serverCpuSecondsPer100k": (after.cpu_seconds - before.cpu_seconds) / count * 100_000,
    }
