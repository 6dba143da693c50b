"""What is left when any one command of a script errs? Every job in one state, and ended once after the fault."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence

import pytest
import redis

from oxcart.names import NameFilter
from oxcart.protocol.exchange import KEEP_ALL
from oxcart.protocol.scripts import ours

from .faulty import FAULTS, Fault, was_hit
from .world import World

Arrange = Callable[[World], None]
Check = Callable[[World], None]


def add(world: World, *job_ids: str, **options: int | bool) -> None:
    for job_id in job_ids:
        world.queue.add(job_id, **options)  # type: ignore[arg-type]


def claimed(world: World, *job_ids: str) -> None:
    add(world, *job_ids)
    world.claim()


# ------------------------------------------------------------------------------------------------ claims
def from_wait(world: World) -> None:
    add(world, "a", "b", "c")
    world.room = 2


def from_prioritized(world: World) -> None:
    add(world, "a", "b", priority=2)
    add(world, "c")
    world.room = 3


def from_delayed(world: World) -> None:
    add(world, "w")
    delayed(world, "a", 0)
    delayed(world, "b", 3)
    delayed(world, "c", 0)
    world.room = 2


def delayed(world: World, job_id: str, priority: int) -> None:
    keys, queue = world.queue.keys, world.queue
    facts = {"name": "job", "data": "{}", "opts": "{}", "timestamp": 1, "delay": 5, "priority": priority}
    world.server.hset(keys.job(job_id), mapping=facts)
    world.server.zadd(keys.delayed, {job_id: (queue.now_ms - 5) * 4096})


def with_a_limit(world: World) -> None:
    from_wait(world)
    world.server.hset(world.queue.keys.meta, mapping={"max": 2, "duration": 60_000, "concurrency": 5})


def from_what_5_left_in_paused(world: World) -> None:
    add(world, "a", "b", "c")
    world.server.rename(world.queue.keys.wait, world.queue.keys.paused)
    add(world, "d")
    world.room = 2


def by_name(world: World) -> None:
    """Ours lie among those that another worker has to claim."""
    for job_id, name, priority in [("a", "x", 0), ("b", "job", 0), ("c", "x", 0), ("d", "job", 0), ("e", "x", 2)]:
        world.queue.add(job_id, name=name, priority=priority)
    add(world, "f", "g", priority=2)
    world.room = 3
    world.more = {"names": NameFilter(frozenset({"job"})), "worker_name": "oxcart-12345678"}


CLAIMS: dict[str, Arrange] = {
    "from wait": from_wait,
    "from prioritized": from_prioritized,
    "from delayed": from_delayed,
    "with a limit": with_a_limit,
    "from what 5 left in paused": from_what_5_left_in_paused,
    "by name": by_name,
}


# ------------------------------------------------------------------------------------------------ verdicts
KEPT: list[str] = ["completed"]
GONE: list[str] = []
REMOVE, KEEP_ONE, KEEP_AGE = (0, -1, 1000), (1, -1, 1000), (-1, 5.0, 1000)


def completed(policy: tuple[int, float, int] = KEEP_ALL) -> Arrange:
    """Two of three that are active, and another exchange's older one between them."""

    def arrange(world: World) -> None:
        add(world, "k")
        world.claim()
        world.verdict("k", "c")
        world.server.script_load(ours("exchange").source)
        world.server.execute_command(*world.exchange())
        world.held.clear()
        world.items.clear()
        world.queue.now_ms += 1000 * 60
        claimed(world, "a", "b", "c")
        world.policies = [KEEP_ALL, policy]
        for job_id in "ac":
            world.verdict(job_id, "c", policy=2)
        world.room = 1
        add(world, "z")

    return arrange


def from_the_middle(leaving: str, policy: tuple[int, float, int]) -> Arrange:
    """Those that end lie among others that go on: a is the oldest."""

    def arrange(world: World) -> None:
        claimed(world, *"abcde")
        world.policies = [KEEP_ALL, policy]
        for job_id in leaving:
            world.verdict(job_id, "c", policy=2)

    return arrange


def settled(kind: str, options: dict[str, int | bool] | None = None, **verdict: str | int) -> Arrange:
    def arrange(world: World) -> None:
        add(world, "a", "b", **(options or {}))
        world.claim()
        for job_id in "ab":
            world.verdict(job_id, kind, **verdict)  # type: ignore[arg-type]

    return arrange


