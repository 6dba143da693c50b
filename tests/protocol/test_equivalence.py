"""Does our exchange leave a queue as BullMQ's own scripts would? Random histories, run through both, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
import redis
from hypothesis import HealthCheck, currently_in_test_context, given, note, settings
from support.dump import differences, dump
from support.server import PrivateServer

from oxcart.protocol.keys import QueueKeys

from .ours import run_exchange
from .reference import Finish, Options, Outcome, Policy, Reference
from .steps import (
    LOCK_MS,
    NOBODY,
    PREFIX,
    Add,
    DoExchange,
    Exchange,
    JoinFlow,
    LoseLock,
    PassTime,
    ReportProgress,
    Restart,
    Run,
    Step,
    Verdict,
    WriteLog,
    histories,
)

REFERENCE_DATABASE, OUR_DATABASE = 14, 15


def reference_exchange(
    server: redis.Redis,
    keys: QueueKeys,
    finishes: Sequence[Finish],
    room: int,
    now_ms: int,
    token: str,
    lock_ms: int,
    worker: Options,
) -> Outcome:
    return Reference(server, keys, worker).exchange(finishes, room, now_ms, token, lock_ms)


@dataclass
class TwoDatabases:
    """Two databases of one server: the same keys in both, and the same Lua."""

    reference: redis.Redis = field(repr=False)
    ours: redis.Redis = field(repr=False)


@pytest.fixture
def databases(server: PrivateServer) -> Iterator[TwoDatabases]:
    reference, ours = (
        redis.Redis(host=server.host, port=server.port, password=server.password, db=number, protocol=2)
        for number in (REFERENCE_DATABASE, OUR_DATABASE)
    )
    with reference, ours:
        yield TwoDatabases(reference, ours)
        reference.flushdb()
        ours.flushdb()


def compare(databases: TwoDatabases, steps: Sequence[Step], ours: Exchange) -> None:
    databases.reference.flushdb()
    databases.ours.flushdb()
    expected, actual = Run(databases.reference, reference_exchange), Run(databases.ours, ours)
    for number, step in enumerate(steps):
        if currently_in_test_context():
            note(f"{number}: {step}")
        if isinstance(step, DoExchange) and step.room:
            # A worker that exchanges was woken by the marker and took it: who is left waiting must find a new one.
            databases.ours.zrem(actual.keys.marker, "0")
        assert expected.apply(step) == actual.apply(step)
        if not isinstance(step, DoExchange):
            continue  # both sides ran the same script
        put_into_wait(databases.ours, actual.keys)
        changed = differences(dump(databases.reference, f"{PREFIX}:"), dump(databases.ours, f"{PREFIX}:"))
        assert not changed, "\n".join(changed)
        if step.room:
            assert_somebody_wakes_up(databases.ours, actual)


def put_into_wait(server: redis.Redis, keys: QueueKeys) -> None:
    """Our exchange leaves what waits in a paused queue in `paused` (includes/follow_pause.lua), BullMQ 6 in `wait`."""
    if server.hexists(keys.meta, "paused"):
        assert not server.exists(keys.wait)
        if server.exists(keys.paused):
            server.rename(keys.paused, keys.wait)
    assert not server.exists(keys.paused)


def assert_somebody_wakes_up(server: redis.Redis, run: Run) -> None:
    """If a job is claimable and nothing holds the queue back, the marker has the member "0" (docs/decisions.md, 3)."""
    keys = run.keys
    paused, concurrency, maximum = server.hmget(keys.meta, "paused", "concurrency", "max")
    claimable = server.exists(keys.wait) or server.exists(keys.prioritized)
    maxed = concurrency is not None and server.llen(keys.active) >= int(concurrency)
    most = int(maximum or run.worker.limiter[0])
    limited = most > 0 and int(server.get(keys.limiter) or 0) >= most
    if claimable and not (paused or maxed or limited):
        assert server.zscore(keys.marker, "0") == 0, "jobs are waiting, and no worker will be woken"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=histories())
def test_every_key_and_event_is_as_bullmq_leaves_it(databases: TwoDatabases, steps: list[Step]) -> None:
    compare(databases, steps, run_exchange)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=histories())
def test_the_same_when_every_finish_goes_through_bullmqs_own_script(databases: TwoDatabases, steps: list[Step]) -> None:
    """`OXCART_EXCHANGE=upstream`, the way back should our plain path ever be wrong."""
    compare(databases, steps, partial(run_exchange, allow_plain=False))


@pytest.mark.parametrize("policy", [Policy(0), Policy(2), Policy(-1)], ids=["removed", "two kept", "kept"])
@pytest.mark.parametrize(
    "change", [WriteLog(0), ReportProgress(0), JoinFlow(0), LoseLock(0)], ids=lambda c: type(c).__name__
)
def test_what_happens_to_a_running_job_is_seen_at_its_end(
    databases: TwoDatabases, change: Step, policy: Policy
) -> None:
    """That its hash is as bare as when it was claimed, is concluded from the number of its fields."""
    end = DoExchange(tuple(Verdict(0, Finish(NOBODY, kind, policy=policy)) for kind in "cfc"), 0)
    flow = (Add({}, has_children=True), Add({}, parent=-1))
    compare(databases, [Add({}), Add({}), Add({}), DoExchange((), 3), *flow, change, end], run_exchange)


@pytest.mark.parametrize("kind", ["c", "f"])
def test_a_child_is_pushed_out_in_the_exchange_that_ended_it(databases: TwoDatabases, kind: str) -> None:
    """Its parent waits for it no longer: BullMQ's script says so, and ours must see that there is a parent."""
    flow = (Add({}, has_children=True), Add({}, parent=-1), Add({}, parent=-1), Add({}))
    policies = (Policy(-1), Policy(-1), Policy(1))
    ends = tuple(Verdict(0, Finish(NOBODY, kind, policy=policy)) for policy in policies)
    compare(databases, [*flow, DoExchange((), 3), DoExchange(ends, 0)], run_exchange)


