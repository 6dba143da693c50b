"""Can a person add a tree of jobs, and a schedule, and see what is there?"""

from __future__ import annotations

import json
from pathlib import Path

from support.command import Oxcart

from oxcart import Queue


async def test_a_flow_is_added_from_a_file_and_shown(oxcart: Oxcart, queue: Queue, tmp_path: Path) -> None:
    tree = {"name": "root", "children": [{"name": "leaf", "data": {"n": 1}, "options": {"attempts": 3}}]}
    (tmp_path / "flow.json").write_text(json.dumps(tree))

    added = await oxcart("flow", "add", str(tmp_path / "flow.json"), "--json")
    shown = await oxcart("flow", "show", added.json["id"])

    (leaf,) = added.json["children"]
    assert await queue.state(added.json["id"]) == "waiting-children"
    assert shown.out == (
        f"{added.json['id']}  root  {queue.name}  not ended\n  {leaf['id']}  leaf  {queue.name}  not ended\n"
    )
    stored = await queue.get(leaf["id"])
    assert stored is not None
    assert (stored.data, stored.options.attempts) == ({"n": 1}, 3)


async def test_a_broken_file_is_shown_where_it_breaks(oxcart: Oxcart, tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text('{"name": root}')

    broken = await oxcart("flow", "add", str(tmp_path / "flow.json"))
    missing = await oxcart("flow", "add", str(tmp_path / "none.json"))

    assert (broken.code, "FILE is no JSON at line 1, column 10" in broken.err) == (64, True)
    assert (missing.code, "cannot be read" in missing.err) == (64, True)


async def test_a_schedule_is_added(oxcart: Oxcart, queue: Queue) -> None:
    added = await oxcart(
        *("schedules", "add", "nightly", "--cron", "0 3 * * *", "--tz", "europe/madrid"),
        *("--name", "sync", "--data", '{"all": true}', "--attempts", "4"),
    )
    refused = await oxcart("schedules", "add", "odd", "--cron", "0 99 * * *")

    (schedule,) = await queue.schedules()
    assert (schedule.id, schedule.name, schedule.cron, schedule.tz) == ("nightly", "sync", "0 3 * * *", "europe/madrid")
    assert added.out.strip() == f"repeat:nightly:{schedule.next_ms}"
    assert (refused.code, "the hour 99 is not within 0 to 23" in refused.err) == (64, True)
