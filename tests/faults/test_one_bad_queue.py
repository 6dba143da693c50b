"""Does one queue whose keys are broken harm its neighbour? Keys of a wrong type, and keys that an ACL refuses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from support.invariants import BREAKABLE
from support.proxy import FaultProxy
from support.server import PrivateServer
from support.starts import Starts
from support.store import Store
from support.watched import watched_worker

from oxcart import Queue
from oxcart.settings import QueueShare
from oxcart.testing import wait_until

STARTS_WITHIN_SECONDS = 2.0  # promised is 1 s, on a machine that has time; before, it took 20 s, or for ever
MENDED_WITHIN_SECONDS = 5.0  # docs/guarantees.md, 6: claims resume so soon after the end of a fault
JOBS = 4


class BadQueue:
    """A queue with two jobs, one of whose keys cannot be used."""

    def __init__(self, store: Store, server: PrivateServer, name: str) -> None:
        self.client = store.client
        self.server = server
        self.name = name

    def take_type(self, key: str) -> None:
        self.client.set(f"bull:{self.name}:{key}", "not what it should be")

    def refuse(self, refused: str, *, good: str) -> None:
        """The user `worker` may use every key but this one."""
        names = "wait active paused delayed prioritized completed failed waiting-children repeat marker meta id pc"
        allowed = [
            *names.split(),
            "events",
            "limiter",
            "stalled",
            "stalled-check",
            "de:*",
            "metrics:*",
            "ox*",
            "repeat:*",
        ]
        allowed.remove(refused)
        keys = [f"~bull:{self.name}:{key}" for key in allowed]
        self.client.execute_command(
            *("ACL", "SETUSER", "worker", "reset", "on", ">sesame", "+@all", "&*", f"~bull:{good}:*", "~bull:oxcart:*"),
            *keys,
        )

    def mend(self) -> None:
        for key in BREAKABLE:
            if self.client.type(f"bull:{self.name}:{key}") == "string":
                self.client.delete(f"bull:{self.name}:{key}")
        if "worker" in self.client.acl_users():
            self.client.execute_command("ACL", "SETUSER", "worker", "allkeys")


@pytest.fixture
def bad(store: Store, fresh_server: PrivateServer, queue_name: str) -> Iterator[BadQueue]:
    bad = BadQueue(store, fresh_server, f"{queue_name}-bad")
    yield bad
    bad.mend()


@pytest.mark.takes_seconds
@pytest.mark.parametrize("key", BREAKABLE)
@pytest.mark.parametrize("fault", ["wrong type", "refused by an ACL"])
@pytest.mark.parametrize("distance_ms", [0, 80])
async def test_every_job_of_the_good_queue_runs_within_a_second(
    key: str,
    fault: str,
    distance_ms: int,
    fresh_server: PrivateServer,
    proxy: FaultProxy,
    proxied_url: str,
    queue: Queue,
    store: Store,
    bad: BadQueue,
) -> None:
    """With jobs claimed ahead and without, in turn: that is where a claim behind a failed pop may be lost."""
    starts = Starts()
    async with Queue(bad.name, fresh_server.url) as producer:
        await producer.add_many([("quick", n) for n in range(2)])
    url = proxied_url
    if fault == "wrong type":
        bad.take_type(key)
    else:
        bad.refuse(key, good=queue.name)
        url = f"redis://worker:sesame@127.0.0.1:{proxy.port}/0"
    proxy.delay_ms = distance_ms / 2
    settings: dict[str, Any] = {
        "queues": (QueueShare(bad.name, None), QueueShare(queue.name, None)),
        "prefetch": (BREAKABLE.index(key) + (fault == "wrong type")) % 2 == 0,
    }
    async with watched_worker(starts.app(), url, queue.name, **settings) as watched:
        await wait_until(lambda: watched.status.exchanges, describe="it works")
        ids = []
        for _ in range(JOBS):
            added = await queue.add("quick")
            asked_at = time.monotonic()
            ids.append(added.id)
            await wait_until(partial(starts.at.get, added.id), describe="it has started", timeout=3)
            assert starts.at[added.id] - asked_at < STARTS_WITHIN_SECONDS
        await wait_until(lambda: store.ended(ids), describe="all have ended", timeout=2)
    store.assert_ended_once(ids)


@pytest.mark.takes_seconds
@pytest.mark.parametrize("key", BREAKABLE)
@pytest.mark.parametrize("fault", ["wrong type", "refused by an ACL"])
async def test_a_bad_queue_is_served_again_when_it_is_mended(
    key: str, fault: str, fresh_server: PrivateServer, queue: Queue, bad: BadQueue
) -> None:
    starts = Starts()
    url = fresh_server.url
    if fault == "wrong type":
        bad.take_type(key)
    else:
        bad.refuse(key, good=queue.name)
        url = f"redis://worker:sesame@127.0.0.1:{fresh_server.port}/0"
    queues = (QueueShare(bad.name, None), QueueShare(queue.name, None))
    async with watched_worker(starts.app(), url, queue.name, queues=queues) as watched:
        await wait_until(lambda: watched.status.exchanges, describe="it works")
        good = await queue.add("quick")
        await wait_until(lambda: good.id in starts.at, describe="the good one's job has started", timeout=3)
        bad.mend()
        async with Queue(bad.name, fresh_server.url) as producer:
            added = await producer.add("quick")
            await wait_until(
                lambda: added.id in starts.at, describe="the mended one's has, too", timeout=MENDED_WITHIN_SECONDS
            )
            await wait_until(lambda: watched.status.healthy, describe="the worker is well", timeout=3)
