"""What does every page of the board share? The way to Redis, the sampler, what is under way, and what the plan says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oxcart.board.access import Session
from oxcart.board.door import BoardPlan
from oxcart.board.form import FieldProblems
from oxcart.board.sampler import Sampler
from oxcart.board.veil import veiled_json, veiled_text
from oxcart.connection.server import Server
from oxcart.doctor.run import Diagnosis
from oxcart.errors import InvalidInput
from oxcart.language import tr
from oxcart.queue.channel import Channel

_LONGEST_ID = 2000


@dataclass(slots=True)
class Board:
    """One process's board. `diagnosis` is the doctor's last look, with its time."""

    plan: BoardPlan
    server: Server
    sampler: Sampler
    diagnosis: tuple[int, Diagnosis] | None = None
    examining: asyncio.Task[Any] | None = None
    searches: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def channel(self, name: str) -> Channel:
        return self.sampler.channel(name)

    @property
    def now_ms(self) -> int:
        return self.server.clock.now_ms()


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants to see: the fields of an address or a form, and what the one who asks may see and do."""

    fields: Mapping[str, str]
    may_change: bool
    unveiled: bool
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        return self.fields.get(name, default).strip()

    def needed(self, name: str) -> str:
        """Raises InvalidInput if it is not given."""
        value = self.fields.get(name, "")
        if not value or len(value) > _LONGEST_ID:
            raise InvalidInput(tr('This needs "{name}"; go back to the list, and choose from there.', name=name))
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Raises InvalidInput for what is no whole number within the bounds."""
        text = self.get(name)
        if not text:
            return default
        if not text.lstrip("-").isdecimal() or len(text) > 16 or not low <= int(text) <= high:
            raise FieldProblems({name: tr("A whole number from {low} to {high} is needed.", low=low, high=high)})
        return int(text)

    def many(self, name: str) -> tuple[str, ...]:
        return self.lists.get(name, ())

    # -------------------------------------------------------------------------------------------- behind the veil
    def text(self, text: str | None) -> str:
        return "" if text is None else text if self.unveiled else veiled_text(text)

    def json_text(self, text: str | None) -> str:
        return "" if text is None else text if self.unveiled else veiled_json(text)


def ask_of(board: Board, session: Session, fields: Mapping[str, str], lists: Mapping[str, tuple[str, ...]]) -> Ask:
    return Ask(fields, session.may_change, session.unveiled or not board.plan.veil, lists)


Load = Callable[[Board, Ask], Any]
