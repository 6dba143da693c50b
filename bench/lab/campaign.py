"""How is everything measured? Case by case, round by round, the peers in turn; the idle cost beside what only waits."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor

from lab.cases import ALL, Case, peer_of
from lab.idle import idle
from lab.install import install, node_binary
from lab.machine import load_average, machine
from lab.results import Results
from lab.server import BenchServer

BESIDE_IDLE = ("latency", "20 ms", "1 ms away", "80 ms", "50 ms handlers")
"""Cases of few jobs a second: idle workers, which do next to nothing, do not disturb them."""


def about(names: tuple[str, ...]) -> dict[str, object]:
    node = subprocess.run([str(node_binary()), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with BenchServer() as server:
        version = server.version
    return machine() | {"node": node.removeprefix("v"), "server": version, "versions": install(list(names))}


def measure(cases: list[Case], *, with_idle: bool) -> Results:
    """Run every case. What fails is noted and told, and the rest goes on."""
    names = tuple(dict.fromkeys(name for case in cases for name in case.peers))
    fillers = {filler for name in names if (filler := peer_of(name).filled_by)}
    results = Results(about((*names, *sorted(fillers.difference(names)))))
    busy = [case for case in cases if not case.name.startswith(BESIDE_IDLE)]
    calm = [case for case in cases if case.name.startswith(BESIDE_IDLE)]
    with BenchServer() as memory, BenchServer(append_only=True) as durable:
        for family in _families(busy):
            for turn in range(max(case.rounds for case in family)):
                for case in family:
                    _run(case, turn, durable if case.append_only else memory, results)
        with ThreadPoolExecutor(1) as pool:
            idling = pool.submit(idle, ALL) if with_idle else None
            for case in calm:
                for turn in range(case.rounds):
                    _run(case, turn, memory, results)
            if idling is not None:
                _note_idle(idling, results)
    results.about["loadAfter"] = load_average()
    return results


def _families(cases: list[Case]) -> list[list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.family or case.name, []).append(case)
    return [*found.values()]


def _run(case: Case, turn: int, server: BenchServer, results: Results) -> None:
    order = case.peers if turn % 2 == 0 else case.peers[::-1]
    for name in order:
        began = time.monotonic()
        try:
            figures = case.measure(server, peer_of(name))
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            results.failures.append(f"{case.name}, {name}: {error}")
            _tell(f"{case.name:34} {name:9} FAILED: {error}")
            continue
        results.note(case.name, name, figures)
        first, value = next(iter(figures.items()))
        _tell(f"{case.name:34} {name:9} {first} {value:,.2f}   ({time.monotonic() - began:.1f} s)")


def _note_idle(idling: Future[dict[str, dict[str, float]]], results: Results) -> None:
    _tell("waiting for the idle minute ...")
    try:
        for name, figures in idling.result().items():
            results.note("idle", name, figures)
    except (RuntimeError, OSError) as error:
        results.failures.append(f"idle: {error}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
