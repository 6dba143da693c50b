"""What keys of a queue does no list or set lead to? A bounded SCAN; what it finds is judged by scripts afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from oxcart.language import tr
from oxcart.protocol.keys import OWN_NAMES, QueueKeys
from oxcart.protocol.scripts import Argument, Command, ours
from oxcart.queue.channel import Channel

MOST_KEYS = 2_000_000
"""Of the whole database, which SCAN has to go through: at most 2000 commands."""

PAGE = 1000
CANDIDATES = 50_000
"""Jobs held in memory until the lists are read once for all of them."""

ELEMENTS_PER_CALL = 200_000
"""List elements that one script may compare: some milliseconds of the server's time."""

_OWN = frozenset(name.encode() for name in OWN_NAMES)
_SET_ASIDE = b"oxcart:misnamed:"


@dataclass(slots=True)
class Strangers:
    """`locked`: every id with a lock. `unnamed`: jobs that were in no list or set. `orphans`: ids of which only a job's
    end is there. `deduplication`: every deduplication id.
    """

    locked: list[bytes] = field(default_factory=list)
    unnamed: list[bytes] = field(default_factory=list)
    orphans: list[bytes] = field(default_factory=list)
    deduplication: list[bytes] = field(default_factory=list)
    keys_seen: int = 0
    is_complete: bool = False
    ids_per_call: int = PAGE


async def find_strangers(channel: Channel, most_keys: int) -> Strangers:
    """Jobs may move while we read: only a script that looks at all states at once can tell which are really lost."""
    found = Strangers()
    doing = tr("Searching the keys of queue {name}", name=channel.keys.name)
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", channel.keys.base) + "*"
    prefix = len(channel.keys.base.encode())
    candidates: set[bytes] = set()
    cursor: bytes | str = "0"
    while found.keys_seen < most_keys and not found.is_complete:
        cursor, keys = await channel.command(doing, "SCAN", cursor, "MATCH", pattern, "COUNT", PAGE)
        found.keys_seen += PAGE
        found.is_complete = int(cursor) == 0
        by_kind = await _by_kind(channel, doing, [key[prefix:] for key in keys])
        found.locked += [name.removesuffix(b":lock") for name in by_kind[b"lock"]]
        found.orphans += by_kind[b"orphan"]
        found.deduplication += [name.removeprefix(b"de:") for name in by_kind[b"deduplication"]]
        candidates |= await _in_no_set(channel, doing, by_kind[b"job"])
        if len(candidates) >= CANDIDATES:
            found.unnamed += await _in_no_list(channel, doing, candidates)
            candidates = set()
    found.unnamed += await _in_no_list(channel, doing, candidates)
    found.locked = list(dict.fromkeys(found.locked))  # SCAN may return a key twice
    found.unnamed = list(dict.fromkeys(found.unnamed))
    found.orphans = list(dict.fromkeys(found.orphans))
    found.deduplication = list(dict.fromkeys(found.deduplication))
    found.ids_per_call = max(1, min(PAGE, ELEMENTS_PER_CALL // (await _length(channel, doing) + 1)))
    return found


async def _by_kind(channel: Channel, doing: str, names: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """What each key is, by its type and content: an id may look like any other key of a queue."""
    asked = [name for name in names if name not in _OWN and not name.startswith(_SET_ASIDE)]
    by_kind: dict[bytes, list[bytes]] = {b"job": [], b"orphan": [], b"lock": [], b"deduplication": [], b"": []}
    if asked:
        args: tuple[Argument, ...] = (channel.keys.base, "0", *asked)
        kinds = await channel.run(doing, ours("repair_names"), script_keys(channel.keys), args, repeatable=True)
        for name, kind in zip(asked, kinds, strict=True):
            by_kind[kind].append(name)
    return by_kind


def script_keys(keys: QueueKeys) -> tuple[str, ...]:
    """In the order of protocol/lua/includes/repair.lua."""
    return (
        keys.wait,
        keys.paused,
        keys.meta,
        keys.active,
        keys.delayed,
        keys.prioritized,
        keys.pc,
        keys.events,
        keys.marker,
        keys.stalled,
        keys.waiting_children,
        keys.completed,
        keys.failed,
        keys.limiter,
    )


async def _in_no_set(channel: Channel, doing: str, ids: Iterable[bytes]) -> set[bytes]:
    left = list(ids)
    if not left:
        return set()
    keys = channel.keys
    sets = (keys.delayed, keys.prioritized, keys.waiting_children, keys.completed, keys.failed)
    commands: list[Command] = [("ZMSCORE", key, *left) for key in sets]
    scores = await channel.commands(doing, commands)
    return {job_id for job_id, *found in zip(left, *scores, strict=True) if all(score is None for score in found)}


async def _in_no_list(channel: Channel, doing: str, ids: set[bytes]) -> list[bytes]:
    """Read `wait`, `paused` and `active` once, in pages, and keep the ids that were in none of them."""
    left = set(ids)
    for key in _lists(channel) if left else ():
        start, page = 0, [b""]
        while page and left:
            page = await channel.command(doing, "LRANGE", key, start, start + PAGE - 1)
            left.difference_update(page)
            start += PAGE
    return list(left)


async def _length(channel: Channel, doing: str) -> int:
    commands: list[Command] = [("LLEN", key) for key in _lists(channel)]
    return sum(await channel.commands(doing, commands))


def _lists(channel: Channel) -> tuple[str, str, str]:
    return channel.keys.wait, channel.keys.paused, channel.keys.active
