"""How far do we get towards the server? Name, TCP and TLS, each by itself, in blocking calls for a thread.

TLS is tried with blocking sockets, because asyncio loses the alert that says why a handshake was refused.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from oxcart.connection.sockets import PlainTextServer, tls_context
from oxcart.connection.target import RedisTarget

_PLAIN_ANSWER_SECONDS = 1.0
_ALERT_SECONDS = 0.5
_LEAST_ALERT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Address:
    """One address of the server. `sockaddr` is what connect() takes."""

    family: int
    sockaddr: Any

    def __str__(self) -> str:
        if self.family == socket.AF_UNIX:
            return str(self.sockaddr)
        host = str(self.sockaddr[0])
        return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the server shows of itself; times are in UTC."""

    names: tuple[str, ...]
    issuer: str
    not_after: datetime | None


@dataclass(frozen=True, slots=True)
class Handshake:
    """A handshake that worked. `certificate` is None where it was not verified."""

    version: str
    certificate: Certificate | None
    milliseconds: float


def look_up(host: str, port: int, family: int) -> list[Address]:
    """Raises socket.gaierror, or UnicodeError for a name that cannot be one."""
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [Address(kind, sockaddr) for kind, _, _, _, sockaddr in found]


def is_ip_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def connect(address: Address, seconds: float) -> float:
    """Open and close a connection; returns how many milliseconds it took. Raises OSError."""
    began = time.perf_counter()
    with _connected(address, seconds):
        return (time.perf_counter() - began) * 1000


def shake_hands(target: RedisTarget, address: Address, seconds: float) -> Handshake:
    """The TLS handshake as the worker makes it, certificate verified if the target says so.

    Afterwards it asks for PING: a server that wants a certificate of ours says so only then. Raises OSError,
    ssl.SSLError, or PlainTextServer where the server answers without TLS.
    """
    context = tls_context(replace(target, tls=True))
    assert context is not None
    began = time.perf_counter()
    with _connected(address, seconds) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=target.host) as secured:
                milliseconds = (time.perf_counter() - began) * 1000
                seen = Handshake(secured.version() or "TLS", _certificate(secured.getpeercert() or {}), milliseconds)
                _hear_late_alert(secured, 2 * milliseconds / 1000)
                return seen
        except TimeoutError as error:
            if answers_plain_text(address):
                raise PlainTextServer from error
            raise


def _hear_late_alert(secured: ssl.SSLSocket, seconds: float) -> None:
    """Listen first, for as long as an alert takes to come: what is sent to a server that has closed resets the
    connection, and an alert that was not read is lost with it.
    """
    try:
        secured.settimeout(min(_ALERT_SECONDS, max(_LEAST_ALERT_SECONDS, seconds)))
        with contextlib.suppress(TimeoutError):
            secured.recv(64)
        secured.settimeout(_ALERT_SECONDS)
        secured.sendall(b"PING\r\n")
        secured.recv(64)
    except ssl.SSLEOFError:
        return  # it hung up without an alert: what that means shows at the login
    except ssl.SSLError:
        raise
    except OSError:
        return


def answers_plain_text(address: Address) -> bool:
    """Whether a Redis answers PING without TLS. The password is never sent this way."""
    with contextlib.suppress(OSError), _connected(address, _PLAIN_ANSWER_SECONDS) as plain:
        plain.sendall(b"PING\r\n")
        return plain.recv(64).startswith((b"+", b"-"))
    return False


def look_at_certificate(target: RedisTarget, address: Address, seconds: float) -> Certificate | None:
    """The certificate as it is, believed or not; None where this Python cannot show it."""
    context = tls_context(replace(target, tls=True, tls_verify=False))
    assert context is not None
    with (
        contextlib.suppress(OSError),
        _connected(address, seconds) as plain,
        context.wrap_socket(plain, server_hostname=target.host) as secured,
    ):
        # Public only from Python 3.13 on, and there as bytes that nothing of the standard library can read.
        read_chain = getattr(getattr(secured, "_sslobj", None), "get_unverified_chain", None)
        chain = read_chain() if read_chain is not None else None
        if chain:
            return _certificate(chain[0].get_info())
    return None


@contextmanager
def _connected(address: Address, seconds: float) -> Iterator[socket.socket]:
    with socket.socket(address.family, socket.SOCK_STREAM) as sock:
        sock.settimeout(seconds)
        sock.connect(address.sockaddr)
        yield sock


def _certificate(shown: Any) -> Certificate | None:
    """What getpeercert() tells, which is nothing for a certificate that was not verified."""
    if not shown:
        return None
    subject = dict(pair for group in shown.get("subject", ()) for pair in group)
    issuer = dict(pair for group in shown.get("issuer", ()) for pair in group)
    names = tuple(value for kind, value in shown.get("subjectAltName", ()) if kind in {"DNS", "IP Address"})
    until = shown.get("notAfter")
    return Certificate(
        names or tuple(name for name in (subject.get("commonName"),) if name),
        issuer.get("organizationName") or issuer.get("commonName") or "an unnamed authority",
        datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if until else None,
    )
