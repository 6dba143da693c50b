"""What is in these bytes of the Redis protocol? Just enough of RESP2 for the tests' proxy."""

from __future__ import annotations

import re

import hiredis

_INCOMPLETE = object()


def split_commands(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole commands as they are on the wire, and the beginning of the next. What is not RESP is one "command"."""
    commands: list[bytes] = []
    start = 0
    while start < len(data):
        if data[start : start + 1] != b"*":
            return [*commands, data[start:]], b""
        end = _end_of_command(data, start)
        if end is None:
            break
        commands.append(data[start:end])
        start = end
    return commands, data[start:]


def _end_of_command(data: bytes, start: int) -> int | None:
    at = data.find(b"\r\n", start)
    if at < 0:
        return None
    count, at = int(data[start + 1 : at]), at + 2
    for _ in range(count):
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            return None
        at = line_end + 2 + int(data[at + 1 : line_end]) + 2
    return at if at <= len(data) else None


def command_name(command: bytes) -> str:
    found = re.match(rb"\*\d+\r\n\$\d+\r\n([!-~]+)\r\n", command)
    return found[1].decode().upper() if found else ""


class ReplyCounter:
    """Counts whole replies in a stream; what is not RESP counts as one reply a piece."""

    def __init__(self) -> None:
        self.count = 0
        self._reader: hiredis.Reader | None = hiredis.Reader(notEnoughData=_INCOMPLETE)

    def feed(self, data: bytes) -> None:
        if self._reader is None:
            self.count += 1
            return
        self._reader.feed(data)
        try:
            while self._reader.gets(False) is not _INCOMPLETE:
                self.count += 1
        except hiredis.ProtocolError:
            self._reader = None
            self.count += 1