def in_a_pause(arrange: Arrange) -> Arrange:
    def paused(world: World) -> None:
        arrange(world)
        add(world, "y")
        world.server.hset(world.queue.keys.meta, "paused", 1)

    return paused


def without_locks(arrange: Arrange) -> Arrange:
    """A stalled check has put one of them back."""

    def lapsed(world: World) -> None:
        arrange(world)
        keys = world.queue.keys
        world.server.delete(keys.lock("a"), keys.lock("b"))
        world.server.lrem(keys.active, -1, "a")
        world.server.rpush(keys.wait, "a")

    return lapsed


def with_children(world: World) -> None:
    settled("w")(world)
    world.server.sadd(world.queue.keys.dependencies("a"), world.queue.keys.job("c"))


def failed(policy: tuple[int, float, int]) -> Arrange:
    def arrange(world: World) -> None:
        claimed(world, "a", "b")
        world.policies = [policy]
        for job_id in "ab":
            world.verdict(job_id, "f", a="why", b="[]", c=1)

    return arrange


def deduplicated(world: World) -> None:
    """The last of those that came while it ran becomes a job of its own."""
    add(world, "a")
    keys, server = world.queue.keys, world.server
    server.hset(keys.job("a"), "deid", "x")
    server.set(keys.deduplication("x"), "a")
    facts = {"name": "job", "data": "{}", "opts": '{"attempts":0}', "jid": "n"}
    server.hset(keys.base + "dn:x", mapping=facts)
    world.claim()
    world.verdict("a", "c")


def child_of(place: str, kind: str, on_failure: str = "", policy: tuple[int, float, int] = KEEP_ALL) -> Arrange:
    """The last child of `p`, which waits in this queue or in another one."""

    def arrange(world: World) -> None:
        owner = world.queue if place == "here" else world.parents
        keys, server = world.queue.keys, world.server
        owner.add("p")
        server.lrem(owner.keys.wait, 0, "p")
        server.zadd(owner.keys.waiting_children, {"p": 1})
        server.sadd(owner.keys.dependencies("p"), keys.job("a"))
        add(world, "a")
        parent = {"id": "p", "queueKey": owner.keys.qualified_name, **({on_failure: True} if on_failure else {})}
        server.hset(keys.job("a"), mapping={"parentKey": owner.keys.job("p"), "parent": json.dumps(parent)})
        world.claim()
        world.policies = [policy]
        world.verdict("a", kind, a="why", b="[]" if kind == "f" else "", c=1 if kind == "f" else "")

    return arrange


FAILED = ["failed"]
ONCE, AGAIN = 1, 2
Expected = dict[str, tuple[list[str], int]]
BOTH_AGAIN: Expected = {"a": (KEPT, AGAIN), "b": (KEPT, AGAIN)}
THREE: Expected = {"k": (KEPT, ONCE), "a": (KEPT, ONCE), "b": (KEPT, ONCE), "c": (KEPT, ONCE), "z": (KEPT, ONCE)}

