"""How is a peer run? As processes of its own, started as its users start it; their CPU and memory are watched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import psutil

from lab.install import adapter_command, folder_of
from lab.roster import Peer

ADD_SECONDS = 900
STOP_SECONDS = 10


def _environment(peer: Peer, url: str, order: Mapping[str, Any], stamps: Path | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    environment = kept | {"REDIS_URL": url, "BENCH_ORDER": json.dumps(order)}
    if peer.language == "node":
        environment["NODE_FOLDER"] = str(folder_of(peer))
        environment["NODE_ENV"] = "production"
    if stamps is not None:
        environment["BENCH_STAMPS"] = str(stamps)
    return environment


def add(peer: Peer, url: str, **order: Any) -> float:
    """Have the peer's own producer add jobs, and return the seconds it took. Raises RuntimeError with its words."""
    done = subprocess.run(
        [*adapter_command(peer), "add"],
        env=_environment(peer, url, order, None),
        capture_output=True,
        text=True,
        timeout=ADD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"Adding {order} with {peer.title}: it ended with {done.returncode}.\n{done.stderr[-3000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


@contextmanager
def adding(peer: Peer, url: str, **order: Any) -> Iterator[None]:
    """Have jobs added beside what the caller does, until it is done."""
    process = subprocess.Popen(
        [*adapter_command(peer), "add"], env=_environment(peer, url, order, None), stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Workers:
    """So many worker processes of one peer. Their output is kept, and shown when one of them ends too early."""

    def __init__(self, peer: Peer, url: str, *, processes: int = 1, stamps: Path | None = None, **order: Any) -> None:
        self.peer = peer
        self._logs = [tempfile.TemporaryFile() for _ in range(processes)]  # noqa: SIM115 - closed by stop()
        self.started_at = time.perf_counter()
        self._processes = [
            subprocess.Popen(
                [*adapter_command(peer), "work"],
                env=_environment(peer, url, order, stamps),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for log in self._logs
        ]

    def check(self) -> None:
        """Raises RuntimeError with the log of a worker that has ended."""
        for process, log in zip(self._processes, self._logs, strict=True):
            if process.poll() is not None:
                log.seek(0)
                tail = log.read()[-3000:].decode(errors="replace")
                raise RuntimeError(f"{self.peer.title}'s worker ended with {process.returncode}:\n{tail}")

    def family(self) -> list[psutil.Process]:
        """The processes and what they have started."""
        members: list[psutil.Process] = []
        for process in self._processes:
            parent = psutil.Process(process.pid)
            members += [parent, *parent.children(recursive=True)]
        return members

    def cpu_seconds(self) -> float:
        times = [member.cpu_times() for member in self.family()]
        return sum(each.user + each.system for each in times)

    def rss_mib(self) -> float:
        return sum(member.memory_info().rss for member in self.family()) / 2**20

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for log in self._logs:
            log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
