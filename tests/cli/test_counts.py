"""Does `counts` say how many jobs are in each state?"""

from __future__ import annotations

from support.command import Oxcart

from oxcart import Queue

STATES = {"waiting", "active", "delayed", "prioritized", "waiting-children", "completed", "failed", "paused"}


async def test_counts_as_json_have_every_state(oxcart: Oxcart, queue: Queue) -> None:
    await queue.add("a")
    await queue.add("b", delay_seconds=60)

    done = await oxcart("counts", "--json")

    assert done.code == 0
    assert set(done.json) == {"queue", "counts", "paused"}
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


async def test_another_queue_can_be_named(oxcart: Oxcart, queue: Queue) -> None:
    assert (await oxcart("counts", "--json", "--queue", f"{queue.name}-b")).json["queue"] == f"{queue.name}-b"


async def test_the_first_of_several_queues_is_the_default(oxcart: Oxcart, queue: Queue) -> None:
    done = await oxcart("counts", "--json", JOB_QUEUE_NAME=f"{queue.name}:5,other")

    assert done.json["queue"] == queue.name
