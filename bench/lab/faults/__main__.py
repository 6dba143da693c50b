"""bench/faults: the experiments of docs/proof.md on real processes: Oxcart, BullMQ for Node and its port in turn.

All of them take about an hour. `--only 1,13` and `--systems oxcart` run a part; `--record` writes what was measured
into docs/proof.md, beside what is there. `--soak 30` runs a mixed fleet for so many minutes instead.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from typing import Any

from lab.faults.experiments import EXPERIMENTS
from lab.faults.soak import soak
from lab.faults.stage import SETTLE_SECONDS, run
from lab.faults.systems import SYSTEMS
from lab.install import install
from simulation.proof import FIGURES, read_figures, record


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/faults", description=__doc__)
    parser.add_argument("--only", help="numbers of experiments, with commas")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--settle", type=float, default=SETTLE_SECONDS, help="seconds to wait for what is left")
    parser.add_argument("--rounds", type=int, help="break each thing no more often than this")
    parser.add_argument("--record", action="store_true", help="write docs/proof.md")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--kill-every", type=float, default=60.0, metavar="SECONDS", help="with --soak")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@cache
def _about() -> dict[str, str]:
    """As it was when we were started."""
    found = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False)
    return {"commit": found.stdout.strip(), "date": datetime.now(UTC).strftime("%Y-%m-%d")}


def main() -> int:
    asked = _parser().parse_args()
    _about()
    if asked.soak:
        versions = install(["node6"])
        figures = soak(asked.soak, asked.kill_every, _say) | _about() | {"versions": versions}
        print(json.dumps(figures, indent=1))
        if asked.record:
            record(soak=figures)
        return 0
    systems = asked.systems.split(",")
    versions = install(systems)
    numbers = [int(number) for number in asked.only.split(",")] if asked.only else [e.number for e in EXPERIMENTS]
    for experiment in (e for number in numbers for e in EXPERIMENTS if e.number == number):
        for system in systems:
            measured = run(experiment, system, asked.settle, asked.rounds) | _about() | {"version": versions[system]}
            print(json.dumps({"number": experiment.number, "system": system, **measured}), flush=True)
            if asked.record:
                _keep(str(experiment.number), experiment.does, system, measured)
    return 0


def _keep(number: str, does: str, system: str, measured: dict[str, Any]) -> None:
    """Two of us may run side by side."""
    with FIGURES.open() as figures:
        fcntl.flock(figures, fcntl.LOCK_EX)
        faults = read_figures().get("faults", {})
        faults[number] = {**faults.get(number, {}), "does": does, system: measured}
        record(faults=faults)


if __name__ == "__main__":
    sys.exit(main())
