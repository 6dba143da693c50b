"""What does a long time do? Two Oxcart processes and one of Node on a steady load, each minute a kill or a SIGTERM.

The first Oxcart process is left alone: its memory and sockets are those of a long life. The others die in turn.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from support.server import PrivateServer

from lab.faults.ledger import judge, read
from lab.faults.systems import Program, Settings
from lab.machine import load_average

PER_SECOND, LOOK_SECONDS, WARM_SECONDS, QUIET_SECONDS = 50, 10, 120, 60
LOAD = {"burst": 0, "per_second": PER_SECOND, "ms": 60, "long_every": 200, "long_ms": 4000}
SETTINGS = Settings(concurrency=10, max_stalled=50)
FINISHED = ("completed", "failed")


def soak(minutes: float, kill_every_seconds: float = 60.0, say: Callable[[str], None] = print) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="oxcart-soak-") as name:
        folder = Path(name)
        server = PrivateServer(folder, append_only=True)
        server.start()
        started: list[Program] = []

        def start(system: str, role: str = "work") -> Program:
            started.append(Program(system, role, server.url, folder, SETTINGS, LOAD))
            return started[-1]

        try:
            return _soak(server, folder, start, minutes, kill_every_seconds, say)
        finally:
            for program in started:
                if not program.has_ended():
                    program.kill()
            server.stop()


def _soak(
    server: PrivateServer,
    folder: Path,
    start: Callable[..., Program],
    minutes: float,
    kill_every_seconds: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    fleet = [start("oxcart"), start("oxcart"), start("node6")]
    producer = start("oxcart", "add")
    began = time.monotonic()
    kill_at, kills, lives = began + kill_every_seconds, Counter[str](), list[dict[str, Any]]()
    watched = {program.pid: _Life(program) for program in fleet}
    while time.monotonic() < began + minutes * 60:
        time.sleep(LOOK_SECONDS)
        for life in watched.values():
            life.look()
        if time.monotonic() >= kill_at:
            kill_at += kill_every_seconds
            turn = sum(kills.values())
            place = 1 + turn % 2
            victim = fleet[place]
            lives.append(watched.pop(victim.pid).figures())
            if turn // 2 % 2:
                victim.end(within_seconds=20)
            else:
                victim.kill()
            kills["SIGTERM" if turn // 2 % 2 else "kill -9"] += 1
            fleet[place] = start(victim.system)
            watched[fleet[place].pid] = _Life(fleet[place])
            say(f"{(time.monotonic() - began) / 60:.0f} min: {victim.system} {dict(kills)}, {lives[-1]}")
    producer.kill()
    left = _wait_for_quiet(server)
    lives.extend(life.figures() for life in watched.values())
    for program in fleet:
        program.end(within_seconds=20)
    with server.client() as client:
        failed = set(client.zrange("bull:faults:failed", 0, -1))
        keys = Counter(_kind(key) for key in client.scan_iter(count=1000))
        clients = int(client.info("clients")["connected_clients"])
    return {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "kills": dict(kills),
        "verdict": asdict(judge(read(folder), failed, left)),
        "executed": _by_system(folder, lives),
        "lives": lives,
        "sockets_left": clients - 1,
        "keys_left": dict(keys),
        "load": load_average(),
    }


class _Life:
    """One process from start to end: how its memory (MiB) and sockets went; the first two minutes are warming up."""

    def __init__(self, program: Program) -> None:
        self._program, self._process = program, psutil.Process(program.pid)
        self._seen: list[tuple[float, float, int]] = []

    def look(self) -> None:
        sockets = len(self._process.net_connections("inet"))
        rss = self._process.memory_info().rss / 2**20
        self._seen.append((time.time() - self._program.started_at, rss, sockets))

    def figures(self) -> dict[str, Any]:
        warm = [(age / 3600, rss) for age, rss, _ in self._seen if age > WARM_SECONDS]
        ages = [seen[0] for seen in self._seen]
        return {
            "system": self._program.system,
            "pid": self._program.pid,
            "minutes": round((ages[-1] if ages else 0) / 60, 1),
            "rss_mib": round(self._seen[-1][1], 1) if self._seen else None,
            "mib_per_hour": round(_slope(warm), 2) if len(warm) > 30 else None,
            "sockets": [min(s[2] for s in self._seen), max(s[2] for s in self._seen)] if self._seen else None,
        }


def _slope(points: list[tuple[float, float]]) -> float:
    """Least squares."""
    x = sum(point[0] for point in points) / len(points)
    y = sum(point[1] for point in points) / len(points)
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def _by_system(folder: Path, lives: list[dict[str, Any]]) -> dict[str, int]:
    systems = {life["pid"]: life["system"] for life in lives}
    return dict(Counter(systems.get(record.process, "?") for record in read(folder) if record.what == "end"))


def _wait_for_quiet(server: PrivateServer) -> set[str]:
    """The ids that are in no final state when a minute has passed, or at once when there is none."""
    give_up = time.monotonic() + QUIET_SECONDS
    with server.client() as client:
        while left := unfinished(client):
            if time.monotonic() > give_up:
                break
            time.sleep(0.2)
    return left


def unfinished(client: Any) -> set[str]:
    """The ids in no final state, at one moment: between two, a job could go from one of the lists to the next."""
    with client.pipeline(transaction=True) as together:
        for state in ("wait", "active", "paused"):
            together.lrange(f"bull:faults:{state}", 0, -1)
        for state in ("delayed", "prioritized", "waiting-children"):
            together.zrange(f"bull:faults:{state}", 0, -1)
        return {job_id for found in together.execute() for job_id in found}


def _kind(key: str) -> str:
    """A key without the id of its job."""
    parts = key.split(":")
    if len(parts) > 2 and parts[1] == "faults" and (parts[2].isdigit() or len(parts[2]) > 20):
        return ":".join(["job", *parts[3:]])
    return ":".join(parts[1:3]) if len(parts) < 5 else ":".join([*parts[1:3], "…"])
