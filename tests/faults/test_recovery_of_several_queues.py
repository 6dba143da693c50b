"""After an outage, does one queue wait for another? What cannot be handed in must not keep the rest from working."""

from __future__ import annotations

from typing import Any

import pytest
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.starts import Starts
from support.store import Store
from support.watched import watched_worker

from oxcart import Queue
from oxcart.settings import QueueShare
from oxcart.testing import wait_until

RESUMES_WITHIN_SECONDS = 5.0  # docs/guarantees.md, 6
NEVER_SECONDS = 600.0
SETTINGS: dict[str, Any] = {"lock_duration_ms": 30_000, "stalled_interval_ms": 30_000}


@pytest.mark.takes_seconds
async def test_a_verdict_that_cannot_be_handed_in_holds_up_no_other_queue(
    fresh_server: PrivateServer, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """Its finish was under way when the connection broke; when it is back, whatever touches that queue is refused."""
    starts = Starts()
    stuck_name = f"{queue.name}-stuck"
    stuck_store = Store(store.client, stuck_name)
    queues = (QueueShare(stuck_name, None), QueueShare(queue.name, None))
    of_stuck = f"bull:{stuck_name}:wait\r\n".encode()
    async with (
        Queue(stuck_name, fresh_server.url) as stuck,
        watched_worker(starts.app(), proxied_url, queue.name, queues=queues, **SETTINGS) as watched,
    ):
        held = await stuck.add("held")
        await wait_until(lambda: held.id in starts.at, describe="its job runs")

        def is_its_verdict(command: bytes) -> bool:
            """From then on the queue is refused: the worker is back before a test could look."""
            if of_stuck not in command or held.id.encode() not in command:
                return False
            proxy.refused = of_stuck
            proxy.refusal = b"-OOM command not allowed when used memory > 'maxmemory'."
            return True

        proxy.execute_late(is_its_verdict, NEVER_SECONDS)
        starts.go.set()
        await wait_until(lambda: proxy.faults[0].times == 0, describe="its verdict was on its way")
        proxy.refuse()
        proxy.cut()
        await wait_until(lambda: not watched.status.redis.connected, describe="the outage is noticed")
        added = await queue.add("quick")
        proxy.accept()
        await wait_until(
            lambda: store.ended([added.id]), describe="the other queue's job has ended", timeout=RESUMES_WITHIN_SECONDS
        )
        again = await queue.add("quick")
        await wait_until(lambda: store.ended([again.id]), describe="and the next one", timeout=1)
        await wait_until(lambda: watched.status.outbox_verdicts == 1, describe="the other's verdict is kept", timeout=1)
        proxy.refusal = None
        await wait_until(
            lambda: stuck_store.ended([held.id]), describe="the verdict is written", timeout=RESUMES_WITHIN_SECONDS
        )


@pytest.mark.takes_seconds
@pytest.mark.parametrize("cuts", [1, 2, 5])
async def test_an_outage_in_the_middle_of_a_recovery_is_recovered_from(
    cuts: int, fresh_server: PrivateServer, proxy: FaultProxy, proxied_url: str, queue: Queue, store: Store
) -> None:
    """The connection breaks again with the verdict that is handed in first of all."""
    starts = Starts()
    beside_name = f"{queue.name}-beside"
    queues = (QueueShare(queue.name, None), QueueShare(beside_name, None))
    async with (
        Queue(beside_name, fresh_server.url) as beside,
        watched_worker(starts.app(), proxied_url, queue.name, queues=queues, **SETTINGS) as watched,
    ):
        held = await queue.add("held")
        await wait_until(lambda: held.id in starts.at, describe="a job runs")
        proxy.lose_replies(held.id.encode(), times=cuts)
        starts.go.set()
        await wait_until(lambda: proxy.faults[0].times == 0, describe="the recovery has met all cuts", timeout=20)
        added = [await queue.add("quick"), await beside.add("quick")]
        await wait_until(
            lambda: {job.id for job in added} <= starts.at.keys(),
            describe="both queues' jobs have started",
            timeout=RESUMES_WITHIN_SECONDS,
        )
        await wait_until(lambda: store.ended([held.id]), describe="the first has ended", timeout=RESUMES_WITHIN_SECONDS)
        await wait_until(lambda: watched.status.healthy, describe="the worker is well", timeout=RESUMES_WITHIN_SECONDS)
    store.assert_ended_once([held.id])
