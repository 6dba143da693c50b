"""Which sockets does HTTP listen on? IPv4 and IPv6 at one port: an old Railway private network has IPv6 only."""

from __future__ import annotations

import errno
import os
import socket

from oxcart.errors import PortUnavailable

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - platforms reach a container from outside
LOOPBACK = ("127.0.0.1", "::1")

_PORTS_TO_TRY = 100
_HIGHEST_PORT = 65_535
_BACKLOG = 1024  # where it is full, a newcomer comes again after a whole second; the system may grant less


def open_sockets(port: int, hosts: tuple[str, ...], *, may_move: bool) -> list[socket.socket]:
    """Listening sockets, all at one port; 0 asks the system for one.

    Raises PortUnavailable when `port` cannot be had, or with `may_move` when none of the next hundred can.
    """
    last = min(port + _PORTS_TO_TRY, _HIGHEST_PORT) if may_move and port else port
    for candidate in range(port, last):
        try:
            return _open_at(candidate, hosts)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise _unavailable(candidate, error) from error
    try:
        return _open_at(last, hosts)
    except OSError as error:
        raise _unavailable(port, error) from error


def _open_at(port: int, hosts: tuple[str, ...]) -> list[socket.socket]:
    """A host without IPv6 has the IPv4 socket only, and the other way round; a port that one family lacks is taken."""
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    for host in hosts:
        try:
            sockets.append(_listen(host, port))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT):
                _close(sockets)
                raise
            absent = error
        else:
            port = sockets[0].getsockname()[1]
    if absent is not None and not sockets:
        raise absent
    return sockets


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it lets two programs share one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _close(sockets: list[socket.socket]) -> None:
    for listener in sockets:
        listener.close()


def _unavailable(port: int, error: OSError) -> PortUnavailable:
    if error.errno == errno.EADDRINUSE:
        why = "another process has it. Stop that process, or set PORT to a free one"
    elif error.errno == errno.EACCES:
        why = "this user may not use it. Set PORT to a number from 1024 on"
    else:
        why = f"{os.strerror(error.errno or 0)}. Set PORT to another one"
    return PortUnavailable(port, f"HTTP cannot listen on port {port}: {why}.")
