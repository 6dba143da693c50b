"""Is what is old forgotten, and nothing that is not?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from support.mirror import Mirror

from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.retention import Forgotten, forget_old
from oxcart.kommo.store.own_tables import crm_hooks, crm_outbox
from oxcart.kommo.store.platform_tables import oauth_states
from oxcart.kommo.sync.apply import apply_deleted
from oxcart.settings import load

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def days(count: float) -> datetime:
    return NOW - timedelta(days=count)


async def test_raw_hooks_are_deleted_after_their_days(mirror: Mirror) -> None:
    """More of them than one transaction takes."""
    rows = [
        {"connection_id": mirror.account.connection_id, "body_hash": str(place), "body": "x", "received_at": days(age)}
        for place, age in enumerate([31] * 2001 + [29, 0])
    ]
    async with mirror.database.writing("Arranging") as connection:
        await connection.execute(insert(crm_hooks), rows)

    forgotten = await forget_old(mirror.database, now=NOW)

    async with mirror.database.reading("Asserting") as connection:
        left = sorted((await connection.execute(select(crm_hooks.c.body_hash))).scalars())
    assert forgotten == Forgotten(hooks=2001, rows=0, payloads=0, states=0)
    assert left == ["2001", "2002"]


async def test_deleted_rows_lose_what_they_said_and_stay_deleted(mirror: Mirror) -> None:
    names = ("contacts", "leads_notes", "tasks")
    await mirror.fill(*names)
    async with mirror.database.writing("Arranging") as connection:
        for name in names:
            old, young = map(str, mirror.ids(name)[:2])
            deleted = {old: days(31), young: days(29)}
            await apply_deleted(
                connection, mirror.account, ENTITIES[name], deleted, observed_at=mirror.now(), source="hook"
            )

    forgotten = await forget_old(mirror.database, now=NOW)

    assert forgotten.rows == 3
    for name in names:
        rows = await mirror.rows(name)
        old_row, young_row, living_row = (rows[str(row_id)] for row_id in mirror.ids(name)[:3])
        assert (old_row["raw"], old_row["content_hash"], old_row["name"], old_row["deleted_at"]) == (
            None,
            None,
            None,
            days(31),
        )
        assert young_row["raw"] is not None
        assert (living_row["raw"] is not None, living_row["deleted_at"]) == (True, None)
    assert (await forget_old(mirror.database, now=NOW)).rows == 0


async def test_names_that_rows_point_at_are_kept(mirror: Mirror) -> None:
    """A lead of last year has an owner, a tag and a stage that are gone."""
    names = ("users", "leads_tags", "leads_custom_fields")
    await mirror.fill(*names)
    before = {name: await mirror.rows(name) for name in names}
    async with mirror.database.writing("Arranging") as connection:
        for name in names:
            deleted = dict.fromkeys(before[name], days(31))
            await apply_deleted(
                connection, mirror.account, ENTITIES[name], deleted, observed_at=mirror.now(), source="list"
            )

    await forget_old(mirror.database, now=NOW)

    for name in names:
        after = await mirror.rows(name)
        assert {row["raw"] for row in after.values()} == {None}
        assert {key: row["name"] for key, row in after.items()} == {k: row["name"] for k, row in before[name].items()}


async def test_a_forgotten_row_that_is_restored_says_everything_again(mirror: Mirror) -> None:
    await mirror.fill("contacts")
    row_id = str(mirror.ids("contacts")[0])
    before = (await mirror.rows("contacts"))[row_id]
    async with mirror.database.writing("Arranging") as connection:
        await apply_deleted(
            connection,
            mirror.account,
            ENTITIES["contacts"],
            {row_id: days(40)},
            observed_at=mirror.now(),
            source="sweep",
        )
    await forget_old(mirror.database, now=NOW)
    mirror.later(3600)

    await mirror.fill("contacts")

    after = (await mirror.rows("contacts"))[row_id]
    assert (after["raw"], after["name"], after["deleted_at"]) == (before["raw"], before["name"], None)


async def test_finished_posts_lose_their_text_and_keep_their_key(mirror: Mirror) -> None:
    base = {"connection_id": mirror.account.connection_id, "kind": "note", "marker": "m", "payload": {"text": "x"}}
    posts: list[dict[str, Any]] = [
        {**base, "key": "old", "state": "confirmed", "created_at": days(40), "finished_at": days(31)},
        {**base, "key": "failed", "state": "failed", "created_at": days(40), "finished_at": days(31)},
        {**base, "key": "young", "state": "confirmed", "created_at": days(40), "finished_at": days(29)},
        {**base, "key": "pending", "state": "pending", "created_at": days(40), "finished_at": None},
    ]
    async with mirror.database.writing("Arranging") as connection:
        await connection.execute(insert(crm_outbox), posts)

    first, second = [await forget_old(mirror.database, now=NOW) for _ in range(2)]

    async with mirror.database.reading("Asserting") as connection:
        left = {row.key: row.payload for row in await connection.execute(select(crm_outbox))}
    assert (first.payloads, second.payloads) == (2, 0)
    assert left == {"old": {}, "failed": {}, "young": {"text": "x"}, "pending": {"text": "x"}}


async def test_logins_that_nobody_finished_are_forgotten(mirror: Mirror) -> None:
    base = {"org_id": mirror.account.org_id, "redirect_uri": "https://x.example/", "base_domain": "demo.kommo.com"}
    async with mirror.database.writing("Arranging") as connection:
        for state, ends in (("old", days(0.1)), ("open", NOW + timedelta(minutes=5))):
            await connection.execute(insert(oauth_states).values(**base, state=state, expires_at=ends))

    assert (await forget_old(mirror.database, now=NOW)).states == 1


def test_how_long_things_are_kept_is_a_setting() -> None:
    settings = load({"OXCART_KOMMO_KEEP_HOOKS_DAYS": "7", "OXCART_KOMMO_KEEP_DELETED_DAYS": "90"})

    assert (settings.kommo_keep_hooks_days, settings.kommo_keep_deleted_days) == (7, 90)
    assert (load({}).kommo_keep_hooks_days, load({}).kommo_keep_deleted_days) == (30, 30)
