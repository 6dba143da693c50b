"""How do the adds of many tasks travel? Together: what gathers while two calls are under way shares the next one.

A lone add is sent at once, by its own task. Others gather until the end of the loop's tick, and longer while two calls
are under way; then one call of add_many.lua takes all of them, within its limits. Each caller gets what became of its
own job: its id, its refusal, or Unavailable at its own deadline. The job of one that has gone is not sent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from oxcart import clock
from oxcart.connection.failures import classify
from oxcart.connection.link import CLOSED
from oxcart.errors import Failure, ServerRefused, Unavailable
from oxcart.language import tr
from oxcart.own_tasks import start_own_task
from oxcart.queue.adding import CHUNK_BYTES, CHUNK_JOBS, NewJob
from oxcart.queue.channel import GRACE_SECONDS, Channel
from oxcart.queue.sending import Delivery, Stored, add_job, adding

_CALLS_UNDER_WAY = 2
"""One is executed while the next is on its way."""


@dataclass(slots=True, eq=False)
class _Caller:
    """One that waits for its job to be added, until `until` (clock.monotonic)."""

    job: NewJob
    until: float
    answered: asyncio.Future[Stored]
    delivery: Delivery | None = None

    @property
    def may_be_stored(self) -> bool:
        return self.delivery is not None and self.delivery.may_be_stored


class Gathering:
    """The adds of one queue, in one event loop. `close` ends what is under way."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._gathered: deque[_Caller] = deque()
        self._calls: dict[asyncio.Task[None], Sequence[_Caller]] = {}
        self._calls_under_way = 0
        self._is_sending_soon = False
        self._expiry: asyncio.TimerHandle | None = None
        self._expires_at = 0.0

    async def add(self, job: NewJob, deadline_seconds: float) -> Stored:
        """As sending.add_job."""
        if not job.is_plain:
            return await add_job(self._channel, job, deadline_seconds)
        if not self._calls_under_way and not self._gathered:
            self._calls_under_way += 1
            try:
                return await add_job(self._channel, job, deadline_seconds)
            finally:
                self._call_ended()
        caller = _Caller(job, clock.monotonic() + deadline_seconds, asyncio.get_running_loop().create_future())
        self._gathered.append(caller)
        self._look_at(caller.until)
        if self._calls_under_way < _CALLS_UNDER_WAY:
            self._send_soon()
        return await caller.answered

    async def close(self) -> None:
        """Whoever waits gets Unavailable."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._fail(self._gathered, CLOSED)
        self._gathered.clear()
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        if calls:
            await asyncio.wait(calls)

    # -------------------------------------------------------------------------------------------- sending
    def _send_soon(self) -> None:
        """At the end of this tick: whoever else adds in it comes along."""
        if not self._is_sending_soon:
            self._is_sending_soon = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._is_sending_soon = False
        while self._calls_under_way < _CALLS_UNDER_WAY and (group := self._take_group()):
            self._calls_under_way += 1
            name = f"add:{self._channel.keys.name}"
            call = start_own_task(self._deliver(group), name)
            self._calls[call] = group
            call.add_done_callback(partial(self._delivered, group))

    def _take_group(self) -> list[_Caller]:
        """The next callers, as many as one call may take."""
        group: list[_Caller] = []
        size = 0
        while self._gathered and len(group) < CHUNK_JOBS:
            caller = self._gathered[0]
            if not caller.answered.done():
                size += caller.job.size
                if group and size > CHUNK_BYTES:
                    break
                group.append(caller)
            self._gathered.popleft()
        return group

    async def _deliver(self, group: Sequence[_Caller]) -> None:
        """One call, tried again as long as one of its callers has time."""
        channel = self._channel
        doing = tr("Adding {count} jobs to queue {queue}", count=len(group), queue=channel.keys.name)
        delivery = Delivery(
            channel, doing, [caller.job for caller in group], is_wanted=lambda at: not group[at].answered.done()
        )
        for caller in group:
            caller.delivery = delivery
        seconds = max(caller.until for caller in group) - clock.monotonic()
        failed: Unavailable | ServerRefused | None = None
        try:
            await channel.persist(doing, delivery.attempt, repeatable=True, deadline_seconds=max(seconds, 0))
        except (Unavailable, ServerRefused) as error:
            failed = error
        for at, answer in delivery.answers.items():
            _settle(
                group[at], self._refusal(group[at], answer.failure) if isinstance(answer, ServerRefused) else answer
            )
        if isinstance(failed, Unavailable):
            delivery.may_be_stored = failed.outcome_unknown
            self._fail(group, failed.failure)
        elif failed is not None:
            for caller in group:
                _settle(caller, self._refusal(caller, failed.failure))

    def _delivered(self, group: Sequence[_Caller], call: asyncio.Task[None]) -> None:
        del self._calls[call]
        if call.cancelled():
            self._fail(group, CLOSED)
        elif (error := call.exception()) is not None:  # a bug: all whom it concerns shall see it
            for caller in group:
                _settle(caller, error)
        self._call_ended()

    def _call_ended(self) -> None:
        self._calls_under_way -= 1
        if self._gathered:
            self._send_soon()

    def _refusal(self, caller: _Caller, failure: Failure) -> ServerRefused:
        return ServerRefused(failure, adding(self._channel, caller.job))

    # -------------------------------------------------------------------------------------------- no answer
    def _fail(self, callers: Iterable[_Caller], failure: Failure) -> None:
        for caller in callers:
            doing = adding(self._channel, caller.job)
            _settle(caller, Unavailable(failure, doing, outcome_unknown=caller.may_be_stored))

    def _look_at(self, until: float) -> None:
        """One timer for all. A call that ends by its own deadline knows more: let it be first."""
        if self._expiry is None or until < self._expires_at:
            if self._expiry is not None:
                self._expiry.cancel()
            self._expires_at = until
            seconds = until + GRACE_SECONDS - clock.monotonic()
            self._expiry = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = clock.monotonic()
        here = [caller for caller in chain(self._gathered, *self._calls.values()) if not caller.answered.done()]
        late = [caller for caller in here if caller.until < now]
        if late:
            server = self._channel.server
            silence = classify(TimeoutError("the calls before it are not answered"), target=server.target)
            self._fail(late, server.failure or silence)
        if len(late) < len(here):
            self._look_at(min(caller.until for caller in here if caller.until >= now))


def _settle(caller: _Caller, answer: Stored | BaseException) -> None:
    if caller.answered.done():
        return
    if isinstance(answer, Stored):
        caller.answered.set_result(answer)
    else:
        caller.answered.set_exception(answer)
