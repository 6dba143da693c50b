"""Can the simulation fail? Plants each bug of planted/*.diff in a copy of the code, and counts the seeds it takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simulation.proof import read_figures, record

ROOT = Path(__file__).parents[1]
PLANTED = sorted((ROOT / "simulation" / "planted").glob("*.diff"))


def plant(diff: Path, copy: Path) -> None:
    """Raises CalledProcessError if the diff does not fit any more."""
    for part in ("src", "simulation"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["patch", "-p1", "--quiet", "-i", str(diff)], cwd=copy, check=True)


def hunt(seeds: int, jobs: int, *, only: str | None = None) -> int:
    """Prints after how many seeds each is found; 1 if one is not."""
    missed = 0
    for diff in PLANTED:
        if only is not None and diff.stem != only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            plant(diff, Path(folder))
            found = _first_found(Path(folder), seeds, jobs)
        missed += found is None
        planted = {**read_figures().get("planted", {}), diff.stem: found or f"not within {seeds} seeds"}
        record(planted=planted)
        print(f"{diff.stem:<28} {found or f'NOT FOUND within {seeds} seeds'}", flush=True)
    return 1 if missed else 0


def _first_found(copy: Path, seeds: int, jobs: int) -> str | None:
    """Runs the copy's own simulation, in its own process, until its first finding."""
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy}", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "simulation.seek", str(seeds), str(jobs)]
    answer = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines()
    if answer.returncode == 1 and lines:
        return f"{lines[-1]} ({time.monotonic() - began:.0f} s)"
    if answer.returncode:
        raise RuntimeError(f"The hunt has ended with {answer.returncode}: {answer.stderr[-2000:]}")
    return None
