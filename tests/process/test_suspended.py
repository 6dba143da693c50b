"""What does a worker do that slept for longer than its locks lasted, as on a laptop whose lid was closed?"""

from __future__ import annotations

import signal

from support.processes import Fleet
from support.store import Store

from oxcart import Queue
from oxcart.testing import wait_until

JOBS = 5


async def test_what_it_held_is_run_once_more_and_ended_once(fleet: Fleet, queue: Queue, store: Store) -> None:
    """Its locks ended and another worker has the jobs: awake, it writes nothing of them, and goes on with others."""
    ids = [added.id for added in await queue.add_many([("slow", 1.0)] * JOBS)]
    sleeper = fleet.start()
    await wait_until(lambda: fleet.count("started") == JOBS, describe="it runs them")
    sleeper.signal(signal.SIGSTOP)
    other = fleet.start()
    await wait_until(lambda: store.ended(ids), describe="the other worker has ended them", timeout=30)

    sleeper.signal(signal.SIGCONT)
    await wait_until(lambda: len(sleeper.events("job.abandoned")) == JOBS, describe="it has given them up")
    assert other.terminate(within_seconds=10) == 0
    more = [added.id for added in await queue.add_many([("quick", n) for n in range(JOBS)])]
    await wait_until(lambda: store.ended(more), describe="it runs others")

    assert set(fleet.effects().values()) <= {1, 2}
    store.assert_ended_once(ids, stalled=None)
    store.assert_ended_once(more)
