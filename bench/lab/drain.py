"""How fast does a peer empty a full queue? Seen from the server: between its first quarter done and the last job's end.

The start of the processes is left out of the rate, and given as a figure of its own.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from lab import processes
from lab.processes import Workers
from lab.roster import BY_NAME, Peer
from lab.server import BenchServer

LOOK_EVERY_SECONDS = 0.01
GIVE_UP_SECONDS = 180
WARM_SHARE = 0.25  # Node compiles its hot code in the first second


@dataclass(frozen=True)
class Mark:
    """One look at everything; the difference of two is what the jobs between them cost."""

    at: float
    unfinished: int
    commands: int
    bytes: int
    server_cpu: float
    worker_cpu: float


def fill(server: BenchServer, peer: Peer, **order: Any) -> None:
    """Empty the server and add jobs: peers with the same keys in Redis get identical ones from one producer."""
    server.empty()
    processes.add(BY_NAME[peer.filled_by or peer.name], server.url, **order)


def drain(
    server: BenchServer,
    peer: Peer,
    *,
    count: int,
    concurrency: int,
    worker_processes: int = 1,
    url: str = "",
    **job: Any,
) -> dict[str, float]:
    """One run: fill, start the worker, watch. `url` is another way to the same server (a delay proxy)."""
    fill(server, peer, count=count, **job)
    ask = server.probe.ask
    with Workers(peer, url or server.url, processes=worker_processes, concurrency=concurrency, **job) as workers:
        at_start = mark(server, workers)
        wait_until(lambda: peer.unfinished(ask) < count, workers, "its first job")
        first_done = time.perf_counter()
        wait_until(lambda: peer.unfinished(ask) <= count * (1 - WARM_SHARE), workers, "a quarter of its jobs")
        warm = mark(server, workers)
        begin = warm if warm.unfinished else at_start  # so short a queue was over before the second look
        wait_until(lambda: peer.unfinished(ask) == 0, workers, "its last job")
        end = mark(server, workers)
        rss = workers.rss_mib()
    jobs, seconds = begin.unfinished - end.unfinished, end.at - begin.at
    return {
        "jobsPerSecond": jobs / seconds,
        "startSeconds": first_done - workers.started_at,
        "commandsPerJob": (end.commands - begin.commands) / jobs,
        "bytesPerJob": (end.bytes - begin.bytes) / jobs,
        "workerCpuSecondsPer100k": (end.worker_cpu - begin.worker_cpu) / jobs * 100_000,
        "serverCpuSecondsPer100k": (end.server_cpu - begin.server_cpu) / jobs * 100_000,
        "rssMiB": rss,
    }


def mark(server: BenchServer, workers: Workers) -> Mark:
    at, unfinished = time.perf_counter(), workers.peer.unfinished(server.probe.ask)
    totals = server.probe.totals()
    return Mark(
        at, unfinished, totals.commands, totals.bytes_in + totals.bytes_out, totals.cpu_seconds, workers.cpu_seconds()
    )


def wait_until(is_true: Any, workers: Workers, what: str) -> None:
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not is_true():
        workers.check()
        if time.monotonic() > give_up:
            raise RuntimeError(f"{workers.peer.title} has not finished {what} within {GIVE_UP_SECONDS} s.")
        time.sleep(LOOK_EVERY_SECONDS)
