"""Which seed finds something first? For planting.py: `python -m simulation.seek SEEDS JOBS`; exit 1 says so, 0 none."""

from __future__ import annotations

import sys

from simulation.playing import play_all


def main(seeds: int, jobs: int) -> int:
    for number, played in enumerate(play_all(iter(range(1, seeds + 1)), jobs), 1):
        if played.broken:
            print(f"after {number} seeds, by seed {played.seed}: {played.broken[0][1].splitlines()[-1][:150]}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
