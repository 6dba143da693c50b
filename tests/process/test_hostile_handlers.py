"""Can handlers stop a worker, or keep its slots? One process per event loop meets hostile ones of all kinds at random.

The only invariant: thirty good jobs run beside them, all slots are free then, and it is the same process. What cannot
be held is in docs/handlers.md: ends of the process, endless loops, code that replaces parts of ours or of Python.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hostile import AWAITABLES, ERRORS, VALUES
from support.hostile_process import BACKOFFS, DEEDS
from support.http_site import ask
from support.processes import Fleet, WorkerProcess
from support.server import PrivateServer

from oxcart import Queue
from oxcart.testing import wait_until

INNOCENTS = 30
CONCURRENCY = 5


def maybe(names: Any) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(sorted(names))


recipes = st.fixed_dictionaries(
    {
        "validator": st.none() | st.none() | maybe(ERRORS),
        "early": maybe(DEEDS),
        "deed": maybe(DEEDS),
        "awaited": st.none() | maybe(AWAITABLES),
        "error": maybe(ERRORS),
        "value": maybe(VALUES),
        "backoff": st.sampled_from(sorted(BACKOFFS)),
    }
)
hostile_jobs = st.lists(st.tuples(st.sampled_from(["async", "plain"]), recipes), min_size=1, max_size=12)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jobs=hostile_jobs)
def test_innocents_run_beside_whatever_handlers_do(
    jobs: list[tuple[str, dict[str, Any]]], loop: str, fleet: Fleet, fresh_server: PrivateServer, queue_name: str
) -> None:
    worker = fleet.hostile(loop)

    asyncio.run(run_beside_innocents(worker, fresh_server.url, queue_name, jobs))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_innocents_run_beside_each_misdeed(
    loop: str, fleet: Fleet, fresh_server: PrivateServer, queue_name: str
) -> None:
    worker = fleet.hostile(loop)

    for deed in DEEDS:
        jobs = [("async", {"early": deed}), ("async", {"deed": deed}), ("plain", {"deed": deed})]
        await run_beside_innocents(worker, fresh_server.url, queue_name, jobs)


async def run_beside_innocents(
    worker: WorkerProcess, url: str, queue_name: str, jobs: list[tuple[str, dict[str, Any]]]
) -> None:
    await wait_until(lambda: http_port(worker), describe="it runs", timeout=20)
    async with Queue(queue_name, url) as queue:
        innocents = await queue.add_many([("good", n) for n in range(INNOCENTS // 2)])
        hostile = await queue.add_many(jobs)
        innocents += await queue.add_many([("good", n) for n in range(INNOCENTS // 2, INNOCENTS)])
        for number, job in enumerate(innocents):
            assert await job.result(timeout_seconds=20) == f"{number} ", worker.output[-3000:]
        for job in hostile:
            await wait_until(partial(has_ended, queue, job.id), describe="it has ended", timeout=20)
        await wait_until(lambda: slots_in_use(worker) == 0, describe="all slots are free", timeout=10)
        assert (await queue.counts())["active"] == 0
        await queue.drain(delayed=True)
    assert worker.process.poll() is None


async def has_ended(queue: Queue, job_id: str) -> bool:
    """Or waits for a next attempt that is a lifetime away."""
    state = await queue.state(job_id)
    stored = await queue.get(job_id)
    return state in {"completed", "failed", "unknown"} or (
        state == "delayed" and stored is not None and stored.fields.get("atm") == "1"
    )


def slots_in_use(worker: WorkerProcess) -> int:
    in_use: int = ask(http_port(worker), "/health").content["worker"]["jobsProcessing"]
    return in_use


def http_port(worker: WorkerProcess) -> int:
    """0 before it listens. Beside the log's lines there is what Python itself says of such handlers."""
    found = re.search(r"HTTP answers on port (\d+)", worker.output)
    return int(found[1]) if found else 0
