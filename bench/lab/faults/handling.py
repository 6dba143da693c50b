"""What does a job do? Notes its start, takes its time or does harm, and notes its end: the same in both Pythons."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from typing import Any

from lab.faults.ledger import note


async def handle(data: dict[str, Any], job_id: str, attempt: int) -> Any:
    """`how`: "block" the event loop, "hold" the GIL in a call into C, "crash" the process; else sleep as one should."""
    number, seconds = int(data["n"]), data["ms"] / 1000
    note("start", number, job_id, attempt)
    match data.get("how"):
        case "crash":
            os._exit(9)
        case "hold":
            ctypes.PyDLL(None).usleep(int(seconds * 1e6))
        case "block":
            time.sleep(seconds)  # the fault itself
        case _:
            await asyncio.sleep(seconds)
    note("end", number, job_id, attempt)
    return "x" * (1024 * data.get("result_kb", 0)) or number
