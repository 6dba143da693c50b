"""Does the measuring of scaling run, with its tables? What it measures is no test's matter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = pytest.mark.timeout(300)


def test_one_process_two_and_two_replicas_are_measured_in_turns() -> None:
    command = [sys.executable, "-m", "lab.full", "--quick", "--no-page", "--only"]
    done = subprocess.run(
        [*command, "scaling: Handlers that do nothing: processes"],
        cwd=BENCH,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "FAILED" not in done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    assert [row[0] for row in rows[2:]] == ["1 process", "2 processes", "2 replicas"]
    assert all(row[1] != "–" for row in rows)
    assert rows[2][2] == "1.00 x"


def test_the_reckoning_multiplies_what_was_measured() -> None:
    code = "from lab.forecast import Costs, forecast; print(forecast(Costs(2.0, 4.0)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCH, capture_output=True, text=True, check=True)

    load, bill = done.stdout.split("\n\n")
    thousandfold = [cell.strip() for cell in load.splitlines()[-1].split("|")[1:-1]]
    assert thousandfold == ["1000 x", "135–450 M", "1 562–5 208", "15 625–52 083", "0.31–1.04", "0.62–2.08"]
    today = [cell.strip() for cell in bill.splitlines()[2].split("|")[1:-1]]
    assert today[2:4] == ["12.2–40.5 M", "24.3–81.0"], "three commands a job, 30 days, 0.20 $ per 100 000"
