"""What is in a queue, so that two queues can be compared? Every key under a prefix, whatever may differ left out.

Left out, as docs/decisions.md, 3, says: lock values, stream ids, how long a key lives, the `marker`, and our own
receipts under `oxcart:`. Times stay: who compares runs both queues on one clock, and then they must agree too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import redis

Dump = dict[str, Any]


def dump(client: redis.Redis, prefix: str) -> Dump:
    """Every key under `prefix` as text: {key: (type, content, whether it expires)}."""
    server: Any = client  # redis-py's annotations know neither bytes from str nor sync from async
    content: Dump = {}
    for raw in server.scan_iter(match=f"{prefix}*", count=1000):
        key = raw.decode()
        if _is_left_out(key, prefix):
            continue
        kind = server.type(key).decode()
        if kind == "none":
            continue  # it expired between the two commands
        value = "<a lock>" if key.endswith(":lock") else _READ[kind](server, key)
        content[key] = (kind, value, server.pttl(key) > 0)
    return content


def differences(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """One line per key that is not the same; an empty list says that the two queues are."""
    lines = []
    for key in sorted(expected.keys() | actual.keys()):
        if expected.get(key) != actual.get(key):
            lines.append(f"{key}:\n  expected {expected.get(key)}\n  actual   {actual.get(key)}")
    return lines


def _is_left_out(key: str, prefix: str) -> bool:
    parts = key.removeprefix(prefix).split(":")
    return parts[-1] == "marker" or "oxcart" in parts


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _read_stream(server: Any, key: str) -> list[dict[str, str]]:
    return [{_text(name): _text(value) for name, value in fields.items()} for _, fields in server.xrange(key)]


_READ: Mapping[str, Callable[[Any, str], Any]] = {
    "string": lambda server, key: _text(server.get(key)),
    "list": lambda server, key: [_text(item) for item in server.lrange(key, 0, -1)],
    "set": lambda server, key: sorted(_text(item) for item in server.smembers(key)),
    "zset": lambda server, key: [(_text(item), score) for item, score in server.zrange(key, 0, -1, withscores=True)],
    "hash": lambda server, key: {_text(name): _text(value) for name, value in server.hgetall(key).items()},
    "stream": _read_stream,
}
