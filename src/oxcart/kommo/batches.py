"""How are many rows written? In chunks; one whose answer was lost is looked up before any of it is sent again."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oxcart import clock
from oxcart.errors import InvalidInput
from oxcart.kommo.failures import KommoError, Refused, RowProblem, ServerTrouble
from oxcart.kommo.pages import Row, rows_of

if TYPE_CHECKING:
    from oxcart.kommo.client import Client

CHUNK = 50
"""Kommo recommends 50 and allows 250."""

LARGEST_CHUNK = 250

Lookup = Callable[[Mapping[int, Row]], Awaitable[Mapping[int, Row]]]
"""Of these rows (by position), those that Kommo has already, as it has them."""

# Halving 250 rows until the guilty one is alone takes 8; a server in trouble for longer is not written to.
_TROUBLES = 9
_PAUSE_SECONDS = (0.2, 0.6)


@dataclass(slots=True)
class Written:
    """What became of each row, by its position in the caller's list. A row in none of them was not sent.

    `saved` are Kommo's answers (with the id), `refused` what is wrong, `unknown` may have been saved.
    `error` is why writing stopped early.
    """

    saved: dict[int, Row] = field(default_factory=dict)
    refused: dict[int, tuple[RowProblem, ...]] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)
    error: KommoError | None = None


async def write_rows(
    client: Client,
    method: str,
    path: str,
    key: str,
    rows: Sequence[Row],
    *,
    chunk: int = CHUNK,
    look_up: Lookup | None = None,
) -> Written:
    """POST or PATCH rows to a list. Raises nothing of Kommo's: why it stopped early is in the answer.

    Rows that Kommo finds wrong are taken out, and the rest of their chunk is sent without them. After a lost answer
    (504 is one) a PATCH is repeated in halves; of a POST only what `look_up` does not find, nothing without it.
    """
    if not 1 <= chunk <= LARGEST_CHUNK:
        raise InvalidInput(f"Writing {path}: {chunk} rows at once; Kommo allows 1 to {LARGEST_CHUNK}.")
    writer = _Writer(client, method, path, key, rows, look_up)
    for start in range(0, len(rows), chunk):
        await writer.write(range(start, min(start + chunk, len(rows))))
    return writer.written


@dataclass(slots=True)
class _Writer:
    client: Client
    method: str
    path: str
    key: str
    rows: Sequence[Row]
    look_up: Lookup | None
    written: Written = field(default_factory=Written)
    troubles: int = 0

    async def write(self, positions: Sequence[int]) -> None:
        """One chunk, in as many requests as it takes. Does nothing once writing has stopped."""
        if self.written.error is not None or not positions:
            return
        body = [{**self.rows[position], "request_id": str(position)} for position in positions]
        try:
            answer = await self.client.write(self.method, self.path, body)
        except Refused as error:
            await self._write_accepted(positions, error)
        except ServerTrouble as error:
            self.troubles += 1
            await self._write_again(positions, error)
        except KommoError as error:
            self.written.error = error
        else:
            self.troubles = 0
            self._note_saved(positions, rows_of(answer.body, self.key))

    async def _write_accepted(self, positions: Sequence[int], error: Refused) -> None:
        """Without the rows that Kommo names; where it names none, in halves until the wrong one is alone."""
        named: dict[int, list[RowProblem]] = defaultdict(list)
        for problem in error.rows:
            if problem.request_id.isdecimal() and int(problem.request_id) in positions:
                named[int(problem.request_id)].append(problem)
        if len(positions) == 1:
            self.written.refused[positions[0]] = error.rows or (RowProblem(str(positions[0]), "", "", error.hint),)
            return
        if not named:
            await self._write_halves(positions)
            return
        self.written.refused.update((position, tuple(problems)) for position, problems in named.items())
        await self.write([position for position in positions if position not in named])

    async def _write_again(self, positions: Sequence[int], error: ServerTrouble) -> None:
        try:
            missing = await self._not_saved(positions, error)
        except KommoError:
            missing = None  # cannot look either
        if missing is None or self.troubles >= _TROUBLES:
            if error.outcome_unknown:
                self.written.unknown.update(positions if missing is None else missing)
            self.written.error = error
            return
        if missing:
            await asyncio.sleep(clock.uniform(*_PAUSE_SECONDS))
        await self._write_halves(missing)

    async def _write_halves(self, positions: Sequence[int]) -> None:
        middle = (len(positions) + 1) // 2
        await self.write(positions[:middle])
        await self.write(positions[middle:])

    async def _not_saved(self, positions: Sequence[int], error: ServerTrouble) -> Sequence[int] | None:
        """What may be sent again; None if nobody can say."""
        if self.method != "POST" or not error.outcome_unknown:
            return positions
        if self.look_up is None:
            return None
        found = await self.look_up({position: self.rows[position] for position in positions})
        self.written.saved.update(found)
        return [position for position in positions if position not in found]

    def _note_saved(self, positions: Sequence[int], answers: Sequence[Row]) -> None:
        """By request_id, else by the order. What is not in the answer may have been saved."""
        by_request = {str(answer.get("request_id")): answer for answer in answers}
        in_order = len(answers) == len(positions)
        for at, position in enumerate(positions):
            answer = by_request.get(str(position)) or (answers[at] if in_order else None)
            if answer is None:
                self.written.unknown.add(position)
            else:
                self.written.saved[position] = answer
