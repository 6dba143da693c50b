"""Which events tell of a job's end, and do they stay long enough to be read?"""

from __future__ import annotations

from typing import Any

import pytest

from oxcart.protocol.exchange import Policy

from .queue_of_ours import OurQueue

NOTHING_KEPT: Policy = (0, -1, 1000)


def told(queue: OurQueue, event: str) -> int:
    return sum(fields[b"event"] == event.encode() for _, fields in queue.server.xrange(queue.keys.events))


@pytest.mark.parametrize("most", ["0", "1", "5", "10000"])
@pytest.mark.parametrize("policies", [None, [NOTHING_KEPT]])
def test_the_end_of_a_job_is_told_however_few_events_are_kept(queue: OurQueue, most: str, policies: Any) -> None:
    """Node's waitUntilFinished and QueueEvents read it from the stream: BullMQ trims before it adds."""
    queue.server.hset(queue.keys.meta, "opts.maxLenEvents", most)
    more = {} if policies is None else {"policies": policies}
    for number in range(3):
        queue.add(f"j{number}")
        (held,) = queue.claim()

        queue.settle_with(held, "c", a='"done"', **more)

        ends = [fields for _, fields in queue.server.xrange(queue.keys.events) if fields[b"event"] == b"completed"]
        assert ends[-1][b"jobId"] == f"j{number}".encode()


def test_drained_is_told_once_when_nothing_is_left(queue: OurQueue) -> None:
    queue.server.zadd(queue.keys.delayed, {"later": (queue.now_ms + 60_000) * 0x1000})
    for number in range(3):
        queue.add(f"j{number}")
        (held,) = queue.claim()
        queue.settle(held, "c", a="1")
    assert told(queue, "drained") == 0

    queue.server.delete(queue.keys.delayed)
    queue.add("last")
    (held,) = queue.claim()
    queue.settle(held, "c", a="1")
    assert told(queue, "drained") == 1
