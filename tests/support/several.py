"""How do tests see `oxcart run --processes`? The supervisor, its HTTP answers, and its worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psutil

from oxcart.testing import wait_until
from support.http_site import ask
from support.processes import Fleet, WorkerProcess

PATIENCE_SECONDS = 20.0  # what has to be gone 2 s after its grace is, also on a machine that is busy with other tests


@dataclass
class Several:
    """A running supervisor as its operator sees it."""

    supervisor: WorkerProcess

    @property
    def port(self) -> int:
        return int(self.supervisor.events("http.started")[0]["port"])

    def health(self) -> dict[str, Any]:
        return dict(ask(self.port, "/health").content)

    def metrics(self) -> dict[str, Any]:
        return dict(ask(self.port, "/metrics").content)

    def completed(self) -> int:
        return int(self.metrics()["jobs"]["completed"])

    def members(self) -> list[psutil.Process]:
        """Its worker processes, oldest first."""
        found = psutil.Process(self.supervisor.process.pid).children()
        return sorted(found, key=lambda process: process.create_time())

    def is_well(self) -> bool:
        events = self.supervisor.events("http.started")
        return bool(events) and self.health()["status"] == "ok"


async def started(fleet: Fleet, processes: int = 2, **environ: str) -> Several:
    several = Several(fleet.start_several(processes, **environ))
    await wait_until(several.is_well, describe="all processes are well", timeout=40)
    return several
