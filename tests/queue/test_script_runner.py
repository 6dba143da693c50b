"""Does a script run once, and in its turn, on a server that has never seen it or has forgotten it?"""

from __future__ import annotations

from typing import Any

import pytest

from oxcart.connection.blocking import BlockingLink
from oxcart.connection.server import Server
from oxcart.connection.target import RedisTarget, parse_redis_url
from oxcart.errors import ServerRefused
from oxcart.protocol.scripts import Script, ScriptCall, eval_command, run, run_all, run_blocking, script

APPEND = script("append", "return redis.call('RPUSH', KEYS[1], ARGV[1])")
INSERT = script("insert", "redis.call('RPUSH', KEYS[1], ARGV[1]); return 'inserted'")
REFUSE = script("refuse", "return redis.error_reply('NOSUCHTHING this is refused')")


@pytest.fixture
def target(redis_url: str) -> RedisTarget:
    return parse_redis_url(redis_url, {})


@pytest.fixture(autouse=True)
async def forgetful(redis: Any) -> None:
    await redis.script_flush()


def call(of: Script, key: str, value: str, *, repeatable: bool = False) -> ScriptCall:
    return ScriptCall(of, (key,), (value,), repeatable)


async def test_an_unknown_script_is_sent_whole_once(target: RedisTarget, queue_name: str, redis: Any) -> None:
    key = f"bull:{queue_name}:wait"
    server = Server(target)
    link = server.link("test")

    lengths = [await run(link, eval_command(APPEND, (key,), (n,)), APPEND) for n in range(3)]
    await server.close()

    assert lengths == [1, 2, 3]
    assert (await redis.script_exists(APPEND.sha)) == [True]


async def test_a_refusal_is_raised_and_nothing_is_sent_again(target: RedisTarget) -> None:
    server = Server(target)
    link = server.link("test")

    with pytest.raises(ServerRefused) as raised:
        await run(link, eval_command(REFUSE, (), ()), REFUSE)
    await server.close()

    assert raised.value.failure.code != "NOSCRIPT"


async def test_several_keep_their_order_on_a_server_that_knows_none(
    target: RedisTarget, queue_name: str, redis: Any
) -> None:
    key = f"bull:{queue_name}:wait"
    server = Server(target)
    known: set[str] = set()
    calls = [call(APPEND, key, "1"), call(INSERT, key, "2"), call(APPEND, key, "3"), call(INSERT, key, "4")]

    replies = await run_all(server.link("test"), calls, known)
    await server.close()

    assert replies == [1, b"inserted", 3, b"inserted"]
    assert await redis.lrange(key, 0, -1) == ["1", "2", "3", "4"]
    assert known == {APPEND.sha, INSERT.sha}


async def test_what_was_forgotten_runs_once_and_what_may_be_repeated_runs_behind_it(
    target: RedisTarget, queue_name: str, redis: Any
) -> None:
    key = f"bull:{queue_name}:wait"
    server = Server(target)
    link = server.link("test")
    known = {APPEND.sha, INSERT.sha}
    await redis.script_load(INSERT.source)

    calls = [call(INSERT, key, "a"), call(APPEND, key, "b"), call(INSERT, key, "c"), call(INSERT, key, "d")]
    calls[3] = call(INSERT, key, "d", repeatable=True)
    replies = await run_all(link, calls, known)
    await server.close()

    assert replies == [b"inserted", 4, b"inserted", b"inserted"]
    assert await redis.lrange(key, 0, -1) == ["a", "c", "d", "b", "d"]


async def test_a_refused_one_is_an_error_in_its_place(target: RedisTarget, queue_name: str) -> None:
    key = f"bull:{queue_name}:wait"
    server = Server(target)

    replies = await run_all(server.link("test"), [call(APPEND, key, "1"), ScriptCall(REFUSE, (), ())], set())
    await server.close()

    assert replies[0] == 1
    assert isinstance(replies[1], Exception)


def test_a_thread_runs_an_unknown_script_too(target: RedisTarget, queue_name: str) -> None:
    key = f"bull:{queue_name}:wait"
    link = BlockingLink(target)

    lengths = [run_blocking(link, eval_command(APPEND, (key,), (n,)), APPEND) for n in range(2)]
    link.close()

    assert lengths == [1, 2]
