"""RQ: one job at a time and process, so slots are processes, four at most. A dead worker's job is retried."""

from __future__ import annotations

import time

from order import ORDER, REDIS_URL, become, run, stamp, timed
from redis import Redis
from rq import Queue, Retry

MOST_PROCESSES = 4  # more of them than cores only take turns


def noop(padding: str = "") -> None:
    _ = padding


def nap(milliseconds: float) -> None:
    time.sleep(milliseconds / 1000)


def stamped(sentNs: int) -> None:  # noqa: N803 - a field of the jobs' data
    stamp(sentNs)


def add() -> float:
    queue = Queue("bench", connection=Redis.from_url(REDIS_URL))
    function = "rq_peer." + {"block": "nap", "stamp": "stamped"}.get(ORDER.job, ORDER.job)
    options = {"result_ttl": 0, "retry": Retry(max=3)}
    return timed(
        lambda data: queue.enqueue(function, kwargs=data, **options),
        lambda many: queue.enqueue_many([Queue.prepare_data(function, kwargs=data, **options) for data in many]),
    )


def work() -> None:
    processes = str(min(ORDER.concurrency, MOST_PROCESSES))
    become(
        *("rq", "worker-pool", "bench", "--url", REDIS_URL, "--num-workers", processes, "--quiet"),
        *("--worker-class", "rq.worker.SimpleWorker"),
    )


if __name__ == "__main__":
    run(add, work)
