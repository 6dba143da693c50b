"""Does the quick comparison of the README run, with BullMQ for Node beside us? What it measures is no test's matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
PEERS = {"oxcart", "node6", "node5"}

pytestmark = pytest.mark.timeout(300)  # npm installs BullMQ the first time


def compare(*options: str) -> subprocess.CompletedProcess[str]:
    """As bench/compare does, in this Python."""
    command = [sys.executable, "-m", "lab.compare", "--smoke", *options]
    return subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False)


def test_the_comparison_measures_every_case_of_every_peer() -> None:
    done = compare("--json")

    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["failures"] == []
    assert set(answer["about"]["versions"]) >= PEERS
    for case, peers in answer["medians"].items():
        assert set(peers) == PEERS, case
        figure = "addedPerSecond" if case.startswith("add") else "jobsPerSecond"
        assert all(figures[figure] > 0 for figures in peers.values())
        assert set(answer["ratios"][case]) == {"node6", "node5"}


def test_the_table_has_a_row_for_each_case() -> None:
    done = compare()

    assert done.returncode == 0, done.stderr
    head, rule, *rows = done.stdout.splitlines()
    assert "Oxcart" in head
    assert set(rule) <= set("|-: ")
    assert [row.split("|")[1].strip() for row in rows] == [
        "concurrency 100",
        "concurrency 100, 100 kept",
        "concurrency 1",
        "own ids and traces",
        "payloads of 1 KB",
        "payloads of 10 KB",
        "concurrency 25, 20 ms away",
        "add in bulk",
        "add, 64 in flight",
        "add, 64 in flight, 20 ms away",
    ]
    assert all(row.count(" x |") == 2 for row in rows)
