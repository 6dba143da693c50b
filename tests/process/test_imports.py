"""Is an idle worker small? It has loaded nothing that it does not use (docs/decisions.md, 11)."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support.command import Oxcart, Running

from oxcart.testing import wait_until

# What only some apps, jobs or commands need. redis-py itself imports its cluster client, and looks whether cryptography
# is installed.
UNUSED = {
    "aiohttp",
    "alembic",
    "asyncpg",
    "bullmq",
    "cryptography.hazmat",
    "jinja2",
    "pebble",
    "prometheus_client",
    "pydantic",
    "rich",
    "sentry_sdk",
    "sqlalchemy",
    "structlog",
    "typer",
}

# Runs the real command in a process that tells what it has loaded once it is asked to end.
OBSERVED = """
import sys
from oxcart.cli import main

code = main(sys.argv[1:])
print(",".join(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def oxcart(tmp_path: Path, redis_url: str, queue_name: str) -> Oxcart:
    return Oxcart(tmp_path, {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name})


async def is_ready(running: Running) -> None:
    await wait_until(
        lambda: {"redis.ready", "worker.started"} <= set(running.events()), describe="it is ready", timeout=30
    )


async def test_an_idle_worker_has_loaded_nothing_that_it_does_not_use(oxcart: Oxcart) -> None:
    observed = replace(oxcart, command=(sys.executable, "-c", OBSERVED))

    async with observed.running("run", PORT="0") as running:
        await is_ready(running)
        assert await running.stopped_by(signal.SIGTERM) == 0
    loaded = set(running.err.strip().split(","))

    assert "starlette" in loaded, "HTTP runs, so this list is of a whole worker"
    assert loaded & UNUSED == set()


async def test_what_an_idle_worker_needs_is_told(oxcart: Oxcart, capsys: pytest.CaptureFixture[str]) -> None:
    """The goals are below 75 MiB and 1 s on a machine of its own; here they are told, not asserted."""
    began = time.monotonic()

    async with oxcart.running("run", PORT="0") as running:
        await is_ready(running)
        seconds = time.monotonic() - began
        resident = await asyncio.to_thread(lambda: psutil.Process(running.process.pid).memory_info().rss)

    with capsys.disabled():
        print(f"\nidle worker: {resident / 2**20:.1f} MiB resident, ready after {seconds:.2f} s")
    assert resident > 0
