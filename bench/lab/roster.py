"""Who is measured? One row per peer: where it comes from, what it promises, and how to see its unfinished jobs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Ask = Callable[..., Any]  # one Redis command in, its reply out

BULLMQ_LAYOUT = "node6"
"""Peers with BullMQ's keys process identical jobs: all are filled by BullMQ for Node, as the apps before us do it."""


@dataclass(frozen=True)
class Peer:
    """`pace` is a rough jobs/s at concurrency 100, for the length of a run only. `unfinished` counts the jobs that the
    server has not seen the end of. `blocks` says that plain functions run in threads, `naps` that awaiting ones run.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    pace: int
    unfinished: Callable[[Ask], int]
    guarantee: str
    language: str = "python"
    filled_by: str = ""
    blocks: bool = True
    keeps: bool = False


def _bullmq(ask: Ask) -> int:
    counts = (ask("LLEN", "bull:bench:wait"), ask("LLEN", "bull:bench:active"), ask("ZCARD", "bull:bench:prioritized"))
    return sum(counts) + int(ask("ZCARD", "bull:bench:delayed"))


def _taskiq(ask: Ask) -> int:
    if not ask("EXISTS", "bench"):
        return 0
    (group,) = ask("XINFO", "GROUPS", "bench")
    facts = dict(zip(group[::2], group[1::2], strict=True))
    return int(facts[b"pending"]) + int(facts[b"lag"] or 0)


_AT_LEAST_ONCE = "at least once"

PEERS = (
    Peer("oxcart", "Oxcart", (), 30_000, _bullmq, _AT_LEAST_ONCE, filled_by=BULLMQ_LAYOUT, keeps=True),
    Peer(
        "node6",
        "BullMQ for Node 6",
        ("bullmq@6", "ioredis@5"),
        15_000,
        _bullmq,
        _AT_LEAST_ONCE,
        language="node",
        filled_by=BULLMQ_LAYOUT,
        blocks=False,
        keeps=True,
    ),
    Peer(
        "node5",
        "BullMQ for Node 5",
        ("bullmq@5",),
        15_000,
        _bullmq,
        _AT_LEAST_ONCE,
        language="node",
        filled_by=BULLMQ_LAYOUT,
        blocks=False,
        keeps=True,
    ),
    Peer(
        "bullmq",
        "bullmq for Python",
        ("bullmq", "hiredis"),
        1_200,
        _bullmq,
        _AT_LEAST_ONCE,
        filled_by=BULLMQ_LAYOUT,
        blocks=False,
        keeps=True,
    ),
    Peer(
        "saq",
        "saq",
        ("saq[redis]", "hiredis", "uvloop", "typing_extensions"),
        1_200,
        lambda ask: int(ask("ZCARD", "saq:bench:incomplete")),
        "at least once while retries last (3 here; by default 1: a job whose worker dies is lost)",
    ),
    Peer(
        "arq",
        "arq",
        ("arq", "hiredis", "uvloop"),
        1_000,
        lambda ask: int(ask("ZCARD", "arq:queue")),
        _AT_LEAST_ONCE,
        blocks=False,
    ),
    Peer(
        "taskiq",
        "taskiq-redis",
        ("taskiq-redis", "hiredis", "uvloop"),
        2_000,
        _taskiq,
        "at least once with its stream broker and acknowledgement after the run",
    ),
    Peer(
        "dramatiq",
        "dramatiq",
        ("dramatiq[redis]", "hiredis"),
        1_500,
        lambda ask: int(ask("HLEN", "dramatiq:bench.msgs")),
        _AT_LEAST_ONCE,
    ),
    Peer(
        "celery",
        "celery",
        ("celery[redis]", "hiredis"),
        600,
        lambda ask: int(ask("LLEN", "celery")) + int(ask("HLEN", "unacked")),
        "at least once with late acknowledgement; a dead worker's jobs come back after the visibility timeout (1 h)",
    ),
    Peer(
        "rq",
        "rq",
        ("rq", "hiredis"),
        600,
        lambda ask: int(ask("LLEN", "rq:queue:bench")) + int(ask("ZCARD", "rq:wip:bench")),
        "at least once with Retry (3 here); slots are processes, at most 4",
    ),
    Peer(
        "huey",
        "huey",
        ("huey", "redis", "hiredis"),
        2_000,
        lambda ask: int(ask("LLEN", "huey.redis.bench")),
        "LESS: at most once. A job is out of Redis before it runs; counted as done when it is taken",
    ),
    Peer(
        "streaq",
        "streaq",
        ("streaq", "hiredis", "uvloop"),
        2_000,
        lambda ask: int(ask("XLEN", "streaq:bench:queues:normal")),
        _AT_LEAST_ONCE,
    ),
)

BY_NAME = {peer.name: peer for peer in PEERS}
NODES = ("node6", "node5")
PYTHON_PEERS = tuple(peer.name for peer in PEERS if peer.language == "python" and peer.name != "oxcart")
