"""Does a Queue find its server?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.errors import InvalidInput, OxcartError, SettingsError, Unavailable
from oxcart.queue.producer import Queue


async def test_the_environment_names_the_server(
    redis_url: str, queue_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)

    async with Queue(queue_name) as queue:
        await queue.add("x")

    async with Queue(queue_name, redis_url) as again:
        assert (await again.counts())["waiting"] == 1


async def test_without_any_redis_two_queues_share_the_embedded_server(
    tmp_path: Path, queue_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OXCART_DATA_DIR", str(tmp_path / "data"))

    async with Queue(queue_name) as queue, Queue(queue_name) as other:
        added = await queue.add("x", {"n": 1})
        stored = await other.get(added.id)

    assert stored is not None
    assert stored.data == {"n": 1}


async def test_half_a_pair_is_one_sentence(queue_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", "https://eu1-tidy-1.upstash.io")

    with pytest.raises(SettingsError, match="UPSTASH_REDIS_REST_TOKEN"):
        await Queue(queue_name).__aenter__()


async def test_a_url_that_is_none_is_refused_without_repeating_it(queue_name: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        await Queue(queue_name, "https://user:hunter2@example.org").__aenter__()

    assert "hunter2" not in str(raised.value)


async def test_a_shared_server_is_left_open(redis_url: str, queue_name: str) -> None:
    server = Server(parse_redis_url(redis_url))
    async with Queue(queue_name, server=server) as queue:
        await queue.add("x")

    async with Queue(queue_name, server=server) as again:
        assert (await again.counts())["waiting"] == 1
    await server.close()


async def test_a_wrong_password_is_said_at_once_and_not_shown(server: Any, queue_name: str) -> None:
    url = f"redis://default:hunter2@{server.host}:{server.port}"

    async with Queue(queue_name, url) as queue:
        with pytest.raises(Unavailable) as raised:
            await queue.add("x", deadline_seconds=60)

    assert "hunter2" not in str(raised.value) + repr(queue) + repr(raised.value.__cause__)
    assert not raised.value.outcome_unknown


async def test_an_opening_that_failed_leaves_the_queue_closed(queue_name: str) -> None:
    queue = Queue(queue_name, "ftp://nowhere")
    with pytest.raises(InvalidInput):
        await queue.__aenter__()

    with pytest.raises(OxcartError, match="is not open"):
        await queue.counts()
