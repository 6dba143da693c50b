"""How fast does a peer's own producer add jobs: one call after the other, and in bulk?"""

from __future__ import annotations

from lab import processes
from lab.roster import Peer
from lab.server import BenchServer


def adding(server: BenchServer, peer: Peer, *, how: str, count: int) -> dict[str, float]:
    server.empty()
    seconds = processes.add(peer, server.url, count=count, how=how)
    unfinished = peer.unfinished(server.probe.ask)
    if unfinished != count:
        raise RuntimeError(f"{peer.title} added {count} jobs, and {unfinished} of them are there.")
    return {"addedPerSecond": count / seconds}
