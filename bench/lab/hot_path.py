"""What does one job cost the worker's own code? Its dispatch, exchanger and intake, on a link with canned answers.

    cd bench && PYTHONPATH=. ../.venv/bin/python -m lab.hot_path

No server and no socket: what is left is everything between the bytes of an answer and those of the next request. As in
a worker with a backlog, each exchange writes the verdicts of the jobs that the one before it claimed. The least of many
exchanges is what the machine's other work cannot raise.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import Any, cast

import hiredis
import msgpack
import uvloop

from oxcart import Job, Oxcart
from oxcart.clock import ServerClock
from oxcart.connection.link import Link
from oxcart.connection.resp import pack
from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget
from oxcart.protocol.keys import QueueKeys
from oxcart.settings import WorkerSettings
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.metrics import Metrics
from oxcart.worker.adopt import Adopter
from oxcart.worker.common import Common
from oxcart.worker.dispatch import Dispatch
from oxcart.worker.exchange import Exchanger
from oxcart.worker.intake import Intake
from oxcart.worker.left import LeftJobs
from oxcart.worker.listeners import Listeners
from oxcart.worker.phases import PLENTY
from oxcart.worker.served_queue import ServedQueue

WARM_UP = 20
"""Exchanges that are not counted: the first ones learn how long a handler takes, and claim less."""


def claimed_job(job_id: int) -> bytes:
    """One job as the script answers it."""
    return _bulk(str(job_id)) + _bulk("{}") + _bulk("1790000000000")


def _bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


COMMON = (
    _bulk("noop") + _bulk('{"attempts":0,"removeOnComplete":true}') + b":1\r\n$-1\r\n" + _bulk("0") + b":9\r\n*0\r\n"
)
"""What the jobs of a ClaimedRun share."""


class CannedLink:
    """Answers as a server with endless jobs; ends the run by never answering the last request."""

    def __init__(self, answers: int) -> None:
        self.asked_at: list[float] = []
        self.jobs: list[int] = []
        self.done = asyncio.Event()
        self.clock = ServerClock()
        self._answers = answers
        self._reader = hiredis.Reader()
        self._jobs = [claimed_job(1_000_000 + number) for number in range(500)]

    async def request(self, *command: Any, deadline_seconds: float) -> Any:
        self.asked_at.append(time.process_time())
        if len(self.asked_at) > self._answers:
            self.done.set()
            await asyncio.sleep(deadline_seconds)
        pack((command,))
        head = next(argument for argument in command if isinstance(argument, bytes))
        room = msgpack.unpackb(head)[4]
        jobs = b"*%d\r\n" % (3 * room) + b"".join(self._jobs[:room])
        self.jobs.append(room)
        self._reader.feed(
            b"*14\r\n*0\r\n*1\r\n*8\r\n"
            + COMMON
            + jobs
            + b"*0\r\n:0\r\n:0\r\n:0\r\n:1\r\n:0\r\n:100\r\n:1\r\n:0\r\n*0\r\n$0\r\n\r\n$0\r\n\r\n"
        )
        return self._reader.gets()


async def run(exchanges: int) -> tuple[list[float], float]:
    """CPU microseconds per job: of each exchange, and of all of them together."""
    app, bus = Oxcart(), Bus()

    @app.job("noop")
    async def noop(_job: Job[Any]) -> None:
        return

    bus.subscribe(Metrics())
    link, server = CannedLink(WARM_UP + exchanges), Server(RedisTarget("127.0.0.1", 1))
    queue = ServedQueue(QueueKeys("bench"), share=100)
    queue.phase, queue.recovering = PLENTY, False
    dispatch = Dispatch([queue], 100, bus.emit, prefetches=True)
    settings = WorkerSettings(concurrency=100)
    common = Common(
        server,
        cast("Link", link),
        app.handlers,
        settings,
        dispatch,
        LeftJobs(app.handlers, settings, bus.emit),
        Listeners(app.handlers.listeners, bus.emit),
        bus.emit,
        "0123456789abcdef0123456789abcdefa",
        "oxcart-01234567",
    )
    intake = Intake(common, announces_starts=False, renew_locks=_never_late, too_many_deaf=link.done.set)
    exchanger = Exchanger(common, common.link, intake, Adopter(common, intake))
    began = time.process_time()
    task = asyncio.create_task(exchanger.run(common.link, dispatch.next_work))
    task.add_done_callback(lambda _: link.done.set())
    await link.done.wait()
    cpu_us = (time.process_time() - began) / sum(link.jobs) * 1e6
    if task.done():
        task.result()  # raises what broke
    task.cancel()
    intake.close()
    spans = zip(link.asked_at, link.asked_at[1:], link.jobs, strict=False)
    return [(end - begin) / jobs * 1e6 for begin, end, jobs in spans][WARM_UP:], cpu_us


async def _never_late() -> bool:
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exchanges", type=int, default=300)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        costs, cpu_us = runner.run(run(arguments.exchanges))
    print(f"CPU us a job: {min(costs):.2f} least, {statistics.median(costs):.2f} median, {cpu_us:.2f} on average")


if __name__ == "__main__":
    main()
