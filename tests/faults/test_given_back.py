"""Does a job that was given back at a stop stay where it was put, whatever was on its way when it was?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.pacing import let_pass
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.starts import Starts
from support.store import Store
from support.watched import watched_worker

from oxcart import Queue
from oxcart.testing import wait_until

STOPS = 24
RENEWED_EVERY_SECONDS = 1.0 / 3  # QUICK's locks hold for a second


async def stop_with_jobs(number: int, url: str, server_url: str, store: Store, queue_name: str) -> None:
    """Four run, the others wait or were claimed ahead; the stop comes while the locks' renewal is on its way."""
    starts = Starts()
    async with Queue(queue_name, server_url) as queue:
        quick = [job.id for job in await queue.add_many([("quick", n) for n in range(60)])]
        ids = [
            job.id for job in await queue.add_many([("held", n) for n in range(4)] + [("quick", n) for n in range(20)])
        ]
    settings: dict[str, Any] = {"concurrency": 4, "max_stalled_count": 0}
    async with watched_worker(starts.app(), url, queue_name, **settings) as watched:
        await wait_until(lambda: starts.at.keys() >= set(ids[:4]), describe="four run")
        await let_pass(RENEWED_EVERY_SECONDS * (1 + number / STOPS))
        await watched.worker.stop()
        here = Store(store.client, queue_name)
        assert here.ids("active") == []
        assert here.ids("wait") == ids
        assert [(here.number(job_id, "atm"), here.number(job_id, "stc")) for job_id in ids] == [(0, 0)] * len(ids)
        assert not store.client.keys(f"{here.base}*:lock")
        assert here.ended(quick)


@pytest.mark.takes_seconds
async def test_what_a_stop_gives_back_is_not_taken_again_by_a_renewal(
    fresh_server: PrivateServer, proxy: FaultProxy, proxied_url: str, queue_name: str, store: Store
) -> None:
    """A renewal takes back a claim whose lock has ended: not one that we have given away ourselves."""
    proxy.delay_ms = 40
    for batch in range(0, STOPS, 6):
        await asyncio.gather(
            *(
                stop_with_jobs(number, proxied_url, fresh_server.url, store, f"{queue_name}-{number}")
                for number in range(batch, batch + 6)
            )
        )
