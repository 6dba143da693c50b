"""Does the mirror end up with the same, in whatever order and however often it hears of a row?"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from oxcart.kommo.entities import ENTITIES
from oxcart.kommo.store.columns import new_id
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.entity_tables import ENTITY_TABLES
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import reach_database
from oxcart.kommo.store.rows import (
    Scope,
    count_rows,
    strip_tombstones,
    unseen,
    write_rows,
    write_tombstones,
)
from oxcart.kommo.store.typed import row_of
from oxcart.secret import Secret

LEADS, CONTACTS = ENTITIES["leads"], ENTITIES["contacts"]
TABLE = ENTITY_TABLES["crm_leads"]
START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def lead(number: int, *, updated: float = 0, **values: Any) -> dict[str, Any]:
    raw = {"id": number, "name": f"Lead {number}", "price": 100, "status_id": 142, "pipeline_id": 7, "closed_at": None}
    times = {"created_at": int(START.timestamp()), "updated_at": int(moment(updated).timestamp())}
    return raw | times | values


async def write(database: Database, scope: Scope, raws: Iterable[dict[str, Any]], fetched: float, **more: Any) -> Any:
    rows = [row_of(LEADS, raw) for raw in raws]
    async with database.writing("Writing") as connection:
        changed_at = more.pop("changed_at", datetime.now(UTC))
        return await write_rows(
            connection, TABLE, scope, rows, fetched_at=moment(fetched), changed_at=changed_at, **more
        )


async def bury(
    database: Database, scope: Scope, ids: Iterable[str], observed: float, deleted: float | None = None
) -> Any:
    dead = dict.fromkeys(ids, moment(observed if deleted is None else deleted))
    async with database.writing("Writing") as connection:
        return await write_tombstones(
            connection,
            TABLE,
            scope,
            dead,
            observed_at=moment(observed),
            changed_at=datetime.now(UTC),
            source="sweep",
        )


async def stored(database: Database, scope: Scope) -> dict[str, dict[str, Any]]:
    async with database.reading("Asserting") as connection:
        found = await connection.execute(select(TABLE).where(TABLE.c.connection_id == scope.connection_id))
        return {row["external_id"]: dict(row) for row in found.mappings()}


@pytest.fixture
def scope() -> Scope:
    return Scope(new_id())


async def test_a_row_lies_in_typed_columns_and_as_it_came(database: Database, scope: Scope) -> None:
    raw = lead(5, updated=60, price=46333.5, closed_at=int(moment(30).timestamp()), responsible_user_id=8000001)

    changed = await write(database, scope, [raw], 100)

    row = (await stored(database, scope))["5"]
    assert changed == {"5"}
    assert row["raw"] == raw
    assert (row["name"], row["price"], row["status_id"], row["responsible_user_id"]) == (
        "Lead 5",
        46333.5,
        "142",
        "8000001",
    )
    assert (row["remote_updated_at"], row["closed_at"], row["fetched_at"]) == (moment(60), moment(30), moment(100))
    assert row["deleted_at"] is None


@pytest.mark.parametrize("text", ["NUL \x00 in it", "half \ud83d of a pair", "🔑", "a" * 10_000])
async def test_every_text_that_kommo_can_send_is_stored(database: Database, scope: Scope, text: str) -> None:
    await write(database, scope, [lead(1, name=text, custom_fields_values=[{text: [text]}])], 1)

    row = (await stored(database, scope))["1"]
    clean = text.replace("\x00", "\ufffd").replace("\ud83d", "\ufffd")
    assert row["name"] == clean
    assert row["raw"]["custom_fields_values"] == [{clean: [clean]}]


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("price", "12.5", 12.5),
        ("price", [], None),
        ("price", True, None),
        ("score", 2**70, None),
        ("score", "7", 7),
        ("closed_at", 0, None),
        ("closed_at", 10**18, None),
        ("loss_reason_id", 0, None),
        ("status_id", 142, "142"),
        ("name", 12, "12"),
        ("name", {"x": 1}, None),
    ],
)
async def test_a_value_of_another_type_never_costs_the_row(
    database: Database, scope: Scope, field: str, value: Any, expected: Any
) -> None:
    """PHP writes [] for an empty object, and numbers where a text is expected."""
    await write(database, scope, [lead(1, **{field: value})], 1)

    row = (await stored(database, scope))["1"]
    assert row[field] == expected
    assert row["raw"]["id"] == 1


async def test_the_same_row_again_changes_nothing(database: Database, scope: Scope) -> None:
    await write(database, scope, [lead(1)], 1)
    before = await stored(database, scope)

    assert await write(database, scope, [lead(1)], 2) == frozenset()
    assert (await stored(database, scope))["1"]["changed_at"] == before["1"]["changed_at"]


async def test_an_edit_of_the_same_second_that_was_read_later_wins(database: Database, scope: Scope) -> None:
    await write(database, scope, [lead(1, updated=5, name="first")], 5.2)

    await write(database, scope, [lead(1, updated=5, name="second")], 5.9)
    await write(database, scope, [lead(1, updated=5, name="first")], 5.2)

    assert (await stored(database, scope))["1"]["name"] == "second"


async def test_what_was_read_later_wins_though_its_own_time_went_back(database: Database, scope: Scope) -> None:
    """Integrations may set updated_at."""
    await write(database, scope, [lead(1, updated=86_400, name="ahead")], 11)

    assert await write(database, scope, [lead(1, updated=-500, name="set back")], 12) == {"1"}
    assert await write(database, scope, [lead(1, updated=86_400, name="ahead")], 11) == frozenset()

    assert (await stored(database, scope))["1"]["name"] == "set back"


async def test_a_row_twice_in_one_page_is_written_once(database: Database, scope: Scope) -> None:
    raws = [lead(1, updated=5, name="new"), lead(1, updated=4, name="old"), lead(2)]

    assert await write(database, scope, raws, 6) == {"1", "2"}
    assert (await stored(database, scope))["1"]["name"] == "new"


async def test_a_restored_row_is_alive_again_though_its_time_is_older_than_its_deletion(
    database: Database, scope: Scope
) -> None:
    await write(database, scope, [lead(1, updated=5)], 6)
    assert await bury(database, scope, ["1"], observed=21, deleted=20) == {"1"}
    row = (await stored(database, scope))["1"]
    assert (row["deleted_at"], row["deleted_source"], row["name"]) == (moment(20), "sweep", "Lead 1")

    assert await write(database, scope, [lead(1, updated=5)], 30) == {"1"}

    assert (await stored(database, scope))["1"]["deleted_at"] is None


async def test_a_page_read_before_a_deletion_does_not_revive(database: Database, scope: Scope) -> None:
    await bury(database, scope, ["1"], observed=20)

    await write(database, scope, [lead(1, updated=5)], 19)

    row = (await stored(database, scope))["1"]
    assert (row["deleted_at"], row["name"]) == (moment(20), "Lead 1")


async def test_a_late_tombstone_does_not_kill_what_was_met_after_it(database: Database, scope: Scope) -> None:
    await write(database, scope, [lead(1)], 30)

    assert await bury(database, scope, ["1"], observed=20) == frozenset()
    assert (await stored(database, scope))["1"]["deleted_at"] is None


async def test_a_sweep_finds_the_living_that_nobody_met(database: Database, scope: Scope) -> None:
    await write(database, scope, [lead(n) for n in range(1, 7)], 1)
    await bury(database, scope, ["6"], observed=2)
    await write(database, scope, [lead(1), lead(2), lead(3)], 10, run="sweep-1")
    await write(database, scope, [lead(4)], 12)  # by a hook, while the sweep went on

    async with database.reading("Sweeping") as connection:
        suspects = await unseen(connection, TABLE, scope, run="sweep-1", before=moment(10), limit=100)
        counts = await count_rows(connection, TABLE, scope)

    assert suspects == ["5"]
    assert counts == (5, 1)


async def test_old_tombstones_forget_what_the_row_said(database: Database, scope: Scope) -> None:
    await write(database, scope, [lead(1, name="Ann"), lead(2), lead(3)], 1)
    await bury(database, scope, ["1"], observed=10)
    await bury(database, scope, ["2"], observed=1000)

    async with database.writing("Forgetting") as connection:
        assert await strip_tombstones(connection, TABLE, moment(500)) == 1

    rows = await stored(database, scope)
    assert (rows["1"]["raw"], rows["1"]["name"], rows["1"]["deleted_at"]) == (None, None, moment(10))
    assert rows["2"]["raw"] is not None
    await write(database, scope, [lead(1, name="Ann")], 2000)
    assert (await stored(database, scope))["1"]["name"] == "Ann"


async def test_connections_do_not_meet(database: Database) -> None:
    one, other = Scope(new_id()), Scope(new_id())
    await write(database, one, [lead(1, name="one")], 1)
    await write(database, other, [lead(1, name="other")], 1)

    await bury(database, other, ["1"], observed=2)

    assert (await stored(database, one))["1"]["deleted_at"] is None


async def test_tags_of_leads_and_of_contacts_may_have_one_id(database: Database) -> None:
    table, connection_id = ENTITY_TABLES["crm_tags"], new_id()
    for of in ("leads", "contacts"):
        entity = ENTITIES[f"{of}_tags"]
        async with database.writing("Writing") as connection:
            await write_rows(
                connection,
                table,
                Scope(connection_id, "entity_type", of),
                [row_of(entity, {"id": 1, "name": f"tag of {of}", "color": None})],
                fetched_at=moment(1),
                changed_at=moment(1),
            )

    async with database.reading("Asserting") as connection:
        found = await connection.execute(select(table.c.entity_type, table.c.name).order_by(table.c.entity_type))
        assert [tuple(row) for row in found] == [("contacts", "tag of contacts"), ("leads", "tag of leads")]


async def test_two_writers_of_the_same_rows_do_not_block_each_other_for_good(database: Database, scope: Scope) -> None:
    raws = [lead(n) for n in range(200)]

    await asyncio.gather(*(write(database, scope, random.sample(raws, 200), n) for n in range(6)))

    assert len(await stored(database, scope)) == 200


# ------------------------------------------------------------------------------------------------ the property
@dataclass(frozen=True)
class Alive:
    updated: int
    read: int
    name: str


@dataclass(frozen=True)
class Dead:
    read: int


Observation = Alive | Dead


@st.composite
def observations(draw: st.DrawFn) -> list[Observation]:
    """Of one row. One state for each moment: the account does not say two things at once."""
    states = st.tuples(st.integers(0, 5), st.sampled_from("abc"))
    alive = draw(st.dictionaries(st.integers(0, 12), states, max_size=6))
    dead = draw(st.lists(st.integers(0, 12), max_size=4))
    found: list[Observation] = [Alive(updated, read, name) for read, (updated, name) in alive.items()]
    return found + [Dead(read) for read in dead]


def expected(heard: Sequence[Observation]) -> tuple[str | None, bool] | None:
    """What the account says, by hand: what was read last, and whether it was there when last looked."""
    alive = [item for item in heard if isinstance(item, Alive)]
    dead = [item.read for item in heard if isinstance(item, Dead)]
    if not heard:
        return None
    name = max(alive, key=lambda item: item.read).name if alive else None
    is_dead = bool(dead) and (not alive or max(dead) >= max(item.read for item in alive))
    return name, is_dead


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """One database for all examples; each takes a connection id of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('rows') / 'crm.db'}"
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres")
        url = cluster.url(asyncio.run(cluster.make_database()))

    async def prepare() -> None:
        async with reach_database(parse_database_url(Secret(url))) as database:
            await migrate(database)

    asyncio.run(prepare())
    return url


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(heard=st.lists(observations(), min_size=1, max_size=4), data=st.data())
def test_order_and_repetition_do_not_matter(
    module_url: str, heard: list[list[Observation]], data: st.DataObject
) -> None:
    """Pages, hooks, sweeps and repeats after a crash come as they come."""
    events = [(str(number), item) for number, items in enumerate(heard) for item in items]
    events += data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else []
    shuffled = data.draw(st.permutations(events))

    async def play() -> dict[str, dict[str, Any]]:
        database = Database(parse_database_url(Secret(module_url)))
        try:
            scope = Scope(new_id())
            for external_id, item in shuffled:
                if isinstance(item, Alive):
                    raw = lead(int(external_id), updated=item.updated, name=item.name)
                    await write(database, scope, [raw], item.read)
                else:
                    await bury(database, scope, [external_id], item.read)
            return await stored(database, scope)
        finally:
            await database.close()

    rows = asyncio.run(play())

    for number, items in enumerate(heard):
        row = rows.get(str(number))
        found = None if row is None else (row["name"], row["deleted_at"] is not None)
        assert found == expected(items)
