"""What does the server know? One socket that counts its own commands and bytes, so that they can be taken off."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import hiredis


@dataclass(frozen=True)
class ServerTotals:
    """What the server has counted since its start for everybody but us; commands inside scripts included."""

    commands: int
    bytes_in: int
    bytes_out: int
    cpu_seconds: float


class Probe:
    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=60)
        self._reader = hiredis.Reader()
        self._commands = 0
        self._sent = 0
        self._received = 0

    def ask(self, *command: object) -> Any:
        request = hiredis.pack_command(tuple(str(part) for part in command))
        self._commands += 1
        self._sent += len(request)
        self._socket.sendall(request)
        while (reply := self._reader.gets()) is False:
            chunk = self._socket.recv(1 << 20)
            if not chunk:
                raise ConnectionError("Asking the server for its counters: it closed the connection. See its log.")
            self._received += len(chunk)
            self._reader.feed(chunk)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def totals(self) -> ServerTotals:
        """INFO answers before it is counted itself; its own request has been read, its answer not yet sent."""
        own_commands, received = self._commands, self._received
        facts = self.info()
        commands = sum(
            int(value.split(b",")[0].removeprefix(b"calls="))
            for name, value in facts.items()
            if name.startswith(b"cmdstat_")
        )
        return ServerTotals(
            commands - own_commands,
            int(facts[b"total_net_input_bytes"]) - self._sent,
            int(facts[b"total_net_output_bytes"]) - received,
            float(facts[b"used_cpu_user"]) + float(facts[b"used_cpu_sys"]),
        )

    def info(self) -> dict[bytes, bytes]:
        lines = self.ask("INFO", "ALL").splitlines()
        return {name: value for name, colon, value in (line.partition(b":") for line in lines) if colon}

    def close(self) -> None:
        self._socket.close()
