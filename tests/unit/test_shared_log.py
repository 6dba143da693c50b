"""Do the lines of several processes stay apart in one log?"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from oxcart.telemetry import events
from oxcart.telemetry.logs import configure_logging

# Writes lines of 10 KB once three processes are ready: its letter, the file whose lock gives the turns, a folder.
ONE_OF_SEVERAL = """
import sys
import time
from pathlib import Path
from oxcart.telemetry.log_writer import LineWriter

letter, turns, ready = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
(ready / letter).touch()
while len(list(ready.iterdir())) < 3:
    time.sleep(0.001)
writer = LineWriter(sys.stdout, lambda: None, lambda number: b"lost", turns=turns)
for _ in range(300):
    writer.put(letter.encode() * 10_000 + b"\\n")
while writer._waiting_bytes:
    time.sleep(0.005)
writer.close()
"""


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    """A pipe takes 4 KiB in one piece; what is longer may be cut by what another process writes."""
    ready = tmp_path / "ready"
    ready.mkdir()
    with (tmp_path / "turns").open("w") as turns:
        reading, writing = os.pipe()
        given = [str(turns.fileno()), str(ready)]
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", ONE_OF_SEVERAL, letter, *given],
                stdout=writing,
                pass_fds=[turns.fileno()],
            )
            for letter in "abc"
        ]
        os.close(writing)
        with os.fdopen(reading) as stream:
            lines = stream.read().splitlines()
        codes = [process.wait(20) for process in processes]

    assert codes == [0, 0, 0]
    assert len(lines) == 900
    assert {len(line) for line in lines} == {10_000}
    assert all(len(set(line)) == 1 for line in lines), "one process wrote into another's line"


@pytest.mark.parametrize("line_format", ["json", "human"])
def test_the_number_of_the_process_is_in_every_line(line_format: Literal["json", "human"]) -> None:
    output = io.StringIO()
    log = configure_logging(stream=output, format=line_format, process=2)

    log(events.WorkerStopping("SIGTERM", 0, 0.0))
    logging.getLogger("shop").warning("an app's own words")
    log.close()

    lines = output.getvalue().splitlines()
    assert len(lines) == 2
    assert all(('"process":2' if line_format == "json" else "process=2") in line for line in lines)
