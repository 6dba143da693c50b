"""How does an account hold its rows? Computed ones until they are changed, with sorted keys for every order of a list.

A key is value << 31 | id in an array of 64-bit numbers: 150 000 rows take a few megabytes, and a page is a slice.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

Row = dict[str, Any]

_ID_BITS = 31
_ID_MASK = (1 << _ID_BITS) - 1


class Order:
    """The ids of a table, sorted by one of its numbers and then by id."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._keys = array("Q")

    def fill(self, values: Iterator[tuple[int, int]]) -> None:
        self._keys = array("Q", sorted(value << _ID_BITS | row_id for value, row_id in values))

    def add(self, row: Row) -> None:
        self._keys.insert(bisect_left(self._keys, self._key(row)), self._key(row))

    def remove(self, row: Row) -> None:
        at = bisect_left(self._keys, self._key(row))
        if at < len(self._keys) and self._keys[at] == self._key(row):
            del self._keys[at]

    def between(self, low: int | None, high: int | None) -> tuple[int, int]:
        """The positions of the rows with low <= value <= high."""
        first = 0 if low is None else bisect_left(self._keys, max(low, 0) << _ID_BITS)
        last = len(self._keys) if high is None else bisect_left(self._keys, max(high + 1, 0) << _ID_BITS)
        return first, max(first, last)

    def ids(self, first: int, last: int) -> list[int]:
        return [key & _ID_MASK for key in self._keys[first:last]]

    def _key(self, row: Row) -> int:
        return int(row[self.name] or 0) << _ID_BITS | int(row["id"])


class Table:
    """One entity's rows. Lists show a change `late` seconds after it was made; reads by id at once.

    `make` computes the row of a number, `stamps` its created_at and updated_at alone.
    """

    def __init__(
        self,
        first_id: int,
        count: int,
        make: Callable[[int], Row],
        stamps: Callable[[int], tuple[int, int]],
        orders: Sequence[str],
    ) -> None:
        self._first_id = first_id
        self._count = count
        self._make = make
        self._next_id = first_id + count
        self._changed: dict[int, Row | None] = {}
        self._listed: dict[int, Row | None] = {}
        self._late: deque[tuple[float, int, Row | None]] = deque()
        self.orders = {name: Order(name) for name in dict.fromkeys(("id", "updated_at", *orders))}
        self.deleted = Order("updated_at")
        self._fill(stamps)

    def new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def get(self, row_id: int, *, as_listed: bool = False) -> Row | None:
        """The row as it is, or as lists still show it; None for one that is not there. Change none: put another."""
        changed = self._listed if as_listed else self._changed
        if row_id in changed:
            return changed[row_id]
        number = row_id - self._first_id
        return self._make(number) if 0 <= number < self._count else None

    def put(self, row_id: int, row: Row | None, visible_at: float) -> None:
        """None takes the row away for good, as a merge does."""
        self._changed[row_id] = row
        self._late.append((visible_at, row_id, row))

    def settle(self, now: float) -> None:
        """Let lists show what is due by now. A change is never shown before one that was made earlier."""
        while self._late and self._late[0][0] <= now:
            _, row_id, row = self._late.popleft()
            self._show(row_id, row)

    def ids(self, after: int = 0) -> Iterator[int]:
        """Of every row that is there and not deleted, as it is, in order."""
        end = self._first_id + self._count
        added = sorted(row_id for row_id in self._changed if row_id >= max(end, after + 1))
        for row_id in chain(range(max(self._first_id, after + 1), end), added):
            row = self._changed.get(row_id, _UNTOUCHED)
            if row is not None and not row.get("is_deleted"):
                yield row_id

    def _show(self, row_id: int, row: Row | None) -> None:
        before = self.get(row_id, as_listed=True)
        if before is not None:
            for order in (self.deleted,) if before.get("is_deleted") else self.orders.values():
                order.remove(before)
        self._listed[row_id] = row
        if row is not None:
            for order in (self.deleted,) if row.get("is_deleted") else self.orders.values():
                order.add(row)

    def _fill(self, stamps: Callable[[int], tuple[int, int]]) -> None:
        numbers = range(self._count)
        known = {"id": None, "created_at": 0, "updated_at": 1}
        for name, order in self.orders.items():
            at = known.get(name, -1)
            if at is None:
                order.fill((self._first_id + number, self._first_id + number) for number in numbers)
            elif at >= 0:
                order.fill((stamps(number)[at], self._first_id + number) for number in numbers)
            else:
                order.fill((int(self._make(number)[name] or 0), self._first_id + number) for number in numbers)


_UNTOUCHED: Row = {}
