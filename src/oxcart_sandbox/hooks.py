"""How do webhooks leave the sandbox? Lost, twice or in disorder as the scenario says, and repeated."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from oxcart_sandbox.account import Account, Change, Subscription
from oxcart_sandbox.clock import SandboxClock
from oxcart_sandbox.hook_bodies import body_of, setting_of
from oxcart_sandbox.scenario import Scenario

# Before attempts 2 to 5. Only 499 and 5xx get all of them; the others stop after the third.
LADDER_SECONDS = (300.0, 900.0, 900.0, 3600.0)
_ATTEMPTS = 3
_ATTEMPTS_OF_SERVER_ERRORS = 5
_INVALID_WINDOW_SECONDS = 7200.0
_KEPT = 10_000
_BEHIND_SECONDS = 0.2  # of one that the next ones overtake
_MIX_SECONDS = 0.3  # that a body waits for further changes
NO_ANSWER, TIMED_OUT = 0, 499


@dataclass(slots=True)
class Delivery:
    """One body to one receiver. `codes` are the answers so far: 499 for none in time, 0 for none at all."""

    account: Account
    subscription: Subscription
    changes: list[Change]
    id: str
    attempts: int = 0
    codes: list[int] = field(default_factory=list)
    is_over: bool = False


class HookSender:
    """Sends what accounts tell it, in tasks of the loop that serves the API; `close` ends them."""

    def __init__(self, seed: int, clock: SandboxClock, scenario: Callable[[], Scenario]) -> None:
        self.log: deque[Delivery] = deque(maxlen=_KEPT)
        self.dropped = 0
        self._random = Random(seed)
        self._clock = clock
        self._scenario = scenario
        self._due: list[tuple[float, int, Delivery]] = []
        self._held: list[Delivery] = []
        self._mixed: dict[int, Delivery] = {}
        self._order = itertools.count()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    def tell(self, account: Account, change: Change) -> None:
        """A change happened; call it in the loop."""
        setting = setting_of(change)
        for subscription in account.subscriptions:
            if setting in subscription.settings and not subscription.disabled:
                self._queue(account, subscription, change)

    def release(self) -> int:
        """Send what was held; returns how many."""
        held, self._held = self._held, []
        self._mixed.clear()
        for delivery in held:
            self._put(delivery, self._clock.now())
        return len(held)

    @property
    def pending(self) -> int:
        """Not held, and not over: waiting for their first attempt or another, or under way."""
        return len(self._due) + len(self._under_way)

    async def close(self) -> None:
        tasks = [task for task in (self._task, *self._under_way) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ------------------------------------------------------------------------------------------ which, and when
    def _queue(self, account: Account, subscription: Subscription, change: Change) -> None:
        scenario, chance = self._scenario(), self._random.random
        waiting = self._mixed.get(subscription.id)
        if waiting is not None:
            waiting.changes.append(change)
            return
        delivery = self._delivery(account, subscription, [change])
        if chance() < scenario.hook_drop:
            self.dropped += 1
            return
        deliveries = [delivery]
        if chance() < scenario.hook_duplicate:
            deliveries.append(Delivery(account, subscription, delivery.changes, delivery.id))
        is_behind = chance() < scenario.hook_reorder
        delay = _BEHIND_SECONDS if is_behind else 0.0
        if chance() < scenario.hook_mix:
            self._mixed[subscription.id] = delivery
            delay = _MIX_SECONDS
        for one in deliveries:
            if scenario.hooks_held:
                self._held.insert(self._random.randrange(len(self._held) + 1) if is_behind else len(self._held), one)
            else:
                self._put(one, self._clock.now() + delay)

    def _delivery(self, account: Account, subscription: Subscription, changes: list[Change]) -> Delivery:
        return Delivery(account, subscription, changes, str(uuid.UUID(int=self._random.getrandbits(128), version=4)))

    def _put(self, delivery: Delivery, due: float) -> None:
        if delivery.attempts == 0:
            self.log.append(delivery)
        heapq.heappush(self._due, (due, next(self._order), delivery))
        self._woken.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="sandbox:hooks")

    # ------------------------------------------------------------------------------------------ sending
    async def _run(self) -> None:
        import aiohttp

        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "amoCRM-Webhooks/3.0"}
        ) as session:
            while True:
                self._woken.clear()
                if not self._due:
                    await self._woken.wait()
                elif len(self._under_way) >= self._scenario().hook_at_once:
                    await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                elif self._due[0][0] > self._clock.now():
                    await self._sleep_until(self._due[0][0])
                else:
                    _, _, delivery = heapq.heappop(self._due)
                    task = asyncio.create_task(self._attempt(session, delivery), name=f"sandbox:hook:{delivery.id}")
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)

    async def _sleep_until(self, due: float) -> None:
        """Or until something else is due: it may be sooner."""
        waits = [asyncio.create_task(wait) for wait in (self._woken.wait(), self._clock.wait_until(due))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _attempt(self, session: Any, delivery: Delivery) -> None:
        if delivery.subscription.disabled:
            delivery.is_over = True
            return
        if self._mixed.get(delivery.subscription.id) is delivery:
            del self._mixed[delivery.subscription.id]
        delivery.attempts += 1
        code = await self._post(session, delivery)
        delivery.codes.append(code)
        if 100 <= code < 300:
            delivery.is_over = True
            return
        self._note_invalid(delivery.subscription)
        most = _ATTEMPTS_OF_SERVER_ERRORS if code == TIMED_OUT or 500 <= code < 600 else _ATTEMPTS
        if delivery.attempts >= most or delivery.subscription.disabled:
            delivery.is_over = True
        else:
            self._put(delivery, self._clock.now() + LADDER_SECONDS[delivery.attempts - 1])

    async def _post(self, session: Any, delivery: Delivery) -> int:
        import aiohttp

        headers = {"Content-Type": "application/x-www-form-urlencoded", "x-amocrm-requestid": delivery.id}
        body = body_of(delivery.account, delivery.changes)
        timeout = aiohttp.ClientTimeout(total=self._scenario().hook_timeout_real_seconds)
        try:
            async with session.post(
                delivery.subscription.destination, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return int(response.status)
        except TimeoutError:
            return TIMED_OUT
        except aiohttp.ClientError:
            return NO_ANSWER

    def _note_invalid(self, subscription: Subscription) -> None:
        """More than a hundred in two hours, the last one among them: the webhook is disabled."""
        now = self._clock.now()
        subscription.invalid.append(now)
        while subscription.invalid[0] < now - _INVALID_WINDOW_SECONDS:
            subscription.invalid.popleft()
        if len(subscription.invalid) > self._scenario().hook_disable_after:
            subscription.disabled = True


def disable_all(accounts: Iterable[Account]) -> None:
    """A block of an address disables webhooks, too."""
    for account in accounts:
        for subscription in account.subscriptions:
            subscription.disabled = True


def subscribe(account: Account, destination: str, settings: Sequence[str], sort: int, now: int) -> Subscription:
    """Saving a webhook again enables it."""
    for known in account.subscriptions:
        if known.destination == destination:
            known.settings, known.sort, known.disabled = list(settings), sort, False
            known.invalid.clear()
            return known
    made = Subscription(len(account.subscriptions) + 1, destination, list(settings), now, sort)
    account.subscriptions.append(made)
    return made
