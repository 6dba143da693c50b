"""Huey: takes a job out of Redis before it runs it, so a job whose worker dies is lost; it has no other setting."""

from __future__ import annotations

import time

from huey import RedisHuey
from order import ORDER, REDIS_URL, become, run, stamp, timed

huey = RedisHuey("bench", url=REDIS_URL, results=False)


@huey.task()
def noop(padding: str = "") -> None:
    _ = padding


@huey.task()
def nap(milliseconds: float) -> None:
    time.sleep(milliseconds / 1000)


@huey.task()
def stamped(sentNs: int) -> None:  # noqa: N803 - a field of the jobs' data
    stamp(sentNs)


def add() -> float:
    task = {"noop": noop, "nap": nap, "block": nap, "stamp": stamped}[ORDER.job]
    return timed(lambda data: task(**data))


def work() -> None:
    become("huey_consumer", "huey_peer.huey", "--workers", str(ORDER.concurrency), "--worker-type", "thread", "--quiet")


if __name__ == "__main__":
    import huey_peer  # a task is known by the module that it is in: not by __main__

    run(huey_peer.add, work)
