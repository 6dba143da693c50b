"""Does `oxcart board` open for any Redis, tell where, keep to looking only, and end?"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.command import Oxcart

from oxcart import Queue
from oxcart.testing import wait_until


@pytest.fixture
def oxcart(tmp_path: Path, redis_url: str, queue_name: str) -> Oxcart:
    return Oxcart(tmp_path, {"REDIS_URL": redis_url, "JOB_QUEUE_NAME": queue_name})


def ask(address: str, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
    request = urllib.request.Request(address + path, body, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: bytes = answer.read()
        return found


async def test_a_board_for_looking_tells_its_address_and_ends_at_once(
    oxcart: Oxcart, queue_name: str, redis_url: str
) -> None:
    async with Queue(queue_name, redis_url) as queue:
        await queue.add("x", {})
    async with oxcart.running("board", "--port", "0", "--read-only", "--no-open") as running:
        found = await wait_until(
            lambda: re.search(r"(http://127\.0\.0\.1:\d+)/board", running.out),
            describe="it tells where it is",
            timeout=30,
        )
        assert found is not None
        page = await asyncio.to_thread(ask, found[1], "/board")
        told = json.loads(await asyncio.to_thread(ask, found[1], "/api/overview"))
        body = json.dumps({"queue": queue_name}).encode()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            await asyncio.to_thread(ask, found[1], "/api/actions/pause", "POST", body)
        code = await running.stopped_by(signal.SIGINT)

    assert queue_name.encode() in page
    assert [line["waiting"] for line in told["queues"] if line["name"] == queue_name] == [1]
    assert code == 130
