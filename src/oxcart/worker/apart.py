"""How do suspects run apart from innocents? In turns, with the door of the whole process closed; suspects.py says who.

A turn waits until nothing else is in hand, begins its jobs, and opens the door again when they have ended, or in time.
What is claimed meanwhile goes back to the queue, for other workers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from oxcart.errors import OxcartError
from oxcart.protocol.suspects import Trial, forget_trial, forget_verdict, read_end, write_acquittal, write_trial
from oxcart.telemetry.events import SuspectsStarted
from oxcart.verdicts import RetryLater, Snoozed, WaitingForChildren
from oxcart.worker.attempt import Attempt
from oxcart.worker.common import Common
from oxcart.worker.failing import failed_unrecoverably
from oxcart.worker.phases import sent
from oxcart.worker.served_queue import ServedQueue
from oxcart.worker.suspects import choose, is_guilty, is_on_trial, reason_of

if TYPE_CHECKING:
    from oxcart.worker.intake import Intake

GROUP_SECONDS = 30.0
"""The door is closed for so long at most before a group begins, and again after: what kills a process mostly does so at
once, and jobs of an hour that a deploy has killed must not hold up the others for hours."""

ALONE_SECONDS = 300.0
"""The same for a job on trial: it was there at several deaths already, and this time it must be seen."""

WRITE_WITHIN_SECONDS = 10.0
WRITE_AGAIN_SECONDS = 0.5


class Apart:
    """The turns of one process."""

    def __init__(self, common: Common, intake: Intake) -> None:
        self._common = common
        self._dispatch = common.dispatch
        self._settings = common.settings
        self._link = common.link
        self._intake = intake
        self._waiting: list[Attempt] = []

    # -------------------------------------------------------------------------------------------- who
    def take(self, queue: ServedQueue, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Closes the door if there are suspects among them. Returns those that were taken here: all others are to go
        back, once the door is closed.
        """
        most_stalls = self._settings.max_stalled_count
        suspects = [each for each in attempts if each.claim.shared.is_suspect and each.spec is not None]
        guilty = [each for each in suspects if is_guilty(each.claim.shared, most_stalls)]
        for attempt in guilty:
            self._intake.prepare(self._blame(queue, attempt), f"blame:{attempt.claim.name}")
        others = [each for each in suspects if each not in guilty]
        if self._dispatch.holds_back or not others:
            return guilty
        chosen = choose(others, self._settings.concurrency, most_stalls)
        self._waiting = chosen
        self._dispatch.holds_back = True
        self._intake.prepare(self._take_turn(queue, chosen), "suspects")
        return guilty + chosen

    def leave(self, queue: ServedQueue) -> list[Attempt]:
        """The worker stops: what has not begun here goes back."""
        leaving = [each for each in self._waiting if queue.held.get(each.claim.job_id) is each]
        self._waiting = [each for each in self._waiting if each not in leaving]
        return leaving

    def acquit(self, queue: ServedQueue, attempt: Attempt) -> None:
        """A suspect's handler has ended, and the job will run again: no longer as a suspect."""
        if attempt.job is not None and isinstance(attempt.verdict, RetryLater | Snoozed | WaitingForChildren):
            command = write_acquittal(queue.keys, attempt.claim.job_id, attempt.claim.shared.stalls)
            self._intake.prepare(self._write([command]), "acquit")

    # -------------------------------------------------------------------------------------------- a turn
    async def _take_turn(self, queue: ServedQueue, turn: Sequence[Attempt]) -> None:
        on_trial = is_on_trial(turn[0].claim.shared, self._settings.max_stalled_count)
        patience = ALONE_SECONDS if on_trial else GROUP_SECONDS
        try:
            await self._until(self._has_nothing_else_in_hand, patience)
            if on_trial and turn[0] in self._waiting:
                await self._open_trial(queue, turn[0])
            begun = self._begin_turn(queue, alone=on_trial)
            await self._until(lambda: all(attempt.ended for attempt in begun), patience)
            if on_trial and self._dispatch.stopping:
                await self._break_off(queue, turn[0])
        finally:
            self._open_door()

    def _has_nothing_else_in_hand(self) -> bool:
        """Not even what has ended and is not written yet: all that is in hand when the process dies becomes suspect."""
        dispatch = self._dispatch
        if any(sent(queue.phase).claims for queue in dispatch.queues):
            return False
        return dispatch.busy == 0 and dispatch.held <= len(self._waiting)

    def _begin_turn(self, queue: ServedQueue, *, alone: bool) -> list[Attempt]:
        waiting, self._waiting = self._waiting, []
        begun: list[Attempt] = []
        now = asyncio.get_running_loop().time()
        for attempt in waiting:
            if attempt.verdict is not None or queue.held.get(attempt.claim.job_id) is not attempt:
                continue
            if now < queue.limited_here_until or not self._dispatch.has_slot(queue):
                queue.giving_back.append(attempt)
            else:
                begun.append(attempt)
        if begun:
            ids = tuple(attempt.claim.job_id.decode("utf-8", "replace") for attempt in begun)
            self._common.emit(SuspectsStarted(queue.name, ids, alone))
        for attempt in begun:
            self._intake.begin(queue, attempt)
        self._dispatch.tell()
        return begun

    def _open_door(self) -> None:
        dispatch = self._dispatch
        self._waiting = []
        dispatch.holds_back = False
        dispatch.full_until = asyncio.get_running_loop().time()  # for /health: nobody has asked for jobs since
        for queue in dispatch.queues:
            dispatch.hint(queue)

    async def _until(self, is_reached: Callable[[], bool], seconds: float) -> None:
        dispatch, loop = self._dispatch, asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        while not (is_reached() or dispatch.stopping or loop.time() >= ends_at):
            await dispatch.rest(ends_at)

    # -------------------------------------------------------------------------------------------- the record
    async def _open_trial(self, queue: ServedQueue, attempt: Attempt) -> None:
        shared, job_id = attempt.claim.shared, attempt.claim.job_id
        commands = [write_trial(queue.keys, job_id, Trial(shared.stalls, self._common.worker_name))]
        if shared.given_up:
            commands.append(forget_verdict(queue.keys, job_id))
        await self._write(commands)

    async def _break_off(self, queue: ServedQueue, attempt: Attempt) -> None:
        """The worker was told to stop: if it is killed for being late, that is not the job's doing."""
        with contextlib.suppress(OxcartError):
            await self._link.request(*forget_trial(queue.keys, attempt.claim.job_id))

    async def _blame(self, queue: ServedQueue, attempt: Attempt) -> None:
        trial = attempt.claim.shared.trial
        assert trial is not None
        commands = (read_end(queue.keys, trial.worker), forget_trial(queue.keys, attempt.claim.job_id))
        try:
            told, _ = await self._link.requests(commands)
        except OxcartError:
            told = None
        if attempt.verdict is None:
            how = told.decode("utf-8", "replace") if isinstance(told, bytes) else None
            attempt.decide_without_running(failed_unrecoverably(attempt.claim, reason_of(how)))

    async def _write(self, commands: Sequence[tuple[bytes | str | int | float, ...]]) -> None:
        """Tried for a while. What cannot be written costs a job another trial, or another turn as a suspect."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + WRITE_WITHIN_SECONDS
        while not self._dispatch.stopping and loop.time() < ends_at:
            try:
                replies = await self._link.requests(commands)
            except OxcartError:
                pass
            else:
                if not any(isinstance(reply, Exception) for reply in replies):
                    return
            await asyncio.sleep(WRITE_AGAIN_SECONDS)
