"""Do the fixtures of conftest.py keep what they promise? A check that cannot fail would protect nothing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from support.keys import is_known, unknown_keys
from support.server import PrivateServer

pytest_plugins = ["pytester"]

KNOWN = {
    "list": ["wait", "active", "paused", "7:logs", "metrics:completed:data"],
    "zset": ["delayed", "prioritized", "completed", "failed", "waiting-children", "repeat", "marker", "7:unsuccessful"],
    "string": ["id", "pc", "limiter", "stalled-check", "7:lock", "de:once", "repeat:nightly:1700000000000:lock"],
    "hash": ["meta", "7", "order-7", "7:processed", "7:failed", "repeat:nightly", "repeat:a:b:17", "dn:once"],
    "set": ["stalled", "7:dependencies"],
    "stream": ["events"],
}


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, keys in KNOWN.items() for key in keys])
def test_every_key_of_bullmq_is_known(kind: str, key: str) -> None:
    assert is_known(key, kind)
    assert is_known(f"oxcart:{key}", kind)


@pytest.mark.parametrize(
    ("kind", "key"),
    [("string", "7"), ("hash", "wait"), ("list", "delayed"), ("set", "7:locks"), ("string", "7:lock:2"), ("hash", "")],
)
def test_any_other_key_is_not(kind: str, key: str) -> None:
    assert not is_known(key, kind)


async def test_unknown_keys_are_found_on_the_server(redis: Redis, server: PrivateServer, queue_name: str) -> None:
    await redis.hset(f"bull:{queue_name}:1", "name", "greet")
    await redis.set(f"bull:{queue_name}:1:surprise", "x")

    with server.client() as client:
        found = unknown_keys(client)

    assert found == [f"bull:{queue_name}:1:surprise (string)"]
    await redis.delete(f"bull:{queue_name}:1:surprise")


def test_a_test_that_leaves_an_unknown_key_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_inner_test(
        pytester,
        monkeypatch,
        "async def test_it(redis, queue_name):\n    await redis.set(f'bull:{queue_name}:surprise', 'x')\n",
    )

    run.assert_outcomes(passed=1, errors=1)
    run.stdout.fnmatch_lines(["*keys that BullMQ does not know: bull:q*:surprise (string)*"])


def test_a_skipped_test_fails_in_ci(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import pytest\n@pytest.mark.skip(reason='no tool')\ndef test_it():\n    assert False\n"

    monkeypatch.delenv("CI", raising=False)
    run_inner_test(pytester, monkeypatch, source).assert_outcomes(skipped=1)
    monkeypatch.setenv("CI", "true")
    run_inner_test(pytester, monkeypatch, source).assert_outcomes(errors=1)


def run_inner_test(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str) -> pytest.RunResult:
    """Run one test file under our conftest.py, in a pytest process of its own."""
    tests = Path(__file__).parents[1]
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest((tests / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(source)
    monkeypatch.setenv("PYTHONPATH", str(tests))
    return pytester.runpytest_subprocess("-p", "no:cacheprovider")


def test_no_setting_of_this_machine_reaches_a_test() -> None:
    assert not [name for name in os.environ if name.startswith(("REDIS", "UPSTASH", "OXCART", "RAILWAY", "JOB_"))]


async def test_the_client_and_the_url_reach_the_server(redis: Redis, redis_url: str, queue_name: str) -> None:
    await redis.set(f"bull:{queue_name}:id", 5)

    with BlockingRedis.from_url(redis_url, decode_responses=True) as client:
        assert client.get(f"bull:{queue_name}:id") == "5"


def test_a_fresh_server_keeps_its_data_when_it_crashes(fresh_server: PrivateServer) -> None:
    with fresh_server.client() as client:
        client.set("kept", "yes")
    fresh_server.kill()
    assert not fresh_server.is_running()

    fresh_server.start()

    with fresh_server.client() as client:
        assert client.get("kept") == "yes"


def test_a_fresh_server_can_come_back_empty(fresh_server: PrivateServer) -> None:
    with fresh_server.client() as client:
        client.set("kept", "yes")

    fresh_server.restart(keep_data=False)

    with fresh_server.client() as client:
        assert client.get("kept") is None


def test_a_frozen_server_answers_again_once_thawed(fresh_server: PrivateServer) -> None:
    fresh_server.freeze()
    with socket.create_connection((fresh_server.host, fresh_server.port), timeout=0.2) as connection:
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)

    fresh_server.thaw()

    with fresh_server.client() as client:
        assert client.ping()
