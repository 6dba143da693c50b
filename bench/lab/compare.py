"""bench/compare: Oxcart beside BullMQ for Node 6 and 5, in a few minutes; ratios of medians, no goals.

--smoke proves in seconds that everything works; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial

from lab import tables
from lab.adding import adding
from lab.campaign import measure
from lab.cases import RIVALS, Case
from lab.distance import distant_drain
from lab.drain import drain
from lab.results import Results
from lab.roster import NODES, Peer
from lab.server import BenchServer

FIGURES = {
    "concurrency 100": "jobsPerSecond",
    "concurrency 100, 100 kept": "jobsPerSecond",
    "concurrency 1": "jobsPerSecond",
    "own ids and traces": "jobsPerSecond",
    "payloads of 1 KB": "jobsPerSecond",
    "payloads of 10 KB": "jobsPerSecond",
    "concurrency 25, 20 ms away": "jobsPerSecond",
    "add in bulk": "addedPerSecond",
    "add, 64 in flight": "addedPerSecond",
    "add, 64 in flight, 20 ms away": "addedPerSecond",
}


def _drained(server: BenchServer, peer: Peer, *, share: float, **options: int) -> dict[str, float]:
    return drain(server, peer, count=max(100, int(peer.pace * share)), job="noop", **options)  # type: ignore[arg-type]


def chosen_cases(*, smoke: bool) -> list[Case]:
    rounds, share, added = (1, 0.1, 2_000) if smoke else (3, 1.0, 30_000)
    measures = (
        partial(_drained, share=share, concurrency=100),
        partial(_drained, share=share, concurrency=100, keep=100),
        partial(_drained, share=share / 4, concurrency=1),
        partial(_drained, share=share, concurrency=100, own_ids=True),
        partial(_drained, share=share, concurrency=100, payload_bytes=1_000),
        partial(_drained, share=share / 3, concurrency=100, payload_bytes=10_000),
        partial(distant_drain, round_trip_ms=20, count=400 if smoke else 4_000, concurrency=25),
        partial(adding, how="bulk", count=added),
        partial(adding, how="callers", callers=64, count=added // 2),
        partial(adding, how="callers", callers=64, count=added // 5, round_trip_ms=20),
    )
    return [Case(name, RIVALS, rounds, each) for name, each in zip(FIGURES, measures, strict=True)]


def ratios(results: Results) -> dict[str, dict[str, float | None]]:
    return {
        name: {node: results.ratio(name, figure, "oxcart", node) for node in NODES} for name, figure in FIGURES.items()
    }


def table(results: Results) -> str:
    found = ratios(results)
    rows = [
        (
            name,
            *(tables.cell(results, name, peer, figure) for peer in RIVALS),
            *(f"{tables.number(found[name][node])} x" for node in NODES),
        )
        for name, figure in FIGURES.items()
    ]
    versions = results.about["versions"]
    head = ("per second", "Oxcart", *(f"BullMQ {versions[node]}" for node in NODES), "against 6", "against 5")
    return tables.markdown(head, rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/compare", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few jobs only: does it run?")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    asked = parser.parse_args()
    results = measure(chosen_cases(smoke=asked.smoke), with_idle=False)
    print(json.dumps(results.as_json() | {"ratios": ratios(results)}) if asked.json else table(results))
    for failure in results.failures:
        print(f"Failed: {failure}", file=sys.stderr)
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
