"""Is a large account read with few requests and little memory? Small here; bench/kommo-scale has it in full size."""

from __future__ import annotations

import json
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from support.mirroring import Mirror
from support.sandbox import Sandbox

from kommo.sync.conftest import ORGANISATION, make_world
from oxcart.kommo.entities import ENTITIES
from oxcart_sandbox import World

TESTS = Path(__file__).parent.parent.parent
ALLOWED = 1.1
MOST_MIB = 150

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")


@pytest.fixture
def world() -> World:
    return make_world(contacts=20_000, leads=3000)


@pytest.mark.timeout(240)
async def test_a_large_account(
    mirror: Mirror, sandbox: Sandbox, database_url: str, redis_url: str, queue_name: str
) -> None:
    """In a process of its own, whose memory is its own; a page costs one request, a second with many rows a few."""
    token = sandbox.world.token_of(sandbox.demo)
    places = (database_url, sandbox.url, redis_url, queue_name, token, mirror.account.connection_id, ORGANISATION, "15")

    program = (sys.executable, "-m", "support.sync_process", *places)
    process = await create_subprocess_exec(*program, cwd=TESTS, stdout=PIPE)
    out, _ = await process.communicate()

    assert process.returncode == 0
    done = json.loads(out.splitlines()[-1])
    counts = sandbox.demo.seed.counts
    pages = sum(max(-(-counts.get(entity.name, 0) // entity.limit), 1) for entity in ENTITIES.values())
    bulk = 4 * sum(counts.get(entity.name, 0) >= 3000 for entity in ENTITIES.values())  # 300 rows of one second
    assert len(sandbox.world.seen) <= pages * ALLOWED + bulk
    assert done["peakMib"] < MOST_MIB
    assert {outcome["error"] for outcome in done["outcomes"]} == {None}
    assert len(await mirror.alive("contacts")) == 20_000
    assert await mirror.differences(["companies", "leads", "tasks", "leads_notes"]) == {}
