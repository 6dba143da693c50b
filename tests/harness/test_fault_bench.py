"""Does bench/faults see what it is there to see? Made-up ledgers with a loss and a double run, and one experiment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.lab.faults.ledger import Record, Verdict, judge, next_start, percentile, started_again

ROOT = Path(__file__).parents[2]


def _ledger(*lines: str) -> list[Record]:
    """Each line: second, what, number of the job, process."""
    found = []
    for line in lines:
        at, what, number, process = line.split()
        found.append(Record(float(at), what, int(number), f"id{number}", 0, int(process)))
    return found


def test_a_loss_is_told_from_a_job_that_is_still_there() -> None:
    records = _ledger("0 added 1 7", "0 added 2 7", "0 added 3 7", "0 added 4 7", "1 start 1 8", "2 end 1 8")

    assert judge(records, failed=set(), present={"id2"}) == Verdict(4, 2, 1, 0, 0, 0)


def test_a_job_that_was_done_is_not_lost_when_the_server_has_forgotten_it_and_seen_when_it_failed() -> None:
    records = _ledger("0 added 1 7", "0 added 2 7", "1 start 1 8", "2 end 1 8", "3 start 2 8")

    assert judge(records, failed={"id1", "id2"}, present=set()) == Verdict(2, 0, 1, 1, 0, 0)


def test_a_second_run_is_seen_and_told_from_a_second_end() -> None:
    """Also under another id, as after an add that was sent twice, and if it was never acknowledged."""
    cut_short = _ledger("0 added 1 7", "1 start 1 8", "5 start 1 9", "6 end 1 9")
    doubled = [*cut_short, Record(7, "start", 1, "another", 0, 9), Record(8, "end", 1, "another", 0, 9)]

    assert judge(cut_short, set(), set()) == Verdict(1, 0, 0, 0, 1, 0)
    assert judge(doubled, set(), set()) == Verdict(1, 0, 0, 0, 2, 1)
    assert judge(doubled[1:], set(), set()) == Verdict(0, 0, 0, 0, 2, 1)


def test_recovery_is_the_next_start_or_that_of_what_was_interrupted() -> None:
    records = _ledger(
        "1 start 1 8", "1 start 2 8", "1 start 3 9", "2 end 2 8", "4 end 3 9", "6 start 4 9", "9 start 1 9"
    )

    assert next_start(records, 4.5) == 1.5
    assert next_start(records, 9) is None
    assert started_again(records, 3) == [6.0]
    assert started_again(records[:-1], 3) == [None]
    assert started_again(records, 3, process=9) == []


def test_percentiles_of_few_values() -> None:
    assert (percentile([3.0, 1.0], 0.5), percentile([3.0, 1.0], 0.99), percentile([], 0.5)) == (1.0, 3.0, None)


def test_one_experiment_on_real_processes() -> None:
    command = [str(ROOT / "bench" / "faults"), "--only", "19", "--systems", "oxcart", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["added"] > 40
    assert [found[name] for name in ("lost", "stuck", "failed_though_done", "again", "twice")] == [0] * 5
    assert found["recoveries"] == 1
