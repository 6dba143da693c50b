"""What does a child that a handler has forked keep of its worker? No socket, no signal, and no part in its work."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial

import psutil
import pytest
from support.processes import Fleet
from support.store import Store

from oxcart import Queue
from oxcart.testing import wait_until

pytestmark = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@pytest.fixture
def children(fleet: Fleet) -> Iterator[list[psutil.Process]]:
    """Those that a test has seen; killed at its end."""
    seen: list[psutil.Process] = []
    yield seen
    for child in seen:
        if child.is_running():
            child.kill()


async def fork(fleet: Fleet, queue: Queue, children: list[psutil.Process], *jobs: tuple[str, str]) -> list[str]:
    """A child by each of these jobs."""
    added = await queue.add_many(jobs)
    await wait_until(lambda: fleet.count("child") == len(jobs), describe="they have forked")
    children += [psutil.Process(int(note.split()[1])) for note in fleet.effects() if note.startswith("child")]
    return [job.id for job in added]


def sockets_of(process: psutil.Process) -> list[object]:
    return [one for one in process.net_connections() if one.status != psutil.CONN_NONE]


async def test_a_child_that_outlives_its_worker_keeps_no_socket_of_it(
    loop: str, fleet: Fleet, queue: Queue, store: Store, children: list[psutil.Process]
) -> None:
    """The server went on serving the dead worker, and gave the next job to its socket."""
    worker = fleet.hostile(loop)
    await fork(fleet, queue, children, ("fork", "sleep"), ("fork in a thread", "sleep"))
    await wait_until(store.is_watched, describe="the worker waits for jobs")
    # They let go first of all, but somebody has to give them the processor.
    await wait_until(lambda: not any(map(sockets_of, children)), describe="the children hold no socket")
    worker.kill()

    await wait_until(lambda: not store.is_watched(), describe="nobody waits for jobs", timeout=2)
    assert all(child.is_running() for child in children)
    fleet.start()
    added = await queue.add("quick")
    await wait_until(lambda: store.ended([added.id]), describe="the next job has run", timeout=5)
    assert store.number(added.id, "stc") == 0


async def test_a_signal_to_a_child_ends_the_child_alone(
    loop: str, fleet: Fleet, queue: Queue, children: list[psutil.Process]
) -> None:
    """It was written into the pipe from which the worker's loop reads its own signals."""
    worker = fleet.hostile(loop)
    await fork(fleet, queue, children, ("fork", "sleep"), ("fork in a thread", "sleep"))
    for child in children:
        child.send_signal(signal.SIGTERM)
        await wait_until(partial(is_over, child), describe="the child has ended", timeout=3)

    added = await queue.add("good", 1)
    assert await added.result(timeout_seconds=5) == "1 "
    assert worker.process.poll() is None


async def test_a_child_that_comes_back_does_not_work_beside_its_parent(
    loop: str, fleet: Fleet, queue: Queue, store: Store, children: list[psutil.Process]
) -> None:
    worker = fleet.hostile(loop)
    ways = [("fork", "return"), ("fork", "await"), ("fork in a thread", "return")]
    forking = await fork(fleet, queue, children, *ways)
    for child in children:
        await wait_until(partial(is_over, child), describe="the child has ended", timeout=3)

    innocents = await queue.add_many([("good", n) for n in range(30)])
    ids = [*forking, *(job.id for job in innocents)]
    await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=5)
    assert worker.process.poll() is None
    store.assert_ended_once(ids)


def is_over(child: psutil.Process) -> bool:
    """Its parent does not wait for it, so it stays as a zombie."""
    return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
