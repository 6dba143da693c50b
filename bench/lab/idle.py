"""What does a worker without jobs cost? Commands as the server counts them, and memory. All peers at once, each with a
server of its own: a minute's counting takes a minute, and none of them has anything to do in it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from lab.processes import Workers
from lab.roster import BY_NAME
from lab.server import BenchServer

CALM_SECONDS = 122.0  # Oxcart asks more often in the first two minutes after a job or its start
COUNT_SECONDS = 60.0
CONCURRENCY = 25


def idle(
    names: tuple[str, ...], *, calm_seconds: float = CALM_SECONDS, seconds: float = COUNT_SECONDS
) -> dict[str, dict[str, float]]:
    """Per peer: commands per minute from the third minute on, resident memory of its processes."""
    with ExitStack() as stack:
        pairs = []
        for name in names:
            server = stack.enter_context(BenchServer())
            pairs.append((server, stack.enter_context(Workers(BY_NAME[name], server.url, concurrency=CONCURRENCY))))
        time.sleep(calm_seconds)
        began = time.monotonic()
        before = [server.probe.totals() for server, _ in pairs]
        time.sleep(seconds)
        minutes = (time.monotonic() - began) / 60
        figures = {}
        for (server, workers), first in zip(pairs, before, strict=True):
            workers.check()
            last = server.probe.totals()
            figures[workers.peer.name] = {
                "commandsPerMinute": (last.commands - first.commands) / minutes,
                "bytesPerMinute": (last.bytes_in + last.bytes_out - first.bytes_in - first.bytes_out) / minutes,
                "idleRssMiB": workers.rss_mib(),
            }
    return figures
