"""Is there a queue of this name elsewhere in the database? Producers that use another prefix add where nobody looks."""

from __future__ import annotations

from oxcart.language import tr
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import text

MOST_KEYS = 100_000
"""Of the whole database, which SCAN has to go through: at most a hundred commands."""

_PAGE = 1000
_ENDS = ("meta", "id", "wait")
"""BullMQ's producers write `meta`, Bull's `id`."""


async def other_prefixes(channel: Channel, *, most_keys: int = MOST_KEYS) -> list[str]:
    """The prefixes of queues that are called as this one, but for its own. Raises Unavailable, ServerRefused."""
    keys = channel.keys
    doing = tr("Looking for queues named {name} under another prefix", name=keys.name)
    name = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in keys.name.replace("\\", "\\\\"))
    found: set[str] = set()
    cursor, seen = b"0", 0
    while seen < most_keys:
        cursor, page = await channel.command(doing, "SCAN", cursor, "MATCH", f"*:{name}:*", "COUNT", _PAGE)
        seen += _PAGE
        for key in map(text, page):
            prefix, _, end = key.rpartition(f":{keys.name}:")
            if end in _ENDS and prefix != keys.prefix:
                found.add(prefix)
        if int(cursor) == 0:
            break
    return sorted(found)
