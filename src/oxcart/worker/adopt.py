"""What of jobs that were claimed for us, but whose reply was lost? Found by our token on their lock, and taken up.

After an unanswered exchange `active` and its locks are scanned at once and with each renewal, for one lock duration:
the server may execute the request long after we gave it up. Only tokens of exchanges given up count.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from oxcart import clock
from oxcart.errors import OxcartError, Unavailable
from oxcart.protocol.exchange import ClaimedRun
from oxcart.telemetry.events import JobAdopted
from oxcart.worker.common import Common
from oxcart.worker.intake import Intake
from oxcart.worker.served_queue import ServedQueue

AGAIN_SECONDS = 1.0
_LOCKS_PER_REQUEST = 1000
_FACTS = ("name", "opts", "ats", "atm", "priority", "data", "timestamp", "processedOn")
_RARE_FACTS = ("rjk", "parentKey", "defa", "stacktrace", "stc")  # the order of ClaimedRun.rest


@dataclass(slots=True)
class _GivenUp:
    """One exchange without an answer. Its time begins with the first scan that the server answers, however long the
    outage was: only then can the server execute what had been on its way.
    """

    queue: ServedQueue
    until: float = math.inf
    is_looked_for: bool = False


class Adopter:
    """Remembers the tokens given up, and adopts jobs that carry one."""

    def __init__(self, common: Common, intake: Intake) -> None:
        self._common = common
        self._link = common.link
        self._lock_seconds = common.settings.lock_duration_ms / 1000
        self._intake = intake
        self._given_up: dict[bytes, _GivenUp] = {}
        self._expected = asyncio.Event()
        self._scanning = asyncio.Lock()

    def expect(self, queue: ServedQueue, token: str) -> None:
        """Look for what an unanswered exchange may have claimed, now and for one lock duration."""
        self._given_up[token.encode()] = _GivenUp(queue)
        self._expected.set()

    async def run(self) -> None:
        """Scan at once, and with each renewal while there is a token to look for."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rest_seconds()):
                    await self._expected.wait()
            self._expected.clear()
            await self._common.server.wait_until_ready()
            await self.scan()
            now = clock.monotonic()
            self._given_up = {token: given_up for token, given_up in self._given_up.items() if given_up.until > now}

    def _rest_seconds(self) -> float | None:
        """A second look soon: a claim behind a blocked pop may be executed until that ends."""
        if not self._given_up:
            return None
        is_new = any(not given_up.is_looked_for for given_up in self._given_up.values())
        return min(self._lock_seconds / 3, AGAIN_SECONDS) if is_new else self._lock_seconds / 3

    async def scan(self, only: ServedQueue | None = None) -> None:
        """Adopt what is there now. An unreachable server is not an error: the next scan looks.

        One scan at a time: what another one has adopted may have ended before this one looks at what it has read.
        """
        async with self._scanning:
            for queue in {given_up.queue for given_up in self._given_up.values()}:
                if only in (None, queue):
                    await self._scan(queue)

    async def scan_within(self, seconds: float) -> None:
        """Scan as far as the time allows; what is not adopted then comes back when its lock ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.scan()

    async def _scan(self, queue: ServedQueue) -> None:
        expected = [given_up for given_up in self._given_up.values() if given_up.queue is queue]
        try:
            ids: list[bytes] = await self._link.request("LRANGE", queue.keys.active, 0, -1)
            unknown = [job_id for job_id in ids if job_id not in queue.held]
            for start in range(0, len(unknown), _LOCKS_PER_REQUEST):
                await self._adopt_some(queue, unknown[start : start + _LOCKS_PER_REQUEST])
        except Unavailable:
            return
        except OxcartError:
            pass  # it is answered, and will be answered so again: the stalled check is left
        for given_up in expected:
            given_up.is_looked_for = given_up.until < math.inf
            given_up.until = min(given_up.until, clock.monotonic() + self._lock_seconds)

    async def _adopt_some(self, queue: ServedQueue, ids: Sequence[bytes]) -> None:
        base = queue.keys.base.encode()
        locks = await self._link.request("MGET", *(base + job_id + b":lock" for job_id in ids))
        ours = [(job_id, lock) for job_id, lock in zip(ids, locks, strict=True) if lock in self._given_up]
        if not ours:
            return
        commands = [("HMGET", base + job_id, *_FACTS, *_RARE_FACTS) for job_id, _ in ours]
        for (job_id, lock), facts in zip(ours, await self._link.requests(commands), strict=True):
            if isinstance(facts, Exception) or job_id in queue.held:
                continue
            name, opts, ats, atm, priority, data, timestamp, processed_on, *rest = facts
            rest.append(None)  # its trial, if any, is not known here: it gets another
            run = ClaimedRun(name or b"", opts, int(ats or 0), atm, priority, 0, rest, (job_id, data, timestamp))
            self._common.emit(JobAdopted(queue.name, job_id.decode("utf-8", "replace")))
            self._intake.take(queue, [run], lock.decode(), int(processed_on or 0), int(processed_on or 0))
