"""Does `oxcart mcp` serve an agent, as a process of its own, over stdio, to the official client?"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters, stdio_client

from oxcart import Queue
from oxcart.board.tools import TOOLS


@asynccontextmanager
async def agent(folder: Path, url: str, queue: str, *options: str) -> AsyncIterator[Client]:
    environ = {"PATH": os.environ["PATH"], "REDIS_URL": url, "JOB_QUEUE_NAME": queue}
    command = ["-m", "oxcart", "mcp", *options]
    server = StdioServerParameters(command=sys.executable, args=command, env=environ, cwd=folder)
    async with Client(stdio_client(server)) as client:
        yield client


async def ask(client: Client, tool: str, **arguments: Any) -> Any:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def may_look_and_nothing_else(tmp_path: Path, redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue:
        added = await queue.add("greet", {"name": "Ann", "password": "hunter2"})

        async with agent(tmp_path, redis_url, queue_name) as client:
            offered = (await client.list_tools()).tools
            seen = await ask(client, "overview")
            job = await ask(client, "show_job", queue=queue_name, job_id=added.id)
            missing = await ask(client, "show_job", queue=queue_name, job_id="nobody")
            refused = await client.call_tool("act", {"action": "pause", "fields": {"queue": queue_name}})

        assert not await queue.is_paused()
    assert sorted(tool.name for tool in offered) == sorted(TOOLS)
    assert len(TOOLS) == 10
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in offered)
    assert queue_name in {each["name"] for each in seen["queues"]}
    assert "Ann" in str(job)
    assert "hunter2" not in str(job)
    assert "error" in missing
    assert refused.is_error
    assert "act" in str(refused.content)


async def may_act(tmp_path: Path, redis_url: str, queue_name: str) -> None:
    async with Queue(queue_name, redis_url) as queue:
        await queue.add("greet")

        async with agent(tmp_path, redis_url, queue_name, "--allow-changes") as client:
            offered = {tool.name for tool in (await client.list_tools()).tools}
            done = await ask(client, "act", action="pause", fields={"queue": queue_name})
            wrong = await ask(client, "act", action="explode", fields={"queue": queue_name})

        assert await queue.is_paused()
    assert offered == {*TOOLS, "act"}
    assert done["undo"] == {"action": "resume", "queue": queue_name}
    assert "There is no such action" in wrong["error"]


async def test_an_agent_may_look_and_change_only_where_that_is_allowed(
    tmp_path: Path, redis_url: str, queue_name: str
) -> None:
    """Both at once: each waits for its own process to start."""
    await asyncio.gather(
        may_look_and_nothing_else(tmp_path, redis_url, queue_name), may_act(tmp_path, redis_url, f"{queue_name}-other")
    )
