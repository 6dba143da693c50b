"""Celery on Redis: late acknowledgement makes it at least once; threads, for forked processes cost more each job."""

from __future__ import annotations

import time

from celery import Celery
from order import ORDER, REDIS_URL, become, run, stamp, timed

app = Celery("bench", broker=REDIS_URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(padding: str = "") -> None:
    _ = padding


@app.task(name="nap")
def nap(milliseconds: float) -> None:
    time.sleep(milliseconds / 1000)


@app.task(name="stamp")
def stamped(sentNs: int) -> None:  # noqa: N803 - a field of the jobs' data
    stamp(sentNs)


def add() -> float:
    task = {"noop": noop, "nap": nap, "block": nap, "stamp": stamped}[ORDER.job]
    return timed(lambda data: task.delay(**data))


def work() -> None:
    become(
        *("celery", "--app", "celery_peer", "worker", "--pool", "threads"),
        *("--concurrency", str(ORDER.concurrency), "--loglevel", "WARNING"),
    )


if __name__ == "__main__":
    run(add, work)
