"""How does one exchange look on the wire? Verdicts in, jobs out, in one round trip (lua/exchange.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from oxcart.protocol.codec import pack
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command, eval_command, ours

MAX_ITEMS = 500  # verdicts or jobs in one exchange: keeps a script in the low milliseconds
MAX_BYTES = 1 << 20  # of job data out, or of verdicts in: managed servers refuse requests above 10 MB
MAX_PROMOTIONS = 100  # delayed jobs made claimable by one exchange

WRITTEN, REPEATED = 0, 1
MAXED, PAUSED = 1, 2  # why a queue gives no jobs
NO_SUCH_JOB, NOT_THERE, PENDING_CHILDREN, CLAIMED_BY_ANOTHER, FAILED_CHILDREN = -1, -3, -4, -6, -9

Policy = tuple[int, float, int]  # how many (-1 all, 0 none), not older than seconds (-1 any age), how many to remove
KEEP_ALL = (-1, -1, 1000)


CLAIMED_FIELDS = (
    "name",
    "data",
    "opts",
    "ats",
    "atm",
    "timestamp",
    "priority",
    "rjk",
    "parentKey",
    "defa",
    "stacktrace",
)
"""Of a job's hash, in the order in which ClaimedJob.fields has them; `CLAIMED` in exchange.lua is the same list."""

USUAL_FIELDS = CLAIMED_FIELDS.index("rjk")
"""How many of them most jobs have; a job that has none of the others comes without their places."""


class Item(NamedTuple):
    """One verdict on its way in; the fields of `ARGV[2]` in exchange.lua."""

    job_id: bytes
    token: str
    ats: int
    processed_on_ms: int
    atm: int
    kind: str
    policy: int
    a: bytes | str | int
    b: bytes | str
    c: bytes | str | int


class ClaimedJob(NamedTuple):
    """One job on its way out: its id, how often it was started (this claim included), and its hash's fields."""

    job_id: bytes
    ats: int
    fields: list[bytes | None]  # CLAIMED_FIELDS, or the first USUAL_FIELDS of them


JobRow = Sequence[Any]
"""A ClaimedJob, or the same three values as they came: a batch need not be copied to be read."""


class Reply(NamedTuple):
    """What an exchange answered; statuses are in the order of the items, bytes instead of an int is an error text."""

    statuses: list[int | bytes]
    jobs: list[JobRow]
    notes: list[tuple[bytes, bytes]]
    next_due_ms: int
    limit_ms: int
    blocked: int
    left: int


def exchange_command(
    keys: QueueKeys,
    *,
    now_ms: int,
    token: str,
    lock_ms: int,
    room: int,
    free: int | None = None,
    items: Sequence[tuple[Any, ...]] = (),
    policies: Sequence[Policy] = (),
    worker_name: str = "",
    allow_plain: bool = True,
) -> Command:
    """The command of one exchange. `token` locks what it claims; `policies` are numbered from 1 by the items.

    `free` (default: all of `room`) are claimed whatever the queue is like; more only without limits and priorities.
    """
    head = (
        keys.base,
        now_ms,
        token,
        lock_ms,
        room,
        MAX_BYTES,
        MAX_PROMOTIONS,
        int(allow_plain),
        worker_name,
        room if free is None else free,
    )
    return eval_command(
        ours("exchange"),
        (
            keys.wait,
            keys.active,
            keys.prioritized,
            keys.events,
            keys.stalled,
            keys.limiter,
            keys.delayed,
            keys.paused,
            keys.meta,
            keys.pc,
            keys.marker,
            keys.completed,
            keys.failed,
            keys.waiting_children,
        ),
        (
            pack(head),
            pack(items),
            pack(policies),
        ),
    )
