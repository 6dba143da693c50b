"""Does a worker know its queues in time, and cost an empty one nothing?"""

from __future__ import annotations

import time

from support.waiting import wait_until
from support.watched import running_worker

from oxcart import Discard, Job, Oxcart, Queue
from oxcart.worker.phases import Idle


async def test_dead_letters_are_counted_as_they_are_written(redis_url: str, queue_name: str) -> None:
    """/health said 0 for ten minutes, with 3 002 of them."""
    app = Oxcart()

    @app.job("fails")
    async def fails(_: Job) -> None:
        raise Discard("no")

    async with running_worker(app, url=redis_url, queue=queue_name) as worker, Queue(queue_name, redis_url) as queue:
        await wait_until(lambda: worker.status().dead_letters == 0, describe="the queue was looked at once")
        await queue.add_many([("fails", {}) for _ in range(30)])
        began = time.monotonic()
        await wait_until(lambda: worker.status().dead_letters == 30, describe="all of them are counted")

    assert time.monotonic() - began < 60, "long before the queue is looked at again"


async def test_an_empty_queue_is_looked_at_once(redis_url: str, queue_name: str) -> None:
    """What an idle worker costs is promised; the ten minutes until the next look are not waited for here."""
    async with running_worker(Oxcart(), url=redis_url, queue=queue_name) as worker:
        watch, queues = worker._watch, worker._dispatch.queues
        await wait_until(
            lambda: len(watch.facts) == len(queues) and all(isinstance(queue.phase, Idle) for queue in queues),
            describe="every queue was looked at, and found empty",
        )
        for seen in watch._seen.values():
            seen.at -= 120
        assert not any(map(watch._is_due, queues)), "nothing waits"
        queues[0].seen_waiting = True
        assert watch._is_due(queues[0]), "something waits that is not claimed"
