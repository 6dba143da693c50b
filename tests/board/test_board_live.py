"""Does an open page stay current, for what one look costs, and for nothing when nobody looks?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from redis.asyncio import Redis
from support.board import Visitor, open_visitor
from support.server import PrivateServer

from oxcart import Queue
from oxcart.board import live, sampler
from oxcart.board.live import Live
from oxcart.testing import wait_until


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other twenty times as fast."""
    monkeypatch.setattr(sampler, "_EVERY_SECONDS", 0.05)


def counting(pages: list[str]) -> tuple[Live[str], list[str]]:
    rendered: list[str] = []

    async def render(key: str) -> str:
        rendered.append(key)
        return pages[min(len(rendered), len(pages)) - 1]

    return Live(render, lambda: 0.0), rendered


async def test_only_what_differs_is_sent_and_a_time_that_passes_does_not() -> None:
    at = '<p>{}</p><time data-ms="1">{}</time>'
    shown = at.format("one", "1 s ago")
    room, _ = counting([shown, at.format("one", "2 s ago"), at.format("two", "2 s ago"), at.format("two", "3 s ago")])

    async with aclosing(room.follow("page", shown)) as following:
        first = await anext(following)

    assert first == at.format("two", "2 s ago")
    await room.close()


async def test_fifty_who_watch_the_same_cost_what_one_does_and_none_costs_nothing() -> None:
    pages = ["one"]
    room, rendered = counting(pages)
    followers: list[Any] = [room.follow("page", "") for _ in range(50)]

    assert await asyncio.gather(*(anext(follower) for follower in followers)) == ["one"] * 50
    assert room.streams == 50
    rounds = room.rounds
    assert abs(len(rendered) - rounds) <= 1, "one look a round, for all"
    for follower in followers:
        await follower.aclose()

    await wait_until(lambda: room._loop is not None and room._loop.done(), describe="the loop has ended")
    assert room.streams == 0


async def test_a_sign_of_life_is_sent_where_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "KEEP_ALIVE_SECONDS", 0.01)
    room, _ = counting(["same"])

    async with aclosing(room.follow("page", "same")) as following:
        assert await anext(following) == ""
    await room.close()


async def test_a_stream_ends_so_that_its_session_is_judged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STREAM_SECONDS", 0.01)
    room, _ = counting(["same"])

    assert [html async for html in room.follow("page", "same")] == []
    await room.close()


async def messages(visitor: Visitor, path: str) -> AsyncGenerator[str, None]:
    """The data of each server-sent event, as they come."""
    parts: asyncio.Queue[str] = asyncio.Queue()
    path, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path, "root_path": "",
        "raw_path": path.encode(), "query_string": query.encode(), "client": ("127.0.0.1", 1), "server": None,
        "headers": [(b"host", b"127.0.0.1:3001"), (b"accept", b"text/event-stream")],
    }  # fmt: skip
    gone = asyncio.Event()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await parts.put(message.get("body", b"").decode())

    answering = asyncio.ensure_future(visitor.app(scope, receive, send))
    try:
        while True:
            part = await asyncio.wait_for(parts.get(), 10)
            lines = [line.removeprefix("data: ") for line in part.splitlines() if line.startswith("data: ")]
            if lines:
                yield "\n".join(lines)
    finally:
        gone.set()
        await answering


async def test_the_counts_of_an_open_page_follow_the_queue(redis_url: str, queue_name: str) -> None:
    async with (
        Queue(queue_name, redis_url) as queue,
        open_visitor(redis_url, queue_name) as visitor,
        aclosing(messages(visitor, f"/board/live?view=queue&queue={queue_name}")) as stream,
    ):
        first = await anext(stream)
        await queue.add("x", {"n": 1})
        second = await anext(stream)

    assert "<b>0</b>" in first
    assert "<html" not in first
    assert 'class="name">x<' in second


async def test_a_page_without_watchers_asks_nothing_of_redis(redis_url: str, queue_name: str, redis: Redis) -> None:
    async with open_visitor(redis_url, queue_name) as visitor:
        async with aclosing(messages(visitor, "/board/live?view=overview")) as stream:
            await anext(stream)

        before = (await redis.info("stats"))["total_commands_processed"]
        await asyncio.sleep(0.2)  # four times as long as between two looks
        after = (await redis.info("stats"))["total_commands_processed"]

    assert after - before <= 1, "only our own INFO"


async def test_the_board_says_that_redis_is_away_and_comes_back_by_itself(
    fresh_server: PrivateServer, queue_name: str
) -> None:
    async with open_visitor(fresh_server.url, queue_name) as visitor:
        assert (await visitor.ask("/board")).status == 200
        fresh_server.kill()
        async with aclosing(messages(visitor, "/board/live?view=overview")) as stream:
            away = await until(stream, "goes on trying")
            answer = await visitor.ask("/board")
            told = await visitor.ask("/api/overview")
            fresh_server.start()
            back = await until(stream, "At a glance")

    assert (answer.status, told.status) == (503, 503)
    assert "TCP_REFUSED" in away + answer.text
    assert queue_name in back


async def until(stream: AsyncIterator[str], wanted: str) -> str:
    async for html in stream:
        if wanted in html:
            return html
    raise AssertionError(f"the stream ended without {wanted}")
