"""bench/run: measure everything beside the peers, print the table, write JSON and docs/performance.md.

Exit 1 if a goal is missed. --quick takes under ten minutes on two cores; --only runs the cases whose name begins so,
and leaves the page as it is. The cases of scaling are in the whole run, or alone by --only scaling: they write
docs/scaling.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lab.campaign import measure
from lab.cases import cases
from lab.goals import GOALS
from lab.page import figures, write_page, write_scaling_page
from lab.scaling import FAMILY, has_scaling, measure_idle, scaling_cases, scaling_tables

RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter queues, no backlogs")
    parser.add_argument(
        "--only", metavar="CASE", help="only the cases whose name begins so; no goals, no page but scaling's"
    )
    parser.add_argument("--no-page", action="store_true", help="leave docs/performance.md as it is")
    asked = parser.parse_args()
    every = cases(quick=asked.quick) + (scaling_cases(quick=asked.quick) if asked.only or not asked.quick else [])
    chosen = [case for case in every if not asked.only or case.name.startswith(asked.only)]
    if not chosen:
        parser.error(f"no case begins with {asked.only!r}: {', '.join(case.name for case in every)}")
    command = "bench/run --quick" if asked.quick else "bench/run"
    results = measure(chosen, with_idle=not asked.only)
    if has_scaling(results) and not asked.quick:
        measure_idle(results)
    RESULTS.mkdir(exist_ok=True)
    output = RESULTS / ("quick.json" if asked.quick else "full.json")
    met = {goal.title: goal.is_met(results) for goal in GOALS}
    output.write_text(json.dumps(results.as_json() | {"goals": met}, indent=1), encoding="utf-8")
    print(scaling_tables(results) if asked.only and has_scaling(results) else figures(results, command))
    if has_scaling(results) and not asked.no_page:
        write_scaling_page(results, f"{command} --only {FAMILY}" if asked.only else command)
    if asked.only:
        return 0
    if not asked.no_page:
        write_page(results, command)
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
