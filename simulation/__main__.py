"""`scripts/simulate`: plays seeds until a promise is broken, or all are played. Exit 0 none, 1 some, 64 usage."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time

from simulation.planting import hunt
from simulation.playing import Played, play_all
from simulation.proof import read_figures, record
from simulation.schedule import make
from simulation.server import NoFaketime, find_library
from simulation.shrink import as_test, breaks, failure, shrink, story

_TELL_EVERY_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        find_library()
    except NoFaketime as missing:
        print(missing, file=sys.stderr)
        return 69
    if options.planted:
        return hunt(options.seeds or 2000, options.jobs, only=options.only)
    if options.seed is not None and options.seeds is None and options.minutes is None:
        return _one(options.seed)
    return _many(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, help="how many seeds to play")
    parser.add_argument(
        "--seed", type=int, help="play this one, make it small, tell its story; with --seeds: the first"
    )
    parser.add_argument("--minutes", type=float, help="go on for so long")
    parser.add_argument("--planted", action="store_true", help="how soon is each planted bug found?")
    parser.add_argument("--record", action="store_true", help="write the figures into docs/proof.md")
    parser.add_argument("--only", help="with --planted: the bug of this name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    return parser


def _many(options: argparse.Namespace) -> int:
    first = options.seed or 1
    seeds = range(first, first + options.seeds) if options.seeds else itertools.count(first)
    if not options.seeds and options.minutes is None:
        options.minutes = 1.0
    began = told_at = time.monotonic()
    ends_at = began + options.minutes * 60 if options.minutes else float("inf")
    number, virtual, executions, found = 0, 0.0, 0, list[Played]()

    def figures() -> str:
        real = time.monotonic() - began
        return (
            f"{number} seeds, {virtual / 3600:.1f} virtual hours, {executions} executions in {real:.0f} s "
            f"({virtual / 3600 / real:.3f} virtual hours/s), {len(found)} findings"
        )

    for played in play_all(iter(seeds), options.jobs):
        number, virtual, executions = number + 1, virtual + played.seconds, executions + played.executions
        if played.broken:
            found.append(played)
            print(f"seed {played.seed}: {played.broken[0][1]}", flush=True)
        if time.monotonic() - told_at > _TELL_EVERY_SECONDS:
            told_at = time.monotonic()
            print(figures(), file=sys.stderr, flush=True)
        if time.monotonic() > ends_at:
            break
    print(f"From seed {first}: {figures()}")
    if options.record:
        run = {
            "first": first, "seeds": number, "virtual_hours": virtual / 3600, "executions": executions,
            "findings": len(found), "real_seconds": time.monotonic() - began,
        }  # fmt: skip
        record(runs=[one for one in read_figures().get("runs", []) if one["first"] != first] + [run])
    if found:
        print(f"Replay one, made small: scripts/simulate --seed {min(played.seed for played in found)}")
    return 1 if found else 0


def _one(seed: int) -> int:
    schedule = make(seed)
    outcome, violations = failure(schedule)
    print(
        f"seed {seed}: {outcome.seconds:.0f} virtual seconds, {outcome.executions} executions, "
        f"history {outcome.history.digest()}"
    )
    if not violations:
        print("No promise is broken.")
        return 0
    invariant = violations[0].invariant
    for violation in violations:
        print(f"BROKEN  {violation}")
    smallest = shrink(schedule, breaks(invariant), lambda left: print(f"{left} steps", file=sys.stderr, flush=True))
    outcome, violations = failure(smallest)
    print(f"\n{story(outcome, violations)}\n\n{as_test(smallest, invariant)}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
