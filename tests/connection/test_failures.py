"""Does each way in which a Redis connection can fail get its code, and advice that helps?

Here rebuilt from recorded texts, through redis-py's parser; test_failures_for_real.py has servers cause them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from pathlib import Path

import pytest
import redis
import redis.asyncio
import redis.exceptions
from redis._parsers.base import BaseParser

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
        ("ERR max concurrent connections exceeded\r", "Q_CONN", Kind.TRANSIENT),
        ("ERR max number of clients reached", "Q_CONN", Kind.TRANSIENT),
        ("ERR max number of clients + cluster connections reached", "Q_CONN", Kind.TRANSIENT),
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
