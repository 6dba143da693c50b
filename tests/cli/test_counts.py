"""Does `counts` say how many jobs are in each state?"""

from __future__ import annotations

from support.command import Oxcart

from oxcart import Queue
from oxcart.clock import now_ms
from oxcart.connection.link import Server
from oxcart.connection.target import parse_redis_url
from oxcart.queue.unhandled import UnhandledJobs, publish

STATES = {"waiting", "active", "delayed", "prioritized", "waiting-children", "completed", "failed", "paused"}


async def test_counts_as_json_have_every_state(oxcart: Oxcart, queue: Queue) -> None:
    await queue.add("a")
    await queue.add("b", delay_seconds=60)

    done = await oxcart("counts", "--json")

    assert done.code == 0
    assert set(done.json) == {"queue", "counts", "paused", "unhandled"}
    assert done.json["queue"] == queue.name
    assert set(done.json["counts"]) == STATES
    assert (done.json["counts"]["waiting"], done.json["counts"]["delayed"]) == (1, 1)
    assert done.json["paused"] is False
    assert done.err == ""


async def test_counts_for_people_name_the_queue_and_that_it_is_paused(oxcart: Oxcart, queue: Queue) -> None:
    await queue.pause()

    done = await oxcart("counts")

    assert done.code == 0
    assert done.out.splitlines()[0] == f"Queue {queue.name} (paused)"
    assert {line.split()[0] for line in done.out.splitlines()[2:]} == STATES


async def test_what_waits_without_a_handler_is_shown_as_workers_saw_it(oxcart: Oxcart, queue: Queue) -> None:
    jobs = UnhandledJobs(queue.name, "agent:plan", 40, 1_800_000_000_000, "no handler")
    server = Server(parse_redis_url(oxcart.environ["REDIS_URL"]))
    await publish(server.link("test"), queue.keys, [jobs], by="oxcart-1", now_ms=now_ms())
    await server.close()

    (shown,) = (await oxcart("counts", "--json")).json["unhandled"]
    lines = (await oxcart("counts")).out.splitlines()

    assert {name: shown[name] for name in ("name", "waiting", "since", "reason", "worker")} == {
        "name": "agent:plan",
        "waiting": 40,
        "since": "2027-01-15T08:00:00.000Z",
        "reason": "no handler",
        "worker": "oxcart-1",
    }
    assert lines[-1].split()[:2] == ["40", "agent:plan"]
    assert lines[-1].endswith("no handler")


async def test_another_queue_can_be_named(oxcart: Oxcart, queue: Queue) -> None:
    assert (await oxcart("counts", "--json", "--queue", f"{queue.name}-b")).json["queue"] == f"{queue.name}-b"


async def test_the_first_of_several_queues_is_the_default(oxcart: Oxcart, queue: Queue) -> None:
    done = await oxcart("counts", "--json", JOB_QUEUE_NAME=f"{queue.name}:5,other")

    assert done.json["queue"] == queue.name
