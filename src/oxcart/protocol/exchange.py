"""How does one exchange look on the wire? Verdicts in, jobs out, in one round trip (lua/exchange.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NewType, cast

from oxcart.names import NameFilter
from oxcart.protocol.codec import pack
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command, eval_command, ours

MAX_ITEMS = 500  # verdicts or jobs in one exchange: keeps a script in the low milliseconds
MAX_BYTES = 1 << 20  # of job data out, or of verdicts in: managed servers refuse requests above 10 MB
MAX_LOOKS = 500  # foreign jobs looked at by one exchange: about a millisecond
MAX_PROMOTIONS = 100  # delayed jobs made claimable by one exchange

WRITTEN, REPEATED = 0, 1
MAXED, PAUSED = 1, 2  # why a queue gives no jobs
NO_SUCH_JOB, NOT_THERE, PENDING_CHILDREN, CLAIMED_BY_ANOTHER, FAILED_CHILDREN = -1, -3, -4, -6, -9

Cursor = NewType("Cursor", bytes)
"""What an exchange learned of jobs of other names, for the next one of the same queue and names to go on behind."""

START = Cursor(b"")

Policy = tuple[int, float, int]  # how many (-1 all, 0 none), not older than seconds (-1 any age), how many to remove
KEEP_ALL = (-1, -1, 1000)


class ItemHead(NamedTuple):
    """What verdicts have in common; consecutive ones with equal heads travel as one run. `a` to `c` by kind, as
    exchange.lua lists them; `fields` as it came with the claim, 0 if unknown.
    """

    token: str
    ats: int
    processed_on_ms: int
    atm: int
    fields: int
    kind: str
    policy: int
    b: bytes | str
    c: bytes | str | int


class Item(NamedTuple):
    """One verdict on its way in."""

    job_id: bytes
    a: bytes | str | int
    head: ItemHead


_VALUES_PER_JOB = 3


class ClaimedRun(NamedTuple):
    """Jobs on their way out that have this much in common. `ats` is how often each was started (this claim included);
    `fields` belongs into the verdict's head. `rest` is empty, or rjk, parentKey, defa, stacktrace, stc and the trial
    (suspects.py) of a single job, whose `opts` is as it was written; else the values of its members jobId and tm are
    "", for these are each job's own. `jobs` has three values a job: id, data, timestamp.
    """

    name: bytes
    opts: bytes | None
    ats: int
    atm: bytes | None
    priority: bytes | None
    fields: int
    rest: Sequence[bytes | None]
    jobs: Sequence[bytes | None]

    @property
    def job_ids(self) -> Sequence[bytes]:
        return cast("Sequence[bytes]", self.jobs[::_VALUES_PER_JOB])


class Foreign(NamedTuple):
    """Jobs of one name that an exchange passed over. `since_ms` is the timestamp of the oldest of them."""

    name: bytes
    number: int
    since_ms: int


class Reply(NamedTuple):
    """What an exchange answered. `statuses` are in the order of the items, and none at all if all are WRITTEN; bytes
    instead of an int is an error text. `active` is how long that list is now, with everybody's jobs. `plenty`: the
    claim filled its room, or stopped at the byte limit with more behind it.

    With a NameFilter: `more` if not everything was looked at, so ask again at once; `foreign` is what was passed over
    in this look, of at most 20 names; `cursor` is for the next exchange, START if nothing foreign is known, else
    `last_event_id` is the entry of `events` from which XREAD misses nothing that was not looked at; b"" if the queue
    keeps no events.
    """

    statuses: list[int | bytes]
    runs: list[ClaimedRun]
    notes: list[tuple[bytes, bytes]]
    next_due_ms: int
    limit_ms: int
    blocked: int
    left: int
    now_ms: int
    active: int
    plenty: int
    more: int
    foreign: list[Foreign]
    cursor: Cursor
    last_event_id: bytes

    @property
    def claimed(self) -> int:
        return sum(len(run.jobs) for run in self.runs) // _VALUES_PER_JOB


def read_reply(answer: Sequence[Any]) -> Reply:
    statuses, runs, *others = answer
    reply = Reply(statuses, [ClaimedRun(*run) for run in runs], *others)
    return reply._replace(foreign=[Foreign(*seen) for seen in reply.foreign]) if reply.foreign else reply


@lru_cache(maxsize=64)
def _packed_names(names: NameFilter) -> bytes:
    """In an order that is always the same; a lone surrogate matches no job, as everywhere."""
    return pack([int(names.excludes), *sorted(name.encode("utf-8", "surrogatepass") for name in names.names)])


def _in_runs(items: Sequence[Item]) -> list[tuple[Any, ...]]:
    runs: list[tuple[Any, ...]] = []
    last: ItemHead | None = None
    jobs: list[Any] = []
    for job_id, a, head in items:
        if head is not last and head != last:
            last, jobs = head, []
            runs.append((*head, jobs))
        jobs += (job_id, a)
    return runs


def exchange_command(
    keys: QueueKeys,
    *,
    now_ms: int,
    token: str,
    lock_ms: int,
    room: int,
    free: int | None = None,
    items: Sequence[Item] = (),
    policies: Sequence[Policy] = (),
    worker_name: str = "",
    allow_plain: bool = True,
    names: NameFilter | None = None,
    cursor: Cursor = START,
    looks: int = MAX_LOOKS,
    metrics_minutes: int = 0,
    limiter: tuple[int, int] = (0, 0),
) -> Command:
    """The command of one exchange. `token` locks what it claims; `policies` are numbered from 1 by the items.

    `now_ms` 0 is the server's own time, for a command that it executes some time later.

    With `names` only jobs of such names are claimed; the others stay where they are, untouched. `cursor` is that of the
    last answer of this queue for the same names (one for other names does no harm); `looks` bounds how many foreign
    jobs are looked at.

    `metrics_minutes` are kept in BullMQ's metrics; 0 writes none. `limiter` is this worker's own limit: most jobs, ms.
    As with BullMQ, a maximum of the queue wins over it, and its duration over the queue's.

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
        looks,
        metrics_minutes,
        *limiter,
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
            pack(_in_runs(items)),
            pack(policies),
            *(() if names is None else (_packed_names(names), cursor)),
        ),
    )
