"""Are all workers back soon after a server has refused to work for long, when their back-offs have grown?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from support.pacing import let_pass
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.starts import Starts
from support.watched import watched_worker

from oxcart import Queue
from oxcart.testing import wait_until

WORKERS = 8
RESUMES_WITHIN_SECONDS = 5.0  # design, promise 6


def is_script(command: bytes) -> bool:
    return b"\r\nEVAL" in command[:24].upper()


def writes(command: bytes) -> bool:
    return is_script(command) or any(
        name in command[:24].upper() for name in (b"\r\nBZPOPMIN", b"\r\nPING", b"\r\nZADD")
    )


REFUSALS: dict[str, tuple[bytes, Callable[[bytes], bool] | None]] = {
    "OOM": (b"-OOM command not allowed when used memory > 'maxmemory'.", is_script),
    "MISCONF": (b"-MISCONF Valkey is configured to save RDB snapshots, but it is unable to persist on disk.", writes),
    "LOADING": (b"-LOADING Valkey is loading the dataset in memory", None),
}


async def claims_of_all_workers(code: str, fault_seconds: float, proxy: FaultProxy, url: str, queue: Queue) -> None:
    """Each has one slot, and a job for it waits from the middle of the fault on; a worker that sleeps on is missed."""
    all_starts = [Starts() for _ in range(WORKERS)]
    async with AsyncExitStack() as stack:
        watched = [
            await stack.enter_async_context(watched_worker(starts.app(), url, queue.name, concurrency=1))
            for starts in all_starts
        ]
        await wait_until(lambda: all(one.status.healthy for one in watched), describe="all are well")
        proxy.refusal, proxy.refused = REFUSALS[code]
        await let_pass(fault_seconds / 2)
        await queue.add_many([("held", n) for n in range(WORKERS)])
        await let_pass(fault_seconds / 2)
        assert not any(one.status.healthy for one in watched)
        proxy.refusal = None
        await wait_until(
            lambda: all(starts.order for starts in all_starts),
            describe="every worker has claimed",
            timeout=RESUMES_WITHIN_SECONDS,
        )
        for starts in all_starts:
            starts.go.set()


@pytest.mark.takes_seconds
@pytest.mark.parametrize("code", list(REFUSALS))
async def test_every_worker_claims_within_seconds_of_the_end(
    code: str, proxy: FaultProxy, proxied_url: str, queue: Queue, fresh_server: PrivateServer
) -> None:
    await claims_of_all_workers(code, 10, proxy, proxied_url, queue)


@pytest.mark.slow
@pytest.mark.timeout(420)
@pytest.mark.takes_seconds
@pytest.mark.parametrize("code", list(REFUSALS))
async def test_every_worker_claims_within_seconds_of_the_end_of_five_minutes(
    code: str, proxy: FaultProxy, proxied_url: str, queue: Queue, fresh_server: PrivateServer
) -> None:
    await claims_of_all_workers(code, 330, proxy, proxied_url, queue)
