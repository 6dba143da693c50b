"""Where does a test get the previous minor version from, and how does it run it? Its source, out of our history."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"

# What 0.1 shipped. At the next minor version: the commit of 0.2, here and in docs/upgrading.md.
PREVIOUS = "0.1"
PREVIOUS_COMMIT = "e4d1d65e8ce54610f0ed4bd80ba86977e6e8c203"

NO_HISTORY = f"the commit of {PREVIOUS} is not in this clone, and cannot be had: git fetch --unshallow"
"""The one reason for which CI may skip a test: a clone without history has no previous version to run."""

_SCRIPTS = Path("oxcart/protocol/upstream")  # BullMQ's, which git does not have
_LIMIT_SECONDS = 60


def is_without_history(longrepr: object) -> bool:
    """Whether a test was skipped for that reason and no other."""
    return isinstance(longrepr, tuple) and str(longrepr[2]) == f"Skipped: {NO_HISTORY}"


def fetch_previous(folder: Path) -> Path:
    """The source folder of the previous minor version, put into `folder`. Skips the test where there is no history."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", PREVIOUS_COMMIT, "src"], capture_output=True, check=False
    )
    if archive.returncode != 0:
        pytest.skip(NO_HISTORY)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    source = folder / "src"
    shutil.copytree(ROOT / "src" / _SCRIPTS, source / _SCRIPTS)
    manifest = (source / "oxcart/protocol/upstream.sha256").read_text()
    assert (source / _SCRIPTS / "SHA256SUMS").read_text() == manifest, "it was built with other scripts of BullMQ"
    return source


@dataclass(frozen=True)
class Edition:
    """One version of Oxcart, by the folder of its source. Its commands are those of support.edition."""

    name: str
    source: Path
    environ: dict[str, str]

    async def __call__(self, *arguments: str) -> Any:
        """What the command prints, once it has ended."""
        process = await asyncio.create_subprocess_exec(
            *self._command(arguments), cwd=TESTS, env=self._environ(), stdout=-1, stderr=-1, stdin=-3
        )
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, err.decode()
        return json.loads(out.decode().splitlines()[-1])

    def start_worker(self, log: Path) -> EditionWorker:
        return EditionWorker(self, log)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "support.edition", *arguments]

    def _environ(self) -> dict[str, str]:
        path = os.pathsep.join((str(self.source), str(TESTS)))
        mine = {"PYTHONPATH": path, "EDITION": self.name, "EDITION_SOURCE": str(self.source)}
        return {**os.environ, **self.environ, **mine}


class EditionWorker:
    """A worker of one edition, running. `end` kills it if it still does."""

    def __init__(self, edition: Edition, log: Path) -> None:
        self.log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                edition._command(("worker",)),
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=TESTS,
                env=edition._environ(),
            )

    async def stop(self) -> int:
        """SIGTERM, as a deploy sends it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, _LIMIT_SECONDS)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