@pytest.mark.parametrize("is_listed_twice", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("order", ["0123", "3210", "013", "12", "43562", "6543210", "23456", "5634", "06152"])
def test_jobs_leave_active_one_by_one_or_together(databases: TwoDatabases, order: str, is_listed_twice: bool) -> None:
    """The oldest leave in one command: not so when others end first, or when a fault has listed an id twice."""
    for run in (Run(databases.reference, reference_exchange), Run(databases.ours, run_exchange)):
        for _ in range(8):
            run.apply(Add({}))
        run.apply(DoExchange((), 7))
        if is_listed_twice:
            run.server.rpush(run.keys.active, run.out[3].job_id)

        finishes = [Finish(run.out[int(position)], "c", policy=Policy(0)) for position in order]
        outcome = run.exchange(run.server, run.keys, finishes, 0, run.now_ms, "worker:2", LOCK_MS, run.worker)

        assert all(outcome.written)
    changed = differences(dump(databases.reference, f"{PREFIX}:"), dump(databases.ours, f"{PREFIX}:"))
    assert not changed, "\n".join(changed)


@pytest.mark.parametrize("allow_plain", [True, False], ids=["plain", "by BullMQ's script"])
@pytest.mark.parametrize("kinds", ["ccc", "fff", "cfcfc"])
def test_the_ends_of_each_minute_are_counted(databases: TwoDatabases, kinds: str, allow_plain: bool) -> None:
    """The first end of all, several in a minute, the next minute, after a gap, and a gap longer than what is kept."""
    ends = DoExchange(tuple(Verdict(0, Finish(NOBODY, kind, policy=Policy(0))) for kind in kinds), 0)
    steps: list[Step] = [Restart(Options(metrics_minutes=4))]
    for waited_ms in (1, 20_000, 60_000, 200_000, 900_000):
        steps += [PassTime(waited_ms), *[Add({})] * len(kinds), DoExchange((), len(kinds)), ends]
    compare(databases, steps, partial(run_exchange, allow_plain=allow_plain))
    kept = databases.ours.lrange(Run(databases.ours, run_exchange).keys.metrics("completed") + ":data", 0, -1)
    assert len(kept) == (4 if "c" in kinds else 0)
