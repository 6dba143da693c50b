"""Dramatiq on Redis: at least once; threads run the jobs, and acknowledge after the run."""

from __future__ import annotations

import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from order import ORDER, REDIS_URL, become, run, stamp, timed

broker = RedisBroker(url=REDIS_URL)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench", actor_name="noop")
def noop(padding: str = "") -> None:
    _ = padding


@dramatiq.actor(queue_name="bench", actor_name="nap")
def nap(milliseconds: float) -> None:
    time.sleep(milliseconds / 1000)


@dramatiq.actor(queue_name="bench", actor_name="stamp")
def stamped(sentNs: int) -> None:  # noqa: N803 - a field of the jobs' data
    stamp(sentNs)


def add() -> float:
    actor = {"noop": noop, "nap": nap, "block": nap, "stamp": stamped}[ORDER.job]
    return timed(lambda data: actor.send(**data))


def work() -> None:
    become("dramatiq", "dramatiq_peer", "--processes", "1", "--threads", str(ORDER.concurrency), "--queues", "bench")


if __name__ == "__main__":
    run(add, work)
