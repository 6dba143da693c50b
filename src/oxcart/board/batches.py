"""How is an action done to many jobs? Beside all else, with progress, a way to stop, and a line in the log."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from oxcart.board.actions import do_one
from oxcart.board.core import Ask, Board
from oxcart.board.verbs import Verb
from oxcart.errors import InvalidInput, OxcartError, StateConflict
from oxcart.own_tasks import start_own_task
from oxcart.queue.search import audit, change_each
from oxcart.telemetry.bus import Emit
from oxcart.telemetry.events import BoardChanged

_KEPT, _MOST_AT_ONCE, _MOST_PROBLEMS, _CHUNK = 50, 4, 20, 200

Jobs = AsyncIterator[tuple[str, list[str]]]
"""(queue, ids of jobs) each."""


@dataclass(slots=True)
class Batch:
    """`state` is running, done, stopped or failed; `total` None while nobody knows. `problems` are the first ones."""

    id: str
    verb: Verb
    what: str
    by: str
    total: int | None
    state: str = "running"
    done: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self.state == "running"


class Batches:
    """Those under way, and the last that were."""

    def __init__(self, board: Board, emit: Emit) -> None:
        self._board, self._emit = board, emit
        self._known: OrderedDict[str, Batch] = OrderedDict()

    def start(self, verb: Verb, ask: Ask, jobs: Jobs, *, what: str, by: str, total: int | None) -> Batch:
        """`jobs` gives those to work on, some at a time. Raises StateConflict if too many batches run."""
        if sum(batch.is_running for batch in self._known.values()) >= _MOST_AT_ONCE:
            raise StateConflict("Several actions on many jobs are under way. Wait until one has ended, or stop it.")
        batch = Batch(secrets.token_hex(8), verb, what, by, total)
        self._known[batch.id] = batch
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        batch.task = start_own_task(self._run(batch, ask, jobs), f"board:{verb.id}")
        return batch

    def get(self, batch_id: str) -> Batch:
        """Raises InvalidInput."""
        if batch_id not in self._known:
            raise InvalidInput(
                "Nothing is known of this action any more: the worker was restarted, or it is long over."
            )
        return self._known[batch_id]

    def stop(self, batch_id: str) -> Batch:
        """What was done stays done."""
        batch = self.get(batch_id)
        if batch.task is not None:
            batch.task.cancel()
        return batch

    async def close(self) -> None:
        running = [batch.task for batch in self._known.values() if batch.task is not None and not batch.task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _run(self, batch: Batch, ask: Ask, jobs: Jobs) -> None:
        by_queue: dict[str, int] = {}
        try:
            found = [(queue, ids) async for queue, ids in jobs]
            batch.total = sum(len(ids) for _, ids in found)
            for queue, ids in found:
                for some in (ids[at : at + _CHUNK] for at in range(0, len(ids), _CHUNK)):
                    by_queue[queue] = by_queue.get(queue, 0) + await self._change(batch, ask, queue, some)
            batch.state = "done"
        except asyncio.CancelledError:
            batch.state = "stopped"
        except OxcartError as error:
            batch.state = "failed"
            batch.problems.append(str(error))
        finally:
            self._emit(BoardChanged(batch.verb.id, batch.what, batch.done, batch.refused, batch.by))
        for queue, done in by_queue.items():
            await audit(self._board.channel(queue), batch.verb.id, batch.what, done, who=batch.by)

    async def _change(self, batch: Batch, ask: Ask, queue: str, ids: list[str]) -> int:
        """A job that moved on meanwhile is no reason to stop; a Redis that is away is. Returns how many were done."""
        channel = self._board.channel(queue)
        changed = await change_each(ids, lambda job_id: do_one(self._board, batch.verb, channel, job_id, ask))
        batch.done += len(changed.done)
        batch.refused += len(changed.problems)
        batch.problems += changed.problems[: _MOST_PROBLEMS - len(batch.problems)]
        return len(changed.done)
