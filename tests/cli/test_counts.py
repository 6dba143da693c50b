"""Does `counts` say how many jobs are in each state?"""

from __future__ import annotations

from support.command import Oxcart

from oxcart import Queue
from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.names import UnhandledJobs
from oxcart.queue.unhandled import publish

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
    assert (done.json["paused"], done.json["unhandled"]) == (False, [])
    assert done.err == ""


async def test_counts_for_people_name_the_queue_and_that_it_is_paused(oxcart: Oxcart, queue: Queue) -> None:
    await queue.pause()

    done = await oxcart("counts")

    assert done.code == 0
    assert done.out.splitlines()[0] == f"Queue {queue.name} (paused)"
    assert {line.split()[0] for line in done.out.splitlines()[2:]} == STATES


async def test_another_queue_can_be_named(oxcart: Oxcart, queue: Queue) -> None:
    assert (await oxcart("counts", "--json", "--queue", f"{queue.name}-b")).json["queue"] == f"{queue.name}-b"


async def test_the_first_of_several_queues_is_the_default(oxcart: Oxcart, queue: Queue) -> None:
    done = await oxcart("counts", "--json", JOB_QUEUE_NAME=f"{queue.name}:5,other")

    assert done.json["queue"] == queue.name


async def test_what_waits_without_a_handler_is_shown_as_the_workers_tell_it(
    oxcart: Oxcart, queue: Queue, redis_url: str
) -> None:
    """The command itself loads no app, and knows of no handler."""
    lacking = UnhandledJobs(queue.name, "crm:x", 2, 1_764_547_200_000, "not possible here", "no DATABASE_URL")
    server = Server(parse_redis_url(redis_url))
    await publish(server.link("test"), queue.keys, [lacking], by="w1")
    await server.close()

    for_people, as_json = await oxcart("counts"), await oxcart("counts", "--json")

    assert for_people.out.splitlines()[-1].split() == (
        ["crm:x", "2", "2025-12-01T00:00:00.000Z", "not", "possible", "here:", "no", "DATABASE_URL"]
    )
    assert as_json.json["unhandled"] == [
        {
            "name": "crm:x",
            "waiting": 2,
            "since": "2025-12-01T00:00:00.000Z",
            "reason": "not possible here",
            "detail": "no DATABASE_URL",
        }
    ]


async def test_a_queue_under_another_prefix_is_named(oxcart: Oxcart, redis_url: str, queue: Queue) -> None:
    async with Queue(queue.name, redis_url, prefix="bull:elsewhere") as other:
        await other.add("x")
        told = await oxcart("counts")
        await other.pause()
        await other.obliterate()

    assert told.code == 0
    assert f"Queues of this name exist under other prefixes: bull:elsewhere:{queue.name}." in told.err
