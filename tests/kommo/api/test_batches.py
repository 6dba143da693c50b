"""Is every row written exactly once, and is it known of each whether it was?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.sandbox import Sandbox

from oxcart.errors import InvalidInput
from oxcart.kommo.batches import write_rows
from oxcart.kommo.client import Client
from oxcart.kommo.failures import ServerTrouble, Unpaid
from oxcart.kommo.pages import Row, walk

NEW = [{"name": f"row {number}"} for number in range(7)]


async def stored(client: Client) -> list[str]:
    """The names of the leads that are not of the seed."""
    names = [row["name"] async for page in walk(client.get, "/leads", "leads", limit=250) for row in page.rows]
    return sorted(name for name in names if name.startswith("row"))


def look_up_in(client: Client) -> Any:
    """By name, as the outbox will by its marker."""

    async def look_up(wanted: Mapping[int, Row]) -> Mapping[int, Row]:
        rows = [row async for page in walk(client.get, "/leads", "leads", limit=250) for row in page.rows]
        by_name = {row["name"]: row for row in rows}
        return {position: by_name[row["name"]] for position, row in wanted.items() if row["name"] in by_name}

    return look_up


async def test_rows_are_written_in_chunks(sandbox: Sandbox, client: Client) -> None:
    written = await write_rows(client, "POST", "/leads", "leads", NEW, chunk=3)

    assert sorted(written.saved) == list(range(7))
    assert (written.refused, written.unknown, written.error) == ({}, set(), None)
    assert len(sandbox.world.seen) == 3
    assert (await client.find(f"/leads/{written.saved[5]['id']}"))["name"] == "row 5"


async def test_wrong_rows_are_taken_out_and_the_others_written(client: Client) -> None:
    rows: list[Row] = [{"name": "row 0"}, {"name": 1}, {"name": "row 2"}, {"name": "row 3", "status_id": 5}]

    written = await write_rows(client, "POST", "/leads", "leads", rows)

    assert sorted(written.saved) == [0, 2]
    assert {position: problems[0].path for position, problems in written.refused.items()} == {1: "name", 3: "status_id"}
    assert await stored(client) == ["row 0", "row 2"]


async def test_a_refusal_that_names_no_row_is_narrowed_down(sandbox: Sandbox, client: Client) -> None:
    await sandbox.control("POST", "/faults", {"kind": "413", "method": "POST", "times": 1})

    written = await write_rows(client, "POST", "/leads", "leads", NEW[:4])

    assert sorted(written.saved) == [0, 1, 2, 3]
    assert [seen.status for seen in sandbox.world.seen] == [413, 200, 200]


@pytest.mark.parametrize(("kind", "after_doing"), [("lost", True), ("504", True), ("504", False), ("truncate", True)])
async def test_a_lost_answer_to_a_post_writes_nothing_twice(
    sandbox: Sandbox, client: Client, kind: str, after_doing: bool
) -> None:
    """Facts 2.4: no idempotency key: look before posting again. 2.3: 504 -> halve the batch."""
    await sandbox.control("POST", "/faults", {"kind": kind, "method": "POST", "after_doing": after_doing})

    written = await write_rows(client, "POST", "/leads", "leads", NEW, chunk=4, look_up=look_up_in(client))

    assert sorted(written.saved) == list(range(7))
    assert (written.unknown, written.error) == (set(), None)
    assert await stored(client) == [row["name"] for row in NEW]
    posts = [seen for seen in sandbox.world.seen if seen.method == "POST" and seen.path == "/api/v4/leads"]
    assert len(posts) == (2 if after_doing else 4)


async def test_without_a_way_to_look_a_lost_post_is_left_open(sandbox: Sandbox, client: Client) -> None:
    await sandbox.control("POST", "/faults", {"kind": "lost", "method": "POST", "skip": 1})

    written = await write_rows(client, "POST", "/leads", "leads", NEW, chunk=3)

    assert (sorted(written.saved), written.unknown) == ([0, 1, 2], {3, 4, 5})
    assert isinstance(written.error, ServerTrouble)
    assert await stored(client) == [row["name"] for row in NEW[:6]], "row 6 was not sent"


async def test_a_patch_is_repeated_in_halves(sandbox: Sandbox, client: Client) -> None:
    """It says what a row is to be: twice is once."""
    rows = [{"id": 20_000_001 + number, "name": f"row {number}"} for number in range(4)]
    await sandbox.control("POST", "/faults", {"kind": "504", "method": "PATCH", "times": 2})

    written = await write_rows(client, "PATCH", "/leads", "leads", rows)

    assert sorted(written.saved) == [0, 1, 2, 3]
    assert await stored(client) == [row["name"] for row in rows]


async def test_a_server_that_stays_in_trouble_is_left_alone(sandbox: Sandbox, client: Client) -> None:
    await sandbox.control("POST", "/faults", {"kind": "500", "method": "PATCH", "times": 99})

    written = await write_rows(client, "PATCH", "/leads", "leads", [{"id": 20_000_001, "name": "x"}])

    assert isinstance(written.error, ServerTrouble)
    assert written.unknown == {0}
    assert len(sandbox.world.seen) < 12


async def test_what_no_repetition_helps_against_stops_the_rest(sandbox: Sandbox, client: Client) -> None:
    await sandbox.control("POST", "/faults", {"kind": "402", "method": "POST", "skip": 1})

    written = await write_rows(client, "POST", "/leads", "leads", NEW, chunk=2)

    assert (sorted(written.saved), written.unknown) == ([0, 1], set())
    assert isinstance(written.error, Unpaid)
    assert len(sandbox.world.seen) == 2


async def test_the_caller_s_rows_are_left_as_they_are(client: Client) -> None:
    rows = [{"name": "row 0"}]

    await write_rows(client, "POST", "/leads", "leads", rows)

    assert rows == [{"name": "row 0"}]
    assert (await write_rows(client, "POST", "/leads", "leads", [])).saved == {}


@pytest.mark.parametrize("chunk", [0, 251])
async def test_a_chunk_that_kommo_refuses_is_not_sent(sandbox: Sandbox, client: Client, chunk: int) -> None:
    with pytest.raises(InvalidInput):
        await write_rows(client, "POST", "/leads", "leads", NEW, chunk=chunk)

    assert not sandbox.world.seen
