"""What happens after an outage, before a queue claims again? Verdicts, locks, lost claims; each queue by itself.

The order matters: a verdict that was sent before is confirmed first, for only then is it known which locks are left to
renew; and what an unanswered claim may have brought is looked for before new claims could hide it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from oxcart.connection.link import Link
from oxcart.errors import OxcartError
from oxcart.worker.adopt import Adopter
from oxcart.worker.common import Common
from oxcart.worker.locks import LockRenewer
from oxcart.worker.served_queue import ServedQueue
from oxcart.worker.stalled import Caretaker


class Recovery:
    """Takes each queue from `recovering` to claiming; a further outage on the way begins it anew. `links` are those
    that carry the worker's name.
    """

    def __init__(
        self,
        common: Common,
        locks: LockRenewer,
        adopter: Adopter,
        caretaker: Caretaker,
        links: Mapping[ServedQueue, Link],
    ) -> None:
        self._dispatch = common.dispatch
        self._server = common.server
        self._lock_seconds = common.settings.lock_duration_ms / 1000
        self._locks = locks
        self._adopter = adopter
        self._caretaker = caretaker
        self._links = links
        self._outages = 0
        self._lost = {queue: asyncio.Event() for queue in self._dispatch.queues}

    def redis_lost(self) -> None:
        self._outages += 1
        for queue in self._dispatch.queues:
            queue.recovering = True
            queue.fetching.is_answered = False
            self._lost[queue].set()
        self._dispatch.tell()

    async def run(self, queue: ServedQueue) -> None:
        dispatch, server = self._dispatch, self._server
        while True:
            if not queue.recovering:
                await self._lost[queue].wait()
            self._lost[queue].clear()
            await server.wait_until_ready()
            outages = self._outages
            await self._recover(queue)
            if server.connected and self._outages == outages:
                queue.forget_foreign()
                queue.recovering = False
                dispatch.hint(queue)

    async def _recover(self, queue: ServedQueue) -> None:
        """A queue that the server refuses to work on keeps its verdicts: its claims come behind them anyway."""
        dispatch, loop = self._dispatch, asyncio.get_running_loop()
        while self._server.connected and queue.outbox.has_unconfirmed and queue.refusal is None:
            await dispatch.rest()
        if queue.held:
            await self._locks.renew_now()
            self._caretaker.hold_off_until = loop.time() + self._lock_seconds
        await self._adopter.scan(queue)
        with contextlib.suppress(OxcartError):  # then only lists of workers, as bull-board's, miss us until we block
            await self._links[queue].open()
