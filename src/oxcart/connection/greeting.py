"""What does a new connection say first, and which answers must be good?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.exceptions import InvalidResponse, NoPermissionError

from oxcart.connection.target import RedisTarget

Command: TypeAlias = tuple[bytes | str | int | float, ...]


def greeting(
    target: RedisTarget, password: str, client_name: str | None, *, password_only: bool = False
) -> tuple[list[Command], int]:
    """The commands, to be sent in one write, and how many of them, from the first, must succeed.

    `password_only` is the AUTH of servers before Redis 6.
    """
    commands: list[Command] = []
    if target.username and not password_only:
        commands.append(("AUTH", target.username, password))
    elif password:
        commands.append(("AUTH", password))
    if target.db:
        commands.append(("SELECT", target.db))
    commands.append(("PING",))
    required = len(commands)
    if client_name:
        commands.append(("CLIENT", "SETNAME", re.sub(r"[^!-~]+", "-", client_name)))
    commands.append(("CLIENT", "SETINFO", "LIB-NAME", "oxcart"))
    return commands, required


def check_greeting(commands: Sequence[Command], replies: Sequence[Any]) -> None:
    """Raise the first error among the replies that must be good; an unexpected reply is never shown."""
    for command, reply in zip(commands, replies, strict=True):
        is_ping = command[0] == "PING"
        if isinstance(reply, NoPermissionError) and is_ping:
            continue  # a user who may not PING is still answered
        if isinstance(reply, Exception):
            raise reply
        if reply != (b"PONG" if is_ping else b"OK"):
            raise InvalidResponse(f"Protocol Error: an unexpected reply to {command[0]!s}")


def describe(target: RedisTarget, role: str, command: Command | None = None) -> str:
    """What we were doing, for a message: sending this command, or connecting."""
    where = f"Redis at {target.unix_path or f'{target.host}:{target.port}'} ({role})"
    if command is None:
        return f"Connecting to {where}"
    name = command[0].decode(errors="replace") if isinstance(command[0], bytes) else str(command[0])
    return f"Sending {name[:32].upper()} to {where}"
