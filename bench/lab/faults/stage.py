"""Where does an experiment take place? A server; workers and a producer, each behind a connection that can break."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from support.proxy import FaultProxy
from support.server import PrivateServer

from lab.faults.ledger import Record, judge, next_start, percentile, read, started_again
from lab.faults.soak import unfinished
from lab.faults.systems import Program, Settings
from lab.machine import load_average

READY_SECONDS, SETTLE_SECONDS = 30, 30
BUSY = {"burst": 40, "per_second": 15, "ms": 150, "long_every": 25, "long_ms": 2000}
IDLE = {"burst": 0, "per_second": 8, "ms": 30, "long_every": 0, "long_ms": 0}
LONG = {"burst": 40, "per_second": 12, "ms": 150, "long_every": 12, "long_ms": 4000}


class Stage:
    """One system with `workers` processes. A fault breaks `server`, `workers`, `proxies` (of each worker) or `adds`."""

    def __init__(self, system: str, load: dict[str, Any], workers: int, settings: Settings) -> None:
        self.system, self._load, self._settings = system, load, settings
        self._folder = tempfile.TemporaryDirectory(prefix="oxcart-faults-")
        self.folder = Path(self._folder.name)
        self.server = self.new_server("server")
        self._servers = [self.server]
        self.server.start()
        self.proxies = [FaultProxy(self.server.port) for _ in range(workers)]
        self.adds = FaultProxy(self.server.port)
        for proxy in (*self.proxies, self.adds):
            proxy.start()
        self._started: list[Program] = []
        self.workers = [self._start("work", proxy) for proxy in self.proxies]
        self.producer = self._start("add", self.adds)

    def new_server(self, name: str) -> PrivateServer:
        (self.folder / name).mkdir()
        return PrivateServer(self.folder / name, append_only=True)

    def move_to(self, server: PrivateServer) -> None:
        """What connects from now on reaches this server."""
        self.server = server
        self._servers.append(server)
        for proxy in (*self.proxies, self.adds):
            proxy.server_address = (server.host, server.port)

    def _start(self, role: str, proxy: FaultProxy) -> Program:
        url = self.server.url.replace(f":{self.server.port}/", f":{proxy.port}/")
        self._started.append(Program(self.system, role, url, self.folder, self._settings, self._load))
        return self._started[-1]

    def replace(self, place: int) -> None:
        """As a platform does when a worker has ended."""
        self.workers[place] = self._start("work", self.proxies[place])

    def records(self) -> list[Record]:
        return read(self.folder)

    def wait_until_working(self) -> None:
        """Each worker has run a job. Raises RuntimeError with what the programs said."""
        give_up = time.monotonic() + READY_SECONDS
        wanted = {worker.pid for worker in self.workers}
        while not wanted <= {record.process for record in self.records() if record.what == "end"}:
            if time.monotonic() > give_up:
                said = "".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))
                raise RuntimeError(f"Starting {self.system}: not every worker has run a job.\n{said}")
            time.sleep(0.1)

    def settle(self, within_seconds: float) -> None:
        """End the producer, and wait until no job is left to do."""
        self.producer.kill()
        give_up = time.monotonic() + within_seconds
        with self.server.client() as client:
            while unfinished(client) and time.monotonic() < give_up:
                time.sleep(0.2)

    def states(self) -> tuple[set[str], set[str]]:
        """The ids that Redis has as failed, and those that are in no final state."""
        with self.server.client() as client:
            return set(client.zrange("bull:faults:failed", 0, -1)), unfinished(client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for program in self._started:
            if not program.has_ended():
                program.kill()
        for proxy in (*self.proxies, self.adds):
            proxy.stop()
        for server in self._servers:
            server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._folder.cleanup()


@dataclass(frozen=True)
class Experiment:
    """`fault(stage, round)` breaks something and mends it, `rounds` times, `pause_seconds` apart; it returns the hit
    process, if it was one. Recovery: the time from the mending to the next job's start, or with `again` from the
    breaking until each job that was interrupted runs again.
    """

    number: int
    does: str
    fault: Callable[[Stage, int], int | None]
    rounds: int = 4
    pause_seconds: float = 2.0
    workers: int = 1
    load: dict[str, Any] = field(default_factory=lambda: BUSY)
    settings: Settings = field(default_factory=Settings)
    again: bool = False


def run(experiment: Experiment, system: str, settle_seconds: float, rounds: int | None = None) -> dict[str, Any]:
    """One experiment on one system, with no more than `rounds`; the verdict of ledger.py, and recovery in seconds."""
    with Stage(system, experiment.load, experiment.workers, experiment.settings) as stage:
        stage.wait_until_working()
        times: list[tuple[float, float, int | None]] = []
        for number in range(min(experiment.rounds, rounds or experiment.rounds)):
            time.sleep(experiment.pause_seconds)
            began = time.time()
            hit = experiment.fault(stage, number)
            times.append((began, time.time(), hit))
        time.sleep(experiment.pause_seconds)
        stage.settle(settle_seconds)
        failed, present = stage.states()  # first: what ends after this is in the records
        records = stage.records()
        seconds: list[float | None] = []
        for began, ended, hit in times:
            seconds += started_again(records, began, hit) if experiment.again else [next_start(records, ended)]
        known = [round(value, 3) for value in seconds if value is not None]
        return {
            **asdict(judge(records, failed, present)),
            "recovery_p50": percentile(known, 0.5),
            "recovery_p99": percentile(known, 0.99),
            "recoveries": len(known),
            "never": len(seconds) - len(known),
            "load": load_average(),
        }
