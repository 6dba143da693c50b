"""How do tests run workers as processes of their own, and stop, kill and read them?"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import Redis

from support.starter import LoggedProcess

TESTS = Path(__file__).resolve().parent.parent


ALONE = ("support.worker_process",)
SEVERAL = ("oxcart", "run", "support.worker_process:app", "--processes")


class WorkerProcess:
    """One process of support.worker_process, or a supervisor of several; its output is kept in a file."""

    def __init__(self, folder: Path, number: int, environ: dict[str, str], arguments: Sequence[str] = ALONE) -> None:
        self.log = folder / f"worker-{number}.log"
        module, *others = arguments
        self.process = LoggedProcess(module, others, self.log, TESTS, {**os.environ, **environ})

    @property
    def output(self) -> str:
        return self.log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The log: whole lines of JSON."""
        return [json.loads(line) for line in self.output.split("\n")[:-1]]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == name]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def terminate(self, *, within_seconds: float) -> int:
        """SIGTERM; the exit code. Raises subprocess.TimeoutExpired when it takes longer."""
        self.signal(signal.SIGTERM)
        return self.process.wait(within_seconds)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()


class Fleet:
    """The worker processes of one test on one queue, and what their handlers have done."""

    def __init__(self, folder: Path, url: str, client: Redis, queue_name: str) -> None:
        self.client: Any = client
        self.queue_name = queue_name
        self._folder = folder
        self._started: list[WorkerProcess] = []
        self._hostile: dict[str, WorkerProcess] = {}
        self._environ = {
            "REDIS_URL": url,
            "EFFECTS_URL": url,
            "JOB_QUEUE_NAME": queue_name,
            "OXCART_LOCK_DURATION_SECONDS": "1",
            "OXCART_STALLED_INTERVAL_SECONDS": "1",
            "OXCART_SHUTDOWN_GRACE_SECONDS": "0",
        }

    def start(self, **environ: str) -> WorkerProcess:
        worker = WorkerProcess(self._folder, len(self._started), {**self._environ, **environ})
        self._started.append(worker)
        return worker

    def start_several(self, processes: int, **environ: str) -> WorkerProcess:
        """`oxcart run --processes` with the same handlers, HTTP on a free port."""
        environ = {**self._environ, "PORT": "0", **environ}
        supervisor = WorkerProcess(self._folder, len(self._started), environ, (*SEVERAL, str(processes)))
        self._started.append(supervisor)
        return supervisor

    def hostile(self, loop: str) -> WorkerProcess:
        """The one that runs support.hostile_process on this kind of event loop."""
        if loop not in self._hostile:
            environ = {**self._environ, "PORT": "0", "HOSTILE_LOOP": loop, "JOB_CONCURRENCY": "5"}
            self._hostile[loop] = WorkerProcess(self._folder, len(self._started), environ, ("support.hostile_process",))
            self._started.append(self._hostile[loop])
        return self._hostile[loop]

    def effects(self) -> Counter[str]:
        """How often each was noted: "started <id>", "done <id>"."""
        return Counter(self.client.lrange(f"effects:{self.queue_name}", 0, -1))

    def count(self, what: str) -> int:
        """How many notes begin with this word."""
        return sum(number for note, number in self.effects().items() if note.split(" ", 1)[0] == what)

    def has_started(self, number: int) -> bool:
        return self.count("started") >= number

    def has_done(self, number: int) -> bool:
        return self.count("done") >= number

    def is_running(self, worker: WorkerProcess) -> bool:
        return "Redis connection ready" in worker.output

    def end(self) -> None:
        for worker in self._started:
            worker.end()
