"""Is a list read to its end, whatever others do to it meanwhile?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sandbox import Sandbox

from oxcart.errors import InvalidInput
from oxcart.kommo.client import Answer, Client
from oxcart.kommo.pages import FiltersIgnored, rows_of, walk, walk_changes
from oxcart_sandbox import Account, SandboxClock, Scenario, World
from oxcart_sandbox.listing import read_query
from oxcart_sandbox.reading import Reads
from oxcart_sandbox.scenario import change_scenario

ALL = [("order[id]", "asc")]


async def test_every_page_is_read(client: Client) -> None:
    pages = [page async for page in walk(client.get, "/contacts", "contacts", ALL, limit=30)]

    assert [page.number for page in pages] == [1, 2, 3, 4, 5, 6, 7]
    assert [row["id"] for page in pages for row in page.rows] == list(range(30_000_001, 30_000_201))
    assert [page.has_more for page in pages] == [True] * 6 + [False]
    assert pages[0].server_time == 1_790_000_000


async def test_parameters_are_sent_with_every_page(sandbox: Sandbox, client: Client) -> None:
    """Facts 2.4: next links may drop parameters: build page N yourself."""
    pages = [page async for page in walk(client.get, "/leads", "leads", [("with", "contacts")], limit=60)]

    assert all("contacts" in row["_embedded"] for page in pages for row in page.rows)
    assert [seen.query for seen in sandbox.world.seen] == [
        "with=contacts&page=1&limit=60",
        "with=contacts&page=2&limit=60",
    ]


async def test_an_empty_list_is_one_empty_page(client: Client) -> None:
    (page,) = [page async for page in walk(client.get, "/events", "events", limit=100)]

    assert (page.rows, page.has_more) == ([], False)


@pytest.mark.parametrize("next_link", ["right", "always", "never"])
@pytest.mark.parametrize(("limit", "sizes"), [(5, [5, 5, 0]), (4, [4, 4, 2]), (10, [10, 0]), (250, [10])])
async def test_a_page_that_is_not_full_is_the_last_whatever_is_linked(
    sandbox: Sandbox, client: Client, next_link: str, limit: int, sizes: list[int]
) -> None:
    """Facts 9: some lists always have a next link, some full pages lack it."""
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"next_link": next_link})

    found = [len(page.rows) async for page in walk(client.get, "/companies", "companies", ALL, limit=limit)]

    assert found == sizes


@pytest.mark.parametrize("next_link", ["always", "never"])
async def test_changes_are_walked_whatever_is_linked(sandbox: Sandbox, client: Client, next_link: str) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"next_link": next_link})

    pages = [page async for page in walk_changes(client.get, "/contacts", "contacts", since=0, limit=7)]

    assert len({row["id"] for page in pages for row in page.rows}) == 200
    assert len(pages) <= 38


async def test_a_list_that_cuts_its_pages_is_read_to_its_end(sandbox: Sandbox, client: Client) -> None:
    """Its link to itself names the limit that it took."""
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"page_rows": 4})

    found = [len(page.rows) async for page in walk(client.get, "/companies", "companies", ALL, limit=250)]

    assert found == [4, 4, 2]


async def test_a_list_that_breaks_off_behind_a_full_page_is_asked_again(sandbox: Sandbox, client: Client) -> None:
    """A 204 there was met by others; what is behind it would never be read by a first walk."""
    sandbox.world.faults.plan({"kind": "empty", "path": "/api/v4/contacts", "skip": 2})
    found = [row["id"] async for page in walk(client.get, "/contacts", "contacts", ALL, limit=30) for row in page.rows]

    sandbox.world.faults.plan({"kind": "empty", "path": "/api/v4/contacts", "skip": 2})
    changed = walk_changes(client.get, "/contacts", "contacts", since=0, limit=30)
    ids = {row["id"] async for page in changed for row in page.rows}

    assert found == list(range(30_000_001, 30_000_201))
    assert ids == set(found)


@pytest.mark.parametrize("limit", [0, 251])
async def test_a_limit_that_kommo_refuses_is_not_sent(sandbox: Sandbox, client: Client, limit: int) -> None:
    with pytest.raises(InvalidInput):
        _ = [page async for page in walk(client.get, "/leads", "leads", limit=limit)]

    assert not sandbox.world.seen


async def test_all_changes_are_read_also_those_of_one_second(sandbox: Sandbox, client: Client) -> None:
    """Facts 2.4: ties are normal: 20 contacts share a second, more than a page of 7."""
    pages = [page async for page in walk_changes(client.get, "/contacts", "contacts", since=0, limit=7)]

    ids = [row["id"] for page in pages for row in page.rows]
    assert sorted(set(ids)) == list(range(30_000_001, 30_000_201))
    assert len(ids) < 210


async def test_a_time_that_is_still_to_come_is_read(sandbox: Sandbox, client: Client) -> None:
    """Integrations set updated_at as they like; 12 such rows are more than a page."""
    now = sandbox.world.clock.seconds()
    for number in range(12):
        sandbox.demo.edit("contacts", 30_000_001 + number, {"name": "Ahead", "updated_at": now + 86_400 + number // 9})

    pages = [page async for page in walk_changes(client.get, "/contacts", "contacts", since=now - 60, limit=5)]

    assert {row["id"] for page in pages for row in page.rows} >= set(range(30_000_001, 30_000_013))


async def rows_in(pages: list[list[int]], *, since: int, until: int) -> list[Any]:
    """A list that answers so whatever it is asked; ids are numbered through."""
    ids, answers = iter(range(1000)), iter(pages)

    async def get(_path: str, _query: Any) -> Answer:
        times = next(answers)
        rows = [{"id": next(ids), "updated_at": at} for at in times]
        return Answer(200, {"_embedded": {"contacts": rows}}, until)

    walk_of_all = walk_changes(get, "/contacts", "contacts", since=since, limit=3)
    return [(page.resume_at, len(page.rows)) async for page in walk_of_all]


async def test_each_page_says_where_a_walk_can_begin_again() -> None:
    assert await rows_in([[1, 2, 5], [5, 6]], since=0, until=1000) == [(5, 3), (None, 2)]


async def test_a_second_in_pages_is_begun_again_as_a_whole() -> None:
    found = await rows_in([[5, 5, 5], [5, 5, 5], [5], [5, 5, 5], [9]], since=0, until=1000)

    assert [at for at, _ in found] == [5, 5, 5, 6, None]


@pytest.mark.parametrize("pages", [[[700, 699, 701]], [[1, 700, 650], [2]]])
async def test_a_list_that_ignores_its_filter_or_order_is_noticed(pages: list[list[int]]) -> None:
    """A cursor taken from such a list would skip rows for good."""
    with pytest.raises(FiltersIgnored):
        await rows_in(pages, since=700 if pages[0][0] == 700 else 0, until=1000)


async def test_a_row_that_was_edited_while_its_page_was_made_does_not_move_the_cursor() -> None:
    """Its place in the list is the old one; its time is now."""
    found = await rows_in([[100, 1000, 300], [300, 400]], since=0, until=1000)

    assert [at for at, _ in found] == [300, None]


# Which row: the first six share one second, so half of all changes go there.
edits = st.lists(
    st.tuples(st.sampled_from(["edit", "delete", "add"]), st.integers(0, 5) | st.integers(0, 59), st.integers(0, 3)),
    max_size=4,
)
BEGUN_AT = 1_790_000_000


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 99), limit=st.integers(1, 12), steps=st.lists(edits, max_size=40))
async def test_a_walk_of_changes_misses_no_row_that_stayed(seed: int, limit: int, steps: list[list[Any]]) -> None:
    """Edits, deletions and additions between any two requests: what was not touched is seen. What was, belongs to the
    next walk, which begins where this one ended.
    """
    clock = SandboxClock(start_at=BEGUN_AT, speed=0)
    account = World(contacts=60, leads=5, seed=seed, clock=clock).accounts[0]
    pending = iter(steps)

    async def get(_path: str, query: Any) -> Answer:
        for kind, number, seconds in next(pending, []):
            clock.advance(seconds)
            change(account, kind, 30_000_001 + number)
        account.settle()
        pairs = [(name, str(value)) for name, value in query]
        body = Reads(account, Scenario(), clock).rows("contacts", "/contacts", pairs)
        return Answer(200 if body else 204, body, clock.seconds())

    walk_of_all = walk_changes(get, "/contacts", "contacts", since=0, limit=limit)
    seen = {row["id"] async for page in walk_of_all for row in page.rows}

    stayed = {row["id"] for row in account.truth("contacts") if row["updated_at"] < BEGUN_AT}
    assert stayed <= seen
    pending = iter(())
    next_walk = walk_changes(get, "/contacts", "contacts", since=BEGUN_AT, limit=limit)
    seen |= {row["id"] async for page in next_walk for row in page.rows}
    assert {row["id"] for row in account.truth("contacts")} <= seen


def change(account: Account, kind: str, row_id: int) -> None:
    row = account.table("contacts").get(row_id)
    if kind == "add":
        account.add("contacts", {"name": "new"})
    elif row is not None and not row["is_deleted"]:
        if kind == "edit":
            account.edit("contacts", row_id, {"name": "edited"})
        else:
            account.delete("contacts", row_id)


async def test_a_large_account_takes_hardly_more_requests_than_pages() -> None:
    clock = SandboxClock(start_at=BEGUN_AT, speed=0)
    account = World(contacts=20_000, leads=0, clock=clock).accounts[0]

    async def get(_path: str, query: Any) -> Answer:
        pairs = [(name, str(value)) for name, value in query]
        body = Reads(account, Scenario(), clock).rows("contacts", "/contacts", pairs)
        return Answer(200 if body else 204, body, clock.seconds())

    pages = [page async for page in walk_changes(get, "/contacts", "contacts", since=0)]

    assert len({row["id"] for page in pages for row in page.rows}) == 20_000
    assert len(pages) <= 80 * 1.1


async def test_a_second_with_many_rows_is_read_there_and_back(client: Client) -> None:
    """20 contacts of one second in pages of 6, the last of all: there 4, back 3."""
    pages = walk_changes(client.get, "/contacts", "contacts", since=1_764_547_200, limit=6)

    sizes = [len(page.rows) async for page in pages]

    assert sizes == [6, 6, 6, 2, 0, 0, 0, 0]


async def test_pages_by_number_do_miss_rows_which_is_why() -> None:
    """The same in page numbers: a deletion behind us shifts a row over the edge."""
    clock = SandboxClock(start_at=1_790_000_000, speed=0)
    account = World(contacts=20, leads=0, clock=clock).accounts[0]

    async def get(_path: str, query: Any) -> Answer:
        pairs = [(name, str(value)) for name, value in query]
        body = Reads(account, Scenario(), clock).rows("contacts", "/contacts", pairs)
        account.delete("contacts", next(account.truth("contacts"))["id"])
        account.settle()
        return Answer(200 if body else 204, body, None)

    seen = {row["id"] async for page in walk(get, "/contacts", "contacts", ALL, limit=5) for row in page.rows}

    assert len(seen) < 20


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"_embedded": []}, {"_embedded": None}, {"_embedded": {"leads": None}}, {"_embedded": {}},
        {"_embedded": {"leads": {}}}, {"_links": []}, {"_links": {"next": None}},
    ],
)  # fmt: skip
def test_php_s_empty_things_are_empty(body: Any) -> None:
    """Facts 2.5: an empty object as [], null lists."""
    assert rows_of(body, "leads") == []


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=10)), max_size=5))
def test_any_query_string_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    from oxcart_sandbox.listing import BadQuery

    try:
        query = read_query(pairs, filters=True)
    except BadQuery:
        return
    assert query.page >= 1
