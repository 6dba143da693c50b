"""What is measured? Every case as one row: which peers, how often, and with what. `quick` takes under ten minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lab.adding import adding
from lab.backlog import BACKLOGS, backlog
from lab.distance import distant_drain
from lab.drain import drain
from lab.latency import latency
from lab.roster import BY_NAME, NODES, PEERS, PYTHON_PEERS, Peer
from lab.server import BenchServer

Figures = dict[str, float]
Measure = Callable[[BenchServer, Peer], Figures]
ALL = tuple(peer.name for peer in PEERS)
RIVALS = ("oxcart", *NODES)
KEEPERS = tuple(peer.name for peer in PEERS if peer.keeps)
IN_THREADS = tuple(peer.name for peer in PEERS if peer.blocks)


@dataclass(frozen=True)
class Case:
    """`name` is the key in the JSON. Peers take turns: all of them once a round, so that a noisy minute hits all.

    So do the cases of one `family`, whose figures are compared with each other.
    """

    name: str
    peers: tuple[str, ...]
    rounds: int
    measure: Measure
    append_only: bool = False
    family: str = ""


def _drained(server: BenchServer, peer: Peer, *, seconds: float, share: float = 1.0, **options: object) -> Figures:
    """A queue as long as the peer needs for about so many seconds; `share` of its pace, where a case is slower."""
    count = max(200, int(peer.pace * share * seconds))
    return drain(server, peer, count=count, **options)  # type: ignore[arg-type]


def _slept(server: BenchServer, peer: Peer, *, milliseconds: float, job: str, seconds: float) -> Figures:
    """Jobs that take time: no peer can be faster than its slots allow."""
    ceiling = min(100 / (milliseconds / 1000), peer.pace)
    return drain(
        server, peer, count=max(200, int(ceiling * seconds)), concurrency=100, job=job, milliseconds=milliseconds
    )


def _distant(server: BenchServer, peer: Peer, *, round_trip_ms: float, seconds: float, **options: object) -> Figures:
    """Nobody exceeds one job a round trip and slot by much, without prefetching."""
    count = max(100, int(25 * 1000 / round_trip_ms * seconds))
    return distant_drain(server, peer, round_trip_ms=round_trip_ms, count=count, concurrency=25, **options)


def cases(*, quick: bool) -> list[Case]:
    """In the order of measuring: what the goals need comes first."""
    rounds, few, length = (3, 1, 2.0) if quick else (5, 3, 3.0)
    noop = partial(_drained, job="noop")
    many, keep = (
        partial(noop, seconds=length, concurrency=100),
        partial(noop, seconds=length, concurrency=100, keep=100),
    )
    alone = partial(noop, seconds=length, share=0.12, concurrency=1)
    chosen = [
        Case("removed at 100", RIVALS, rounds, many),
        Case("kept 100 at 100", RIVALS, rounds, keep),
        Case("removed at 1", RIVALS, rounds, alone),
        Case("own ids and traces", RIVALS, rounds, partial(many, own_ids=True)),
        Case("removed at 10", RIVALS, few, partial(noop, seconds=length, concurrency=10)),
        Case("removed at 100, Python", PYTHON_PEERS, few, many),
        Case("two processes at 100", ("oxcart", "node6"), few, partial(many, worker_processes=2)),
        Case("removed at 100, append-only file", ("oxcart", "node6"), few, many, append_only=True),
        Case("1 KB payload", RIVALS, rounds, partial(many, payload_bytes=1_000)),
        Case(
            "10 KB payload",
            RIVALS,
            rounds,
            partial(noop, seconds=1.0, share=0.5, concurrency=100, payload_bytes=10_000),
        ),
        Case("1 ms handlers", ("oxcart", "node6"), few, partial(_slept, milliseconds=1, job="nap", seconds=1.5)),
        Case("50 ms handlers", ("oxcart", "node6"), few, partial(_slept, milliseconds=50, job="nap", seconds=2)),
        Case(
            "1 ms in threads",
            ("oxcart", "taskiq", "dramatiq", "celery") if quick else IN_THREADS,
            few,
            partial(_slept, milliseconds=1, job="block", seconds=1),
        ),
        Case("add in bulk", RIVALS, rounds, partial(adding, how="bulk", count=40_000)),
        Case("add one by one", RIVALS, few, partial(adding, how="one", count=3_000)),
        Case("64 adds in flight", RIVALS, rounds, partial(adding, how="callers", callers=64, count=20_000)),
        Case(
            "64 adds in flight, 20 ms away",
            RIVALS,
            rounds,
            partial(adding, how="callers", callers=64, count=6_400, round_trip_ms=20),
        ),
        Case(
            "1 000 adds at once, 20 ms away",
            RIVALS,
            few,
            partial(adding, how="callers", callers=1_000, count=1_000, round_trip_ms=20),
        ),
        Case("latency, trickle", ALL, few, partial(latency, per_second=50, count=150 if quick else 300)),
        Case("latency, 1000 jobs/s", RIVALS, few, partial(latency, per_second=1000, count=4_000)),
        Case("20 ms away", RIVALS, rounds, partial(_distant, round_trip_ms=20, seconds=2)),
        Case(
            "20 ms away, without prefetch",
            ("oxcart",),
            few,
            partial(_distant, round_trip_ms=20, seconds=2, prefetch=False),
        ),
    ]
    return chosen if quick else chosen + _only_in_full(length)


def _only_in_full(length: float) -> list[Case]:
    noop = partial(_drained, seconds=length, job="noop")
    far = [Case(f"{away} ms away", RIVALS, 3, partial(_distant, round_trip_ms=away, seconds=4)) for away in (1, 80)]
    python = [
        Case("20 ms away, Python", PYTHON_PEERS, 1, partial(_distant, round_trip_ms=20, seconds=1)),
        Case("removed at 1, Python", PYTHON_PEERS, 1, partial(noop, share=0.12, concurrency=1)),
        Case("removed at 10, Python", PYTHON_PEERS, 1, partial(noop, share=0.6, concurrency=10)),
    ]
    full = [
        Case(f"backlog: {state}", ("oxcart", "node6"), 1, partial(backlog, state=state, total=total, count=60_000))
        for state, total in BACKLOGS.items()
    ]
    return far + python + full


def peer_of(name: str) -> Peer:
    return BY_NAME[name]
