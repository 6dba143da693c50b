"""Does a running worker say the same as the doctor? One table feeds the log, /health and the doctor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.examined import examined
from support.server import PrivateServer
from support.watched import watched_worker

from oxcart import Oxcart
from oxcart.telemetry.events import RedisFailureChanged, RedisLost
from oxcart.testing import wait_until

Fault = Callable[[PrivateServer], None]


def stop(server: PrivateServer) -> None:
    server.kill()


def change_the_password(server: PrivateServer) -> None:
    with server.client() as client:
        client.config_set("requirepass", "another")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def mend_the_password(server: PrivateServer) -> None:
    right, server.password = server.password, "another"
    with server.client() as client:
        client.config_set("requirepass", right)
    server.password = right


def demote(server: PrivateServer) -> None:
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", 1)
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def promote(server: PrivateServer) -> None:
    with server.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(
    ("break_it", "mend_it", "code"),
    [
        (stop, PrivateServer.start, "TCP_REFUSED"),
        (change_the_password, mend_the_password, "AUTH_BAD"),
        (demote, promote, "READONLY"),
    ],
)
async def test_a_worker_and_the_doctor_agree(
    fresh_server: PrivateServer, queue_name: str, break_it: Fault, mend_it: Fault, code: str
) -> None:
    async with watched_worker(Oxcart(), fresh_server.url, queue_name) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker is well")

        break_it(fresh_server)
        await wait_until(
            lambda: watched.status.redis.failure is not None and watched.status.redis.failure.code == code,
            describe=f"the worker says {code}",
        )
        seen = await examined({"REDIS_URL": fresh_server.url, "OXCART_REDIS_CONNECT_TIMEOUT_SECONDS": "2"})
        mend_it(fresh_server)
        await wait_until(lambda: watched.status.healthy, describe="the worker is well again")

    told = [event.failure.code for event in watched.events if isinstance(event, RedisLost | RedisFailureChanged)]
    assert code in told
    assert seen.verdict == code
