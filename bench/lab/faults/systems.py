"""How is each system run? Its worker and its producer as processes, with the same lock, check and concurrency."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.faults.ledger import FOLDER
from lab.install import BENCH, folder_of, node_binary
from lab.roster import BY_NAME

SYSTEMS = ("oxcart", "node6", "bullmq")
LOCK_SECONDS, CHECK_SECONDS, GRACE_SECONDS = 5, 5, 2
PROGRAMS = Path(__file__).parent


@dataclass(frozen=True)
class Settings:
    """`max_stalled` None: each system's own default (Oxcart 3, the others 1)."""

    concurrency: int = 5
    max_stalled: int | None = None


def _command(system: str, role: str, settings: Settings) -> list[str]:
    if system == "node6":
        return [str(node_binary()), str(PROGRAMS / "node_program.mjs"), role]
    if system == "bullmq":
        return [str(folder_of(BY_NAME["bullmq"]) / "bin" / "python"), "-m", "lab.faults.port_program", role]
    if role == "add":
        return [sys.executable, "-m", "lab.faults.oxcart_program", "add"]
    oxcart = str(Path(sys.executable).with_name("oxcart"))
    where = ["lab.faults.oxcart_program:app", "--queue", "faults", "--concurrency", str(settings.concurrency)]
    return [oxcart, "run", *where, "--port", "0"]


def _environment(system: str, url: str, ledger: Path, settings: Settings, load: dict[str, Any]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    theirs = {
        "concurrency": settings.concurrency,
        "lockDuration": LOCK_SECONDS * 1000,
        "stalledInterval": CHECK_SECONDS * 1000,
    }
    ours = {
        "OXCART_LOCK_DURATION_SECONDS": str(LOCK_SECONDS),
        "OXCART_STALLED_INTERVAL_SECONDS": str(CHECK_SECONDS),
        "OXCART_SHUTDOWN_GRACE_SECONDS": str(GRACE_SECONDS),
    }
    if settings.max_stalled is not None:
        theirs["maxStalledCount"] = settings.max_stalled
        ours["OXCART_MAX_STALLED_COUNT"] = str(settings.max_stalled)
    common = {"REDIS_URL": url, FOLDER: str(ledger), "PYTHONPATH": str(BENCH), "FAULTS_LOAD": json.dumps(load)}
    own = ours if system == "oxcart" else {"FAULTS_WORKER": json.dumps(theirs)}
    node = {"NODE_FOLDER": str(folder_of(BY_NAME[system])), "NODE_ENV": "production"} if system == "node6" else {}
    return kept | common | own | node


class Program:
    """One worker or producer of a system; what it writes goes to `<ledger>/<role>.log`."""

    def __init__(
        self,
        system: str,
        role: str,
        url: str,
        ledger: Path,
        settings: Settings | None = None,
        load: dict[str, Any] | None = None,
    ) -> None:
        settings = settings or Settings()
        self.system = system
        with (ledger / f"{role}.log").open("ab") as log:
            self._process = subprocess.Popen(
                _command(system, role, settings),
                env=_environment(system, url, ledger, settings, load or {}),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started_at = time.time()

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        if not self.has_ended():
            self._process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self._process.wait()

    def end(self, within_seconds: float = 5) -> None:
        """As a platform does: SIGTERM, and SIGKILL when the time is up."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
