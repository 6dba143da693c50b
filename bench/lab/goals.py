"""What must Oxcart reach? The goals, each with what was measured; a goal without a measurement fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.results import Results
from lab.roster import PYTHON_PEERS

NODE = "node6"  # the newest BullMQ for Node: the one that the ratios are against


@dataclass(frozen=True)
class Goal:
    """`limit` is the least that is wanted, or the most where `at_most`; `unit` "x" is a ratio of medians."""

    title: str
    limit: float
    unit: str
    measured: Callable[[Results], float | None]
    at_most: bool = False

    def is_met(self, results: Results) -> bool:
        value = self.measured(results)
        if value is None:
            return False
        return value <= self.limit if self.at_most else value >= self.limit


def _faster(case: str, figure: str = "jobsPerSecond") -> Callable[[Results], float | None]:
    return lambda results: results.ratio(case, figure, "oxcart", NODE)


def _own(case: str, figure: str) -> Callable[[Results], float | None]:
    return lambda results: results.median(case, "oxcart", figure)


def _against_python(names: tuple[str, ...]) -> Callable[[Results], float | None]:
    def ratio(results: Results) -> float | None:
        ours = results.median("removed at 100", "oxcart", "jobsPerSecond")
        theirs = [results.median("removed at 100, Python", name, "jobsPerSecond") for name in names]
        fastest = max((value for value in theirs if value is not None), default=None)
        return ours / fastest if ours is not None and fastest else None

    return ratio


GOALS = (
    Goal("no-op jobs/s at concurrency 100, removed: against BullMQ for Node 6", 2.5, "x", _faster("removed at 100")),
    Goal("the same against `bullmq` for Python", 20, "x", _against_python(("bullmq",))),
    Goal("the same against the fastest Python queue", 1, "x", _against_python(PYTHON_PEERS)),
    Goal("the same, the last 100 kept", 2.5, "x", _faster("kept 100 at 100")),
    Goal("the same, each job with an id and a trace of its own", 2.5, "x", _faster("own ids and traces")),
    Goal("the same at concurrency 1", 2.5, "x", _faster("removed at 1")),
    Goal("the same with payloads of 1 KB", 2, "x", _faster("1 KB payload")),
    Goal("the same with payloads of 10 KB", 2, "x", _faster("10 KB payload")),
    Goal("the same at 20 ms round trip, concurrency 25", 6, "x", _faster("20 ms away")),
    Goal("add_many against addBulk", 2.5, "x", _faster("add in bulk", "addedPerSecond")),
    Goal("adds with 64 in flight, against BullMQ for Node 6", 1.5, "x", _faster("64 adds in flight", "addedPerSecond")),
    Goal("the same at 20 ms round trip", 1, "x", _faster("64 adds in flight, 20 ms away", "addedPerSecond")),
    Goal(
        "1 000 adds at once at 20 ms round trip: so many fail",
        0,
        "",
        _own("1 000 adds at once, 20 ms away", "failed"),
        at_most=True,
    ),
    Goal("pick-up latency, idle queue, p50", 1, "ms", _own("latency, trickle", "p50Ms"), at_most=True),
    Goal("pick-up latency, idle queue, p99", 5, "ms", _own("latency, trickle", "p99Ms"), at_most=True),
    Goal(
        "idle cost from the third minute, those inside scripts counted",
        8,
        "/min",
        _own("idle", "commandsPerMinute"),
        at_most=True,
    ),
    Goal("memory of an idle worker with HTTP", 75, "MiB", _own("idle", "idleRssMiB"), at_most=True),
    Goal("start to the first job done", 1, "s", _own("removed at 100", "startSeconds"), at_most=True),
    Goal("commands for a no-op job, inside scripts", 7, "", _own("removed at 100", "commandsPerJob"), at_most=True),
)
