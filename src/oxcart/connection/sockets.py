"""How is a byte stream to Redis opened? Addresses, TCP options and TLS; nothing of the Redis protocol."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohappyeyeballs

from oxcart.connection.target import RedisTarget
from oxcart.own_tasks import start_own_task

if sys.platform == "linux":
    import fcntl
    import termios

FAMILIES = {"auto": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}

# The next address is tried beside the first after this long (RFC 8305): a black hole in one family costs 250 ms.
_NEXT_ADDRESS_SECONDS = 0.25

# A peer that vanished is noticed after 2 + 3 x 1 s of silence, long before a request's deadline.
_KEEPALIVE_IDLE_SECONDS = 2
_KEEPALIVE_INTERVAL_SECONDS = 1
_KEEPALIVE_PROBES = 3
# The same bound for bytes sent and not acknowledged; the kernel would go on for some 15 minutes.
_USER_TIMEOUT_MS = 5000

# A plain Redis often says nothing at all to a TLS greeting: after this long we ask it in its own language.
_PLAIN_QUESTION_AFTER_SECONDS = 2.0
_PLAIN_ANSWER_SECONDS = 1.0

_LINGER_0 = struct.pack("ii", 1, 0)

MakeProtocol = Callable[[], asyncio.Protocol]


class PlainTextServer(ssl.SSLError):
    """TLS was spoken to a server that answers plain Redis; reads as OpenSSL's own error for the same mistake."""

    def __init__(self) -> None:
        super().__init__(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number: the server answers without TLS")
        self.reason = "WRONG_VERSION_NUMBER"


def tls_context(target: RedisTarget) -> ssl.SSLContext | None:
    """None without TLS. A CA file, or its text, replaces the system's authorities: only what it holds is trusted."""
    if not target.tls:
        return None
    trusted = target.tls_ca_file
    is_text = trusted is not None and trusted.startswith("-----BEGIN ")
    context = ssl.create_default_context(cadata=trusted) if is_text else ssl.create_default_context(cafile=trusted)
    if not target.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def open_transport(target: RedisTarget, context: ssl.SSLContext | None, protocol: MakeProtocol) -> None:
    """Resolve the name anew and connect the protocol; with a context, in TLS. Bounded by the caller.

    Raises what the system raises (OSError, ssl.SSLError, socket.gaierror, UnicodeError), or PlainTextServer.
    """
    loop = asyncio.get_running_loop()
    if target.unix_path is not None:
        await loop.create_unix_connection(protocol, target.unix_path)
        return
    sock = await _connect_tcp(target)
    if context is None:
        await loop.create_connection(protocol, sock=sock)
    else:
        await _start_tls(target, sock, context, protocol)


def set_tcp_options(sock: socket.socket) -> None:
    """No delay, and keepalive that notices a vanished peer; options that this system lacks are left out."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPALIVE", _KEEPALIVE_IDLE_SECONDS),  # macOS's name for TCP_KEEPIDLE
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def close_hard(sock: socket.socket) -> None:
    """Make the coming close send RST: the server drops a blocked command at once, and nothing waits here."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)


def unacknowledged_bytes(sock: socket.socket) -> int:
    """How much of what was written the kernel has not got rid of yet; 0 where it does not say."""
    if sys.platform != "linux":
        return 0
    count = bytearray(4)
    with contextlib.suppress(OSError, ValueError):
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, count)
    return int.from_bytes(count, sys.byteorder)


async def _connect_tcp(target: RedisTarget) -> socket.socket:
    loop = asyncio.get_running_loop()
    addresses = await _resolve(target, loop)
    try:
        sock = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, loop=loop)
    except RuntimeError as error:  # uvloop's form of some socket errors
        raise OSError(str(error)) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise OSError("the connect was cancelled by other code of this process") from error
    except OSError as error:
        raise _most_telling(error) from error
    set_tcp_options(sock)
    return sock


async def _resolve(target: RedisTarget, loop: asyncio.AbstractEventLoop) -> Any:
    """In a thread of its own: handlers may keep all of the loop's default executor busy, or shut it down."""
    found: asyncio.Future[Any] = loop.create_future()

    def settle(settle_it: Callable[[Any], None], answer: Any) -> None:
        if not found.done():
            settle_it(answer)

    def work() -> None:
        try:
            family = FAMILIES[target.family]
            answer = socket.getaddrinfo(target.host, target.port, family=family, type=socket.SOCK_STREAM)
        except (OSError, ValueError, OverflowError) as error:
            tell = partial(settle, found.set_exception, error)
        else:
            tell = partial(settle, found.set_result, answer)
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(tell)

    try:
        threading.Thread(target=work, name="oxcart-resolver", daemon=True).start()
    except RuntimeError as error:
        raise OSError(f"no thread can be started to look the name up: {error}") from error
    return await found


def _most_telling(error: OSError) -> OSError:
    """Addresses that failed differently come as one OSError without errno: give it that of an address with a route.

    "IPv6 unreachable, IPv4 refused" is about the refusal. Only the text has the numbers; a test holds its form.
    """
    if error.errno is not None:
        return error
    numbers = [int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))]
    unroutable = {101, 113, 99, 97}  # ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT on Linux
    routed = [number for number in numbers if number not in unroutable] or numbers
    return OSError(routed[0], str(error)) if routed else error


async def _start_tls(target: RedisTarget, sock: socket.socket, context: ssl.SSLContext, protocol: MakeProtocol) -> None:
    """Shake hands; meanwhile find out whether a server that stays silent speaks plain Redis."""
    is_plain = False

    async def ask_in_plain_text() -> None:
        nonlocal is_plain
        await asyncio.sleep(min(_PLAIN_QUESTION_AFTER_SECONDS, target.connect_timeout_seconds / 3))
        if await _answers_plain_text(target):
            is_plain = True
            handshake.reschedule(0)  # in the past: give up now

    question: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(None) as handshake:
            question = start_own_task(ask_in_plain_text(), "redis:plain-text-question")
            await asyncio.get_running_loop().create_connection(
                protocol,
                sock=sock,
                ssl=context,
                server_hostname=target.host,
                ssl_handshake_timeout=target.connect_timeout_seconds + 1,  # the caller's deadline comes first
            )
    except TimeoutError as error:
        if is_plain:
            raise PlainTextServer from error
        raise
    finally:
        if question is not None and not question.done():
            question.cancel()
            await asyncio.wait({question})


async def _answers_plain_text(target: RedisTarget) -> bool:
    """Send PING without TLS on a socket of its own, never the password: does a Redis answer?"""
    try:
        async with asyncio.timeout(_PLAIN_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(sock=await _connect_tcp(target))
            try:
                writer.write(b"PING\r\n")
                answer = await reader.read(64)
            finally:
                writer.transport.abort()
    except OSError:
        return False
    return answer.startswith((b"+", b"-"))
