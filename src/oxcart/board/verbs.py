"""What is an action? A verb: whom it is offered to, its question, what it asks for, what it does, says, and undoes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from oxcart.board.core import Ask, Board
from oxcart.board.form import Form
from oxcart.language import tr
from oxcart.queue.channel import Channel

Target = Literal["job", "queue", "schedule", "board"]
Input = Literal["text", "number", "duration", "json", "check", "queue", "state", "hidden"]


@dataclass(frozen=True, slots=True)
class Field:
    """What a verb asks for. `label` is a sentence of the catalogue."""

    name: str
    label: str
    kind: Input = "text"
    default: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Undo:
    """Another action that takes this one back, with what it needs."""

    verb: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Done:
    """One sentence about what was done."""

    text: str
    undo: Undo | None = None


@dataclass(frozen=True, slots=True)
class Verb:
    """`states` are those of jobs that it is offered for; `many`: also for those picked and all that match.

    `form`: what it asks for in place of its field `data`, where a worker has published how those look.
    """

    id: str
    target: Target
    label: str
    question: str
    run: Callable[[Board, Ask], Awaitable[Done]]
    states: frozenset[str] = frozenset()
    fields: tuple[Field, ...] = ()
    many: bool = True
    harmful: bool = False
    one: Callable[[Channel, str, Ask], Awaitable[None]] | None = None
    defaults: Callable[[Board, Ask], Awaitable[Mapping[str, str]]] | None = None
    form: Callable[[Board, Ask], Awaitable[Form]] | None = None
    said: str = ""


def job_verb(
    verb_id: str,
    label: str,
    question: str,
    said: str,
    one: Callable[[Channel, str, Ask], Awaitable[None]],
    *,
    undo: Callable[[Board, Ask], Awaitable[Undo | None]] | None = None,
    **more: Any,
) -> Verb:
    """A verb for jobs, of which many can be done one after the other."""

    async def run(board: Board, ask: Ask) -> Done:
        queue, job_id = ask.needed("queue"), ask.needed("id")
        back = await undo(board, ask) if undo is not None else None
        await one(board.channel(queue), job_id, ask)
        return Done(tr(said, id=job_id, queue=queue), back)

    return Verb(verb_id, "job", label, question, run, one=one, said=said, **more)
