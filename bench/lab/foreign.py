"""bench/foreign: what do jobs cost that a worker leaves to others? Its own next job, its idle minutes, Node beside it.

--smoke proves in seconds that everything works; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from lab import processes
from lab.idle import CALM_SECONDS, COUNT_SECONDS
from lab.latency import READY_SECONDS, percentile, wait_for
from lab.processes import Workers
from lab.roster import BY_NAME
from lab.server import BenchServer

OXCART, NODE = BY_NAME["oxcart"], BY_NAME["node6"]
PER_SECOND = 40.0


def own_beside(number: int, *, count: int, calm_seconds: float, seconds: float) -> dict[str, float]:
    """Our own jobs, while `number` jobs of another name wait that nobody takes; then nothing but those."""
    with BenchServer() as server, tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder) / "stamps"
        stamps.touch()
        processes.add(OXCART, server.url, job="foreign", count=number)
        with Workers(OXCART, server.url, stamps=stamps, concurrency=25) as workers:
            figures = _trickle(server, stamps, workers, count)
            time.sleep(calm_seconds)
            before = server.probe.totals()
            time.sleep(seconds)
            workers.check()
            figures["commandsPerMinute"] = (server.probe.totals().commands - before.commands) * 60 / seconds
    return figures


def node_beside(*, first: str, busy: bool, count: int) -> dict[str, float]:
    """Jobs that only Node runs, beside an Oxcart that leaves them. `busy`: both also have others to do all the time."""
    with BenchServer() as server, tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder) / "stamps"
        stamps.touch()
        started: list[Workers] = []
        try:
            for peer in [NODE, OXCART] if first == "Node" else [OXCART, NODE]:
                only = {"only": "noop"} if peer is OXCART else {}
                started.append(Workers(peer, server.url, stamps=stamps, concurrency=25, **only))
                time.sleep(2)
            node = next(workers for workers in started if workers.peer is NODE)
            if busy:
                load = {"job": "noop", "how": "trickle", "count": int(520 * count / PER_SECOND), "per_second": 400.0}
                with processes.adding(OXCART, server.url, **load):
                    return _trickle(server, stamps, node, count)
            return _trickle(server, stamps, node, count)
        finally:
            for workers in started:
                workers.stop()


def _trickle(server: BenchServer, stamps: Path, workers: Workers, count: int) -> dict[str, float]:
    processes.add(OXCART, server.url, job="stamp", how="one", count=1)
    wait_for(stamps, 1, workers, READY_SECONDS)
    processes.add(OXCART, server.url, job="stamp", how="trickle", count=count, per_second=PER_SECOND)
    wait_for(stamps, count + 1, workers, READY_SECONDS)
    waits = sorted(int(line) / 1000 for line in stamps.read_text().splitlines()[1:])
    return {"p50Ms": percentile(waits, 0.5), "p99Ms": percentile(waits, 0.99), "maxMs": waits[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    count, calm, seconds = (20, 0.1, 1.0) if smoke else (1000, CALM_SECONDS, COUNT_SECONDS)
    print("Oxcart's own jobs, beside jobs of another name that nobody takes")
    print(f"{'foreign jobs':>14} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'idle commands a minute':>24}")
    for number in (0, 1, 1000) if smoke else (0, 1, 1000, 100_000):
        found = own_beside(number, count=count, calm_seconds=calm, seconds=seconds)
        figures = " ".join(f"{found[name]:8.2f}" for name in ("p50Ms", "p99Ms", "maxMs"))
        print(f"{number:14} {figures} {found['commandsPerMinute']:24.0f}", flush=True)
    print("\nNode's jobs, beside an Oxcart that leaves them")
    print(f"{'started first':>14} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'other jobs':>24}")
    for first in ("Node", "Oxcart"):
        for busy in (False, True):
            found = node_beside(first=first, busy=busy, count=count)
            figures = " ".join(f"{found[name]:8.2f}" for name in ("p50Ms", "p99Ms", "maxMs"))
            print(f"{first:>14} {figures} {'400 a second' if busy else 'none':>24}", flush=True)


if __name__ == "__main__":
    main()
