"""Does `oxcart repair` say what it found and what it did?"""

from __future__ import annotations

from typing import Any

from support.command import Oxcart

from oxcart import Queue


async def test_a_repair_tells_what_was_wrong_and_what_it_did(oxcart: Oxcart, queue: Queue, redis: Any) -> None:
    await redis.lpush(f"bull:{queue.name}:wait", "gone")

    looked = await oxcart("repair", "--dry-run", "--json")
    done = await oxcart("repair")
    again = await oxcart("repair")

    assert looked.json == {
        "queue": queue.name,
        "dryRun": True,
        "repairs": [
            {
                "kind": "ghosts",
                "found": "`wait` names 1 job whose data is gone.",
                "done": "A repair would take those ids out.",
                "mended": False,
                "count": 1,
                "jobIds": ["gone"],
            }
        ],
    }
    assert done.out == ("ghosts    `wait` names 1 job whose data is gone. Took those ids out.\n          gone\n")
    assert again.out == f"Queue {queue.name}: nothing is broken.\n"
    assert (looked.code, done.code, again.code) == (0, 0, 0)


async def test_lost_jobs_come_back_only_when_asked_for(oxcart: Oxcart, queue: Queue, redis: Any) -> None:
    lost = await queue.add("x")
    await redis.delete(f"bull:{queue.name}:wait")

    told = await oxcart("repair")
    done = await oxcart("repair", "--adopt-lost", "--json")

    assert "--adopt-lost" in told.out
    assert lost.id in told.out
    assert [(each["kind"], each["mended"]) for each in done.json["repairs"]] == [("lost", True)]
    assert await queue.state(lost.id) == "waiting"
