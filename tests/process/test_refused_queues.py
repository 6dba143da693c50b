"""What do the log and /health say of a queue whose keys are broken, beside one that works? Its name, once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.http_site import ask
from support.processes import Fleet, WorkerProcess
from support.store import Store

from oxcart import Queue
from oxcart.testing import wait_until

WATCHED_SECONDS = 4.0


@pytest.fixture
def spoil(store: Store) -> Iterator[Callable[[str], None]]:
    """Turns a key into a string, until the end of the test."""
    spoiled: list[str] = []

    def spoil(key: str) -> None:
        spoiled.append(key)
        store.client.set(key, "not what it should be")

    yield spoil
    for key in spoiled:
        store.client.delete(key)


def health(worker: WorkerProcess) -> tuple[int, dict[str, Any]]:
    answer = ask(int(worker.events("http.started")[0]["port"]), "/health")
    return answer.status, dict(answer.content)


def names(content: dict[str, Any], queue: str) -> bool:
    """Somewhere else than in the list of all that is served."""
    worker = {key: value for key, value in content["worker"].items() if key != "queueName"}
    return queue in json.dumps({**content, "worker": worker})


async def watched_health(worker: WorkerProcess, queue: str) -> Counter[tuple[int, str, bool]]:
    """How often /health had this code, this word, and named the queue, over some seconds; from the first refusal on."""
    await wait_until(lambda: worker.events("http.started"), describe="HTTP answers")
    await wait_until(lambda: health(worker)[1]["redis"]["connected"], describe="Redis is reached")
    await wait_until(lambda: names(health(worker)[1], queue), describe="/health names the queue", timeout=5)
    seen, ends_at = Counter[tuple[int, str, bool]](), time.monotonic() + WATCHED_SECONDS

    def look() -> bool:
        code, content = health(worker)
        seen[(code, content["status"], names(content, queue))] += 1
        return time.monotonic() > ends_at

    await wait_until(look, describe="it was watched for long enough")
    return seen


@pytest.mark.parametrize("key", ["marker", "wait", "meta"])
async def test_a_refused_queue_beside_a_good_one_is_named_once_and_does_not_flap(
    key: str, spoil: Callable[[str], None], fleet: Fleet, queue: Queue, store: Store
) -> None:
    """The worker works, so its code is 200: a restart by the platform would help nobody."""
    bad = f"{queue.name}-bad"
    spoil(f"bull:{bad}:{key}")
    worker = fleet.start(JOB_QUEUE_NAME=f"{bad},{queue.name}", PORT="0")

    seen = await watched_health(worker, bad)
    added = await queue.add("quick")
    await wait_until(lambda: store.ended([added.id]), describe="a job of the good one has ended", timeout=1)
    lines = [line for line in worker.lines() if line["level"] in {"warn", "error"} and bad in json.dumps(line)]

    assert set(seen) == {(200, "degraded", True)}
    assert len(lines) == 1, lines


async def test_with_every_user_queue_refused_health_is_503(
    spoil: Callable[[str], None], fleet: Fleet, queue: Queue
) -> None:
    bad = (f"{queue.name}-bad", f"{queue.name}-too")
    for name in bad:
        spoil(f"bull:{name}:wait")
    worker = fleet.start(JOB_QUEUE_NAME=",".join(bad), PORT="0")

    seen = await watched_health(worker, bad[1])

    assert set(seen) == {(503, "degraded", True)}
