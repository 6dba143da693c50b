"""The same as test_faulty_commands.py for the other scripts: adds, checks, renewals, schedules, repairs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import pytest
import redis
from redis.exceptions import ResponseError

from oxcart.protocol.renew import renew_command
from oxcart.protocol.scripts import Argument, Command, Script, ScriptCall, carefully, ours
from oxcart.queue.adding import many_call, prepare, upstream_call
from oxcart.queue.advance_schedules import advance_call
from oxcart.queue.repair_search import script_keys as repair_keys
from oxcart.queue.repeats import Repeat
from oxcart.queue.schedules import template_of, upsert_call

from .faulty import FAULTS, Fault, faulty, was_hit
from .queue_of_ours import NOW_MS
from .world import World, check_stalled_command

Prepared = tuple[Script, Command]

Arrange = Callable[[World], Prepared]

DAY_MS = 86_400_000


def prepared(call: ScriptCall) -> Prepared:
    return call.script, call.command


def pushed(world: World, place: str, *job_ids: str) -> None:
    """Jobs that are in this list, or set, and nowhere else."""
    keys, server = world.queue.keys, world.server
    for job_id in job_ids:
        world.queue.add(job_id)
        server.lrem(keys.wait, 0, job_id)
        if place in ("wait", "paused", "active"):
            server.lpush(keys.state(place), job_id)
        else:
            server.zadd(keys.state(place), {job_id: (world.queue.now_ms - DAY_MS) * 4096})


# ------------------------------------------------------------------------------------------------ adds
def added(**options: object) -> Arrange:
    def arrange(world: World) -> Prepared:
        keys, now = world.queue.keys, world.queue.now_ms
        extra = {"delay_seconds": 5} if options.get("mixed") else {}
        more = [prepare(keys, "job", {}, {"job_id": job_id, **extra}, now) for job_id in "cd"]
        given = {name: value for name, value in options.items() if name != "mixed"}
        jobs = [prepare(keys, "job", {}, {"job_id": job_id, **given}, now) for job_id in "ab"]
        return prepared(many_call(keys, jobs + more))

    return arrange


def added_alone(waits_for_children: bool = False, **options: object) -> Arrange:
    def arrange(world: World) -> Prepared:
        keys, server, now = world.queue.keys, world.server, world.queue.now_ms
        if "parent" in options:
            pushed(world, "waiting-children", "p")
            server.sadd(keys.dependencies("p"), keys.job("other"))
        given = {**options, **({"parent": {"id": "p", "queue": keys.name}} if "parent" in options else {})}
        job = prepare(keys, "job", {}, {"job_id": "a", **given}, now)
        return prepared(upstream_call(keys, job, waits_for_children=waits_for_children))

    return arrange


def added_beside(place: str, **deduplication: object) -> Arrange:
    """`b` is there, and has the same deduplication id."""

    def arrange(world: World) -> Prepared:
        keys, server, now = world.queue.keys, world.server, world.queue.now_ms
        given = {"job_id": "b", "deduplication": {"id": "x", **deduplication}, "delay_seconds": 5}
        call = upstream_call(keys, prepare(keys, "job", {}, given, now))
        server.eval(call.script.source, len(call.keys), *call.keys, *call.args)
        if place == "active":
            server.zrem(keys.delayed, "b")
            server.lpush(keys.active, "b")
        return prepared(upstream_call(keys, prepare(keys, "job", {}, {**given, "job_id": "a"}, now)))

    return arrange


def paused(arrange: Arrange) -> Arrange:
    def arranged(world: World) -> Prepared:
        world.server.hset(world.queue.keys.meta, "paused", 1)
        world.queue.add("y")
        return arrange(world)

    return arranged


# ------------------------------------------------------------------------------------------------ a dead worker's jobs
def stalled(world: World) -> Prepared:
    pushed(world, "active", "a", "b")
    world.server.sadd(world.queue.keys.stalled, "a", "b")
    world.queue.add("c")
    return ours("check_stalled"), check_stalled_command(world.queue)


def lapsed(place: str) -> Arrange:
    """Locks that are gone while the handlers run."""

    def arrange(world: World) -> Prepared:
        keys, server = world.queue.keys, world.server
        for job_id in "ab":
            world.queue.add(job_id)
        world.claim()
        server.delete(keys.lock("a"), keys.lock("b"))
        if place != "active":
            server.lrem(keys.active, 0, "a")
            server.rpush(keys.state(place), "a")
        return ours("renew"), renew_command(keys, list(world.held.values()), 60_000)

    return arrange


# ------------------------------------------------------------------------------------------------ the rest
def pausing(event: str) -> Arrange:
    def arrange(world: World) -> Prepared:
        keys = world.queue.keys
        pushed(world, "wait", "a", "b")
        pushed(world, "paused", "c")
        if event == "resumed":
            world.server.hset(keys.meta, "paused", 1)
        named = (keys.wait, keys.paused, keys.meta, keys.prioritized, keys.events, keys.delayed, keys.marker)
        return prepared(ScriptCall(ours("pause"), named, (event, "1")))

    return arrange


def following(push: str) -> Arrange:
    def arrange(world: World) -> Prepared:
        keys = world.queue.keys
        world.server.hset(keys.meta, "paused", 1)
        pushed(world, "paused", "a", "b")
        pushed(world, "wait", "c")
        return prepared(ScriptCall(ours("follow_pause"), (keys.wait, keys.paused, keys.meta), (push, "c")))

    return arrange


def repairing(script: str, *args: Argument, place: str | None = None) -> Arrange:
    def arrange(world: World) -> Prepared:
        keys, server = world.queue.keys, world.server
        pushed(world, "wait", "a")
        if script == "repair_overdue":
            pushed(world, "delayed", "b")
            pushed(world, "delayed", "c")
            server.hset(keys.job("c"), "priority", 2)
        elif script == "repair_parents":
            pushed(world, "waiting-children", "b", "c")
            server.hset(keys.job("c"), "delay", 5000)
        elif script == "repair_pause":
            pushed(world, "paused", "b")
        elif script == "repair_lost":
            pushed(world, "wait", "b")
            server.lrem(keys.wait, 0, "b")
        elif script == "repair_ghosts":
            server.rpush(keys.wait, "ghost-1", "ghost-2")
        named = (*repair_keys(keys), *((keys.state(place),) if place else ()))
        return prepared(ScriptCall(ours(script), named, (keys.base, "1", *args)))

    return arrange


def retrying(world: World) -> Prepared:
    """A failed job, by hand."""
    keys = world.queue.keys
    pushed(world, "failed", "a")
    world.server.hset(keys.job("a"), mapping={"finishedOn": 1, "processedOn": 1, "failedReason": "why", "atm": 1})
    named = (
        *(keys.job("a"), keys.events, keys.failed, keys.wait, keys.meta, keys.active, keys.marker, keys.prioritized),
        keys.pc,
    )
    args = ("a", "LPUSH", "failedReason", "failed", "1", "1")
    return prepared(ScriptCall(carefully("reprocessJob"), named, args))


def promoting(world: World) -> Prepared:
    keys = world.queue.keys
    pushed(world, "delayed", "a")
    named = (
        *(keys.delayed, keys.wait, keys.paused, keys.meta, keys.prioritized, keys.active, keys.pc, keys.events),
        keys.marker,
    )
    return prepared(ScriptCall(carefully("promote"), named, (keys.base, "a")))


NOW = NOW_MS
SCRIPTS: dict[str, Arrange] = {
    "add many": added(),
    "add many, lifo": added(lifo=True, mixed=True),
    "add many, prioritized": added(priority=3, mixed=True),
    "add many, paused": paused(added(mixed=True)),
    "add one that is deduplicated": added_alone(deduplication="x"),
    "add one that is deduplicated, delayed": added_alone(deduplication="x", delay_seconds=5),
    "add one that is deduplicated, prioritized": added_alone(deduplication="x", priority=5),
    "add one for when another has ended": added_beside("active", keepLastIfActive=True),
    "add one that replaces another": added_beside("delayed", ttl=60_000, replace=True),
    "add a child": added_alone(parent=True),
    "check stalled": stalled,
    "check stalled, paused": paused(stalled),
    "renew": lapsed("active"),
    "renew what was put back": lapsed("wait"),
    "renew what was put back, paused": lapsed("paused"),
    "retry": retrying,
    "promote": promoting,
    "pause": pausing("paused"),
    "resume": pausing("resumed"),
    "follow a pause": following("LPUSH"),
    "follow a pause, next": following("RPUSH"),
    "repair overdue": repairing("repair_overdue", NOW, 1000),
    "repair parents": repairing("repair_parents", 0, 1000, NOW),
    "repair pause": repairing("repair_pause"),
    "repair lost": repairing("repair_lost", NOW, "b"),
    "repair ghosts": repairing("repair_ghosts", 0, 1000, place="wait"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("what", SCRIPTS)
def test_every_job_runs_once_after_the_call_was_made_again(
    client: redis.Redis, queue_name: str, what: str, fault: Fault
) -> None:
    for at in itertools.count(1):
        client.flushdb()
        world = World(client, queue_name)
        script, command = SCRIPTS[what](world)
        before = {job_id for job_id in "abcdy" if world.places(job_id)}
        answer = err(world, script, command, at, fault)
        if not (refused := was_hit(client)):
            assert at > 3
            return
        if what == "add one that replaces another":
            before -= {"b"}
        lost = [job_id for job_id in before if not world.places(job_id) and world.exists(job_id)]
        assert not lost, f"{refused}, command {at}: {lost} are lost"
        world.server.script_load(script.source)
        world.server.delete(world.queue.keys.stalled_check)
        if answer is None or script.name in {"renew", "add_many"}:
            world.server.execute_command(*command)
        world.work_off()

        if what == "add one that replaces another":
            assert world.runs["b"] <= 1
        expected = (
            before
            | ({"a", "b", "c", "d"} if script.name == "add_many" else {"a"})
            | ({"b"} if "lost" in what else set())
        )
        for job_id in sorted(expected - {"p"}):
            found = (world.places(job_id), world.runs[job_id])
            assert found == (["completed"], 1), f"{refused}, command {at}: {job_id}: {found}"


def err(world: World, script: Script, command: Command, at: int, fault: Fault) -> object:
    """The answer; None if there was none."""
    try:
        return world.server.execute_command(*faulty(script, command, at, fault))
    except ResponseError as error:
        if "injected" not in str(error):
            raise
        return None


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("repeat", [Repeat(every_seconds=60), Repeat(cron="0 5 * * *")], ids=["every", "cron"])
@pytest.mark.parametrize("step", ["set", "set anew", "advance"])
def test_a_schedule_goes_on(client: redis.Redis, queue_name: str, repeat: Repeat, step: str, fault: Fault) -> None:
    """It has one next job, and says when that is."""
    for at in itertools.count(1):
        client.flushdb()
        world = World(client, queue_name)
        keys, queue = world.queue.keys, world.queue
        template = template_of("job", {}, {})
        call: ScriptCall | None = upsert_call(keys, "s", repeat, template, queue.now_ms)
        assert call is not None
        if step != "set":
            world.server.eval(call.script.source, len(call.keys), *call.keys, *call.args)
            queue.now_ms += 1
            call = upsert_call(keys, "s", repeat, template, queue.now_ms)
        if step == "advance":
            queue.now_ms += DAY_MS
            (current,) = (held.job_id.decode() for held in queue.claim())
            opts = {"repeat": {**repeat.to_wire(), "count": 1}}
            call = advance_call(keys, "s", current, opts, queue.now_ms)
            assert call is not None
        err(world, call.script, call.command, at, fault)
        if not (refused := was_hit(client)):
            assert at > 5
            return
        world.server.eval(call.script.source, len(call.keys), *call.keys, *call.args)

        job_id = f"repeat:s:{world.server.zscore(keys.repeat, 's'):.0f}"
        assert len([place for place in world.places(job_id) if place != "wait"] or [1]) == 1, world.places(job_id)
        queue.now_ms += 2 * DAY_MS
        queue.token = "worker:2"
        handed_out = Counter(held.job_id.decode() for held in queue.claim(10))
        assert handed_out[job_id] == 1, f"{refused}, command {at}"
        if fault != "all errs from here":  # then an earlier run of it may be left, of a call that seemed to fail
            assert len(handed_out) == 1, f"{refused}, command {at}: {handed_out}"
        assert max(handed_out.values()) == 1
