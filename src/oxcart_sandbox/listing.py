"""Which rows does a list answer with? Filters, order and pages as Kommo has them, by slices where that is possible."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from oxcart_sandbox.account import Account
from oxcart_sandbox.rows import Order, Row, Table
from oxcart_sandbox.scenario import Scenario

LARGEST_PAGE = 250
_DEFAULT_LIMIT = 50

# Tasks cannot be ordered by updated_at; an order that a list does not have is ignored.
_ORDERS = {
    "leads": ("created_at", "updated_at", "id"),
    "contacts": ("updated_at", "id"),
    "companies": ("updated_at", "id"),
    "tasks": ("created_at", "complete_till", "id"),
}
_NOTE_ORDERS = ("updated_at", "id")
_RANGES = ("updated_at", "created_at", "closed_at", "complete_till")
_LISTS = ("pipeline_id", "responsible_user_id", "created_by", "entity_id", "entity_type", "note_type", "is_completed")

Entries = list[tuple[tuple[str, ...], str]]
Test = Callable[[Row], bool]


class BadQuery(Exception):  # noqa: N818 - an answer, not a failure
    """The list refuses; answered with 422 in these words."""


@dataclass(slots=True)
class ListQuery:
    """A list's query string, read. `filters` are by name what stood in further brackets, with its value."""

    page: int = 1
    limit: int = _DEFAULT_LIMIT
    with_: tuple[str, ...] = ()
    order: tuple[str, bool] | None = None  # its name, and whether it is descending
    filters: dict[str, Entries] = field(default_factory=dict)

    def texts(self, name: str) -> list[str]:
        """The values of filter[name], filter[name][] and filter[name][0], also with commas."""
        entries = self.filters.get(name, ())
        return [part for rest, value in entries if not rest or _is_index(rest[0]) for part in value.split(",")]

    def range(self, name: str) -> tuple[int | None, int | None] | None:
        """None if there is no such filter. One number without from and to was seen to find nothing."""
        entries = self.filters.get(name)
        if entries is None:
            return None
        bounds = {rest[0]: _number(value) for rest, value in entries if rest and rest[0] in {"from", "to"}}
        return (bounds.get("from"), bounds.get("to")) if bounds else (1, 0)


def read_query(pairs: Sequence[tuple[str, str]], *, filters: bool, largest: int = LARGEST_PAGE) -> ListQuery:
    """Raises BadQuery for a page or limit that Kommo refuses."""
    query = ListQuery()
    for key, value in pairs:
        name, *rest = re.split(r"\]\[|\[", key.removesuffix("]"))
        if name == "page":
            query.page = _number(value) or 0
        elif name == "limit":
            query.limit = _number(value) or 0
        elif name == "with":
            query.with_ = tuple(value.split(","))
        elif name == "order" and rest:
            query.order = (rest[0], value.lower() == "desc")
        elif name == "filter" and rest and filters:
            query.filters.setdefault(rest[0], []).append((tuple(rest[1:]), value))
    if query.limit > largest:
        raise BadQuery(f"Limit {largest} per page")
    if query.limit < 1 or query.page < 1:
        raise BadQuery("Invalid page or limit")
    return query


def select_rows(account: Account, entity: str, query: ListQuery, scenario: Scenario) -> tuple[list[Row], bool]:
    """One page's rows, and whether there are more."""
    table = account.table(entity)
    if entity == "leads" and "only_deleted" in query.with_:
        ids, more = _slice(table.deleted, query, query.range("updated_at") or (None, None), descending=False)
        rows = (table.get(row_id, as_listed=True) for row_id in ids)
        return [row for row in rows if row is not None], more
    name, descending = _order_of(entity, query)
    tests = _tests(query)
    window = query.range("updated_at")
    is_sliced = not tests and not account.hidden and "id" not in query.filters
    if is_sliced and (window is None or name == "updated_at"):
        ids, more = _slice(table.orders[name], query, window or (None, None), descending=descending)
        return [row for row_id in ids if (row := table.get(row_id, as_listed=True)) is not None], more
    rows_found = _matching(account, entity, query, tests, scenario)
    rows_found.sort(key=lambda row: (row[name] or 0, row["id"]), reverse=descending)
    first = (query.page - 1) * query.limit
    return rows_found[first : first + query.limit], len(rows_found) > first + query.limit


def _slice(
    order: Order, query: ListQuery, window: tuple[int | None, int | None], *, descending: bool
) -> tuple[list[int], bool]:
    first, last = order.between(*window)
    skipped = (query.page - 1) * query.limit
    if descending:
        ids = order.ids(max(first, last - skipped - query.limit), max(first, last - skipped))[::-1]
    else:
        ids = order.ids(min(first + skipped, last), min(first + skipped + query.limit, last))
    return ids, last - first > skipped + query.limit


def _matching(account: Account, entity: str, query: ListQuery, tests: Sequence[Test], scenario: Scenario) -> list[Row]:
    table = account.table(entity)
    if "id" in query.filters:
        wanted = {int(text) for text in query.texts("id") if text.isdecimal()}
        shown = [row_id for row_id in wanted if not account.hides_by_id(entity, row_id, scenario.empty_by_id_seconds)]
        found = _rows(table, sorted(shown), as_listed=scenario.late_by_id)
        window = query.range("updated_at")
        if window is not None:
            tests = [*tests, _in_range("updated_at", window)]
    else:
        order = table.orders["updated_at"]
        found = _rows(table, order.ids(*order.between(*(query.range("updated_at") or (None, None)))), as_listed=True)
    hidden = account.hidden
    return [row for row in found if (entity, row["id"]) not in hidden and all(test(row) for test in tests)]


def _rows(table: Table, ids: Sequence[int], *, as_listed: bool) -> list[Row]:
    rows = (table.get(row_id, as_listed=as_listed) for row_id in ids)
    return [row for row in rows if row is not None and not row["is_deleted"]]


def _tests(query: ListQuery) -> list[Test]:
    """What has to be asked of each row: all filters but the ids and the time of the last change."""
    tests: list[Test] = []
    for name in query.filters:
        window = query.range(name)
        if name in _RANGES and name != "updated_at" and window is not None:
            tests.append(_in_range(name, window))
        elif name in _LISTS:
            tests.append(_among(name, {_plain(text) for text in query.texts(name)}))
        elif name == "statuses":
            tests.append(_in_statuses(query.filters[name]))
    return tests


def _in_range(name: str, window: tuple[int | None, int | None]) -> Test:
    low, high = window
    return lambda row: (low is None or (row.get(name) or 0) >= low) and (high is None or (row.get(name) or 0) <= high)


def _among(name: str, texts: set[str]) -> Test:
    return lambda row: _plain(row.get(name)) in texts


def _in_statuses(entries: Entries) -> Test:
    wanted: dict[str, dict[str, str]] = {}
    for rest, value in entries:
        if len(rest) == 2:
            wanted.setdefault(rest[0], {})[rest[1]] = value
    return lambda row: any(all(_plain(row.get(name)) == text for name, text in one.items()) for one in wanted.values())


def _order_of(entity: str, query: ListQuery) -> tuple[str, bool]:
    name, descending = query.order or ("id", False)
    return (name, descending) if name in _ORDERS.get(entity, _NOTE_ORDERS) else ("id", False)


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _is_index(text: str) -> bool:
    return text == "" or text.isdecimal()


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,15}", text) else None
