"""What is removed is gone, and what stays is in one place, whichever command of a removing script errs."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import redis

from oxcart.protocol.scripts import Argument, Command, Script, carefully, eval_command, upstream
from oxcart.queue.adding import prepare, upstream_call

from .faulty import FAULTS, Fault, was_hit
from .queue_of_ours import NOW_MS
from .test_faulty_scripts import err
from .world import World

Prepared = tuple[Script, Command, str]
"""The script, its command, and which jobs it removes."""

PLACES = {"a": "wait", "b": "delayed", "c": "prioritized", "d": "completed", "e": "failed", "f": "wait"}


def arranged(world: World) -> None:
    for job_id, place in PLACES.items():
        world.queue.add(job_id)
        if place != "wait":
            world.server.lrem(world.queue.keys.wait, 0, job_id)
            world.server.zadd(world.queue.keys.state(place), {job_id: NOW_MS - 1000})


def call(script: Script, keys: tuple[Argument, ...], args: tuple[Argument, ...], removes: str) -> Prepared:
    return script, eval_command(script, keys, args), removes


def removing(job_id: str) -> Callable[[World], Prepared]:
    def arrange(world: World) -> Prepared:
        arranged(world)
        keys = world.queue.keys
        return call(carefully("removeJob"), (keys.job(job_id), keys.repeat), (job_id, 0, keys.base), job_id)

    return arrange


def removing_of_a_flow(world: World) -> Prepared:
    """The parent waits for nothing else, and goes on."""
    parents, keys = world.parents, world.queue.keys
    for queue, options, waits in ((parents, {"job_id": "p"}, True), (world.queue, {"job_id": "a"}, False)):
        more = {} if waits else {"parent": {"id": "p", "queue": parents.keys.qualified_name}}
        job = prepare(queue.keys, "job", {}, {**options, **more}, queue.now_ms)
        world.server.execute_command(*upstream_call(queue.keys, job, waits_for_children=waits).whole)
    return call(carefully("removeJob"), (keys.job("a"), keys.repeat), ("a", 0, keys.base), "a")


def draining(world: World) -> Prepared:
    arranged(world)
    keys = world.queue.keys
    named = (keys.wait, keys.paused, keys.delayed, keys.prioritized, keys.repeat)
    return call(upstream("drain"), named, (keys.base, "1"), "abcf")


def cleaning(state: str, removes: str) -> Callable[[World], Prepared]:
    def arrange(world: World) -> Prepared:
        arranged(world)
        keys = world.queue.keys
        named, args = (keys.state(state), keys.events, keys.repeat), (keys.base, NOW_MS + 1000, 10, state)
        script = (carefully if state == "wait" else upstream)("cleanJobsInSet")
        return call(script, named, args, removes)

    return arrange


def obliterating(world: World) -> Prepared:
    arranged(world)
    world.server.hset(world.queue.keys.meta, "paused", 1)
    return call(upstream("obliterate"), (world.queue.keys.meta, world.queue.keys.base), (100, ""), "abcdef")


SCRIPTS: dict[str, Callable[[World], Prepared]] = {
    **{f"remove from {place}": removing(job_id) for job_id, place in PLACES.items()},
    "remove a child": removing_of_a_flow,
    "drain": draining,
    "clean wait": cleaning("wait", "af"),
    "clean delayed": cleaning("delayed", "b"),
    "clean prioritized": cleaning("prioritized", "c"),
    "clean completed": cleaning("completed", "d"),
    "obliterate": obliterating,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("what", SCRIPTS)
def test_a_removal_that_errs_leaves_each_job_whole_or_gone(
    client: redis.Redis, queue_name: str, what: str, fault: Fault
) -> None:
    for at in itertools.count(1):
        client.flushdb()
        world = World(client, queue_name)
        script, command, removes = SCRIPTS[what](world)
        ids = [job_id for job_id in "abcdefp" if world.exists(job_id)]
        err(world, script, command, at, fault)
        if not (refused := was_hit(client)):
            assert at > 3 or fault == "growth is refused from here"
            return

        world.server.script_load(script.source)
        world.server.execute_command(*command)

        for job_id in ids:
            places = world.places(job_id) + world.places(job_id, world.parents)
            found = (world.exists(job_id), len(set(places)))  # twice in its list, a claim passes over the second one
            expected = (False, 0) if job_id in removes else (True, 1)
            assert found == expected, f"{refused}, command {at}: {job_id}: {found} {places}"