VERDICTS: dict[str, tuple[Arrange, Expected]] = {
    "completed, all kept": (completed(), THREE),
    "completed, removed": (completed(REMOVE), {**THREE, "a": (GONE, ONCE), "c": (GONE, ONCE)}),
    "completed, the newest kept": (completed(KEEP_ONE), {"b": (KEPT, ONCE), "z": (KEPT, ONCE)}),
    "completed, the young kept": (completed(KEEP_AGE), {**THREE, "k": (GONE, ONCE)}),
    "completed, more than go on": (from_the_middle("bcd", KEEP_ALL), dict.fromkeys("abcde", (KEPT, ONCE))),
    "completed, fewer than go on": (
        from_the_middle("bc", REMOVE),
        {**dict.fromkeys("ade", (KEPT, ONCE)), **dict.fromkeys("bc", (GONE, ONCE))},
    ),
    "completed, no locks": (without_locks(settled("c")), {"a": (KEPT, ONCE), "b": (KEPT, ONCE)}),
    "completed, paused": (in_a_pause(settled("c")), {"a": (KEPT, ONCE), "b": (KEPT, ONCE), "y": (KEPT, ONCE)}),
    "failed": (failed(KEEP_ALL), {"a": (FAILED, ONCE), "b": (FAILED, ONCE)}),
    "failed, removed": (failed(REMOVE), {"a": (GONE, ONCE), "b": (GONE, ONCE)}),
    "retried": (settled("r", a="LPUSH"), BOTH_AGAIN),
    "retried, prioritized": (settled("r", {"priority": 3}, a="RPUSH"), BOTH_AGAIN),
    "retried, paused": (in_a_pause(settled("r", a="RPUSH")), {**BOTH_AGAIN, "y": (KEPT, ONCE)}),
    "retried, no locks": (without_locks(settled("r", a="LPUSH")), BOTH_AGAIN),
    "delayed": (settled("d", a=5000, b="0"), BOTH_AGAIN),
    "snoozed": (settled("d", a=5000, b="1"), BOTH_AGAIN),
    "waiting for children": (with_children, {"b": (KEPT, AGAIN)}),
    "given back": (settled("b"), BOTH_AGAIN),
    "given back, prioritized": (settled("b", {"priority": 3}), BOTH_AGAIN),
    "given back, paused": (in_a_pause(settled("b")), {**BOTH_AGAIN, "y": (KEPT, ONCE)}),
    "limited": (settled("l", a=5000), BOTH_AGAIN),
    "deduplicated": (deduplicated, {"a": (KEPT, ONCE), "n": (KEPT, ONCE)}),
    "last child": (child_of("here", "c"), {"a": (KEPT, ONCE), "p": (KEPT, ONCE)}),
    "last child, removed": (child_of("here", "c", policy=REMOVE), {"a": (GONE, ONCE), "p": (KEPT, ONCE)}),
    "last child, parent elsewhere": (child_of("there", "c"), {"a": (KEPT, ONCE), "p": (KEPT, ONCE)}),
    "failed child": (child_of("here", "f", "fpof"), {"a": (FAILED, ONCE), "p": (FAILED, ONCE)}),
    "ignored child": (child_of("there", "f", "idof"), {"a": (FAILED, ONCE), "p": (KEPT, ONCE)}),
    "continued child": (child_of("here", "f", "cpof"), {"a": (FAILED, ONCE), "p": (KEPT, ONCE)}),
    "dropped child": (child_of("here", "f", "rdof", REMOVE), {"a": (GONE, ONCE), "p": (KEPT, ONCE)}),
}


@pytest.mark.parametrize("locks", ["held", "gone"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("state", VERDICTS)
def test_a_verdict_is_written_once(client: redis.Redis, queue_name: str, state: str, fault: Fault, locks: str) -> None:
    """Also if its lock has ended when it is sent again, as the server was away meanwhile."""
    arrange, expected = VERDICTS[state]

    def check(world: World) -> None:
        if locks == "gone":
            world.server.delete(*[world.queue.keys.lock(item.job_id.decode()) for item in world.items])
        world.work_off()
        for job_id, (places, runs) in expected.items():
            found = world.places(job_id) + world.places(job_id, world.parents)
            assert (found, world.runs[job_id]) == (places, runs), job_id
            assert world.exists(job_id) == bool(places), job_id

    after_each(client, queue_name, arrange, fault, check)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("state", CLAIMS)
def test_a_claim_loses_nothing_and_runs_nothing_twice(
    client: redis.Redis, queue_name: str, state: str, fault: Fault
) -> None:
    def check(world: World) -> None:
        world.work_off()
        for job_id in ids_of(world):
            assert (world.places(job_id), world.runs[job_id]) == (KEPT, ONCE), job_id

    after_each(client, queue_name, CLAIMS[state], fault, check)


def after_each(client: redis.Redis, name: str, arrange: Arrange, fault: Fault, check: Check) -> None:
    """`check` a world of each command of the exchange that `arrange` prepares: after that one has erred."""
    for at in itertools.count(1):
        client.flushdb()
        world = World(client, name)
        arrange(world)
        ids = ids_of(world)
        world.run_exchange(at, fault)
        if not (command := was_hit(client)):
            assert at > 5
            return
        try:
            nothing_is_lost(world, ids, fault)
            check(world)
        except AssertionError as error:
            raise AssertionError(f"{command}, command {at}: {error}") from error


def nothing_is_lost(world: World, ids: Sequence[str], fault: Fault) -> None:
    """At once after the fault. What is locked and in `active` is there, wherever else it was left."""
    for job_id in ids:
        places = world.places(job_id)
        assert places or not world.exists(job_id), f"{job_id} is nowhere"
        if places and fault != "all errs from here" and not world.is_locked(job_id):
            assert len(places) == 1, f"{job_id} is in {places}"


def ids_of(world: World) -> list[str]:
    keys = world.server.keys(world.queue.keys.base + "?")
    return sorted(key.decode()[-1] for key in keys)
