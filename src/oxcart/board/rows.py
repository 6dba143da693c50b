"""How does a list of any size become a page? By key: what was seen last says where to go on, whatever came or went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oxcart.protocol.scripts import ours
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import StoredJob, check_state, text

PAGE = 50
SHOWN_BYTES, LARGEST_BYTES = 400, 64 * 1024  # of a value in a list; what is larger is only told by its size
OPENED_BYTES, OPENED_LARGEST = 64 * 1024, 64 * 1024 * 1024  # the same of one job that is looked at

_TIMES = ("timestamp", "delay", "processedOn", "finishedOn")
_COUNTS = ("priority", "atm", "ats", "stc", "attemptsMade")
LISTED = ("name", "data", "pb", "progress", "failedReason", "returnvalue", "rjk", "parentKey", *_TIMES, *_COUNTS)

_LISTS = frozenset({"waiting", "active", "paused"})
_NEWEST_FIRST = frozenset({"completed", "failed"})
_FAR = 200_000  # entries of a list that are looked through for one that has moved


@dataclass(frozen=True, slots=True)
class CutJob:
    """A job whose long values are cut. `sizes` are the whole lengths in bytes, by field."""

    job: StoredJob
    sizes: Mapping[str, int]

    def is_cut(self, field: str) -> bool:
        return self.sizes.get(field, 0) > len(self.job.fields.get(field, "").encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Page:
    """`after` leads to the next page, None on the last one; `total` is of the whole state."""

    jobs: Sequence[CutJob]
    total: int
    after: str | None


async def page_of(channel: Channel, state: str, after: str | None, count: int = PAGE) -> Page:
    """`after` is what an earlier page said; one that means nothing begins at the start."""
    key = channel.keys.state(check_state(state))
    doing = f"Listing the {state} jobs of queue {channel.keys.name}"
    place, seen = _read_cursor(after)
    if state in _LISTS:
        start = await _after_in_list(channel, doing, key, place, seen)
        commands = [("LRANGE", key, -(start + count), -(start + 1)), ("LLEN", key)]
        ids, total = await channel.commands(doing, commands)
        found = [text(job_id) for job_id in ids][::-1]
    else:
        start = await _after_in_set(channel, doing, key, place, seen, is_reversed=state in _NEWEST_FIRST)
        command = "ZREVRANGE" if state in _NEWEST_FIRST else "ZRANGE"
        ids, total = await channel.commands(doing, [(command, key, start, start + count - 1), ("ZCARD", key)])
        found = [text(job_id) for job_id in ids]
    rows = await read_jobs(channel, found)
    is_last = start + len(found) >= total or not found
    return Page(rows, total, None if is_last else f"{start + len(found) - 1}@{found[-1]}")


async def read_jobs(channel: Channel, ids: Sequence[str]) -> list[CutJob]:
    """What a list shows of these; a job without a hash is a row without fields."""
    return await _read(channel, ids, SHOWN_BYTES, LARGEST_BYTES, LISTED)


async def read_job(channel: Channel, job_id: str) -> CutJob | None:
    (found,) = await _read(channel, [job_id], OPENED_BYTES, OPENED_LARGEST, ())
    return found if found.job.fields else None


async def _read(channel: Channel, ids: Sequence[str], most: int, largest: int, fields: Sequence[str]) -> list[CutJob]:
    if not ids:
        return []
    doing = f"Reading jobs of queue {channel.keys.name}"
    named = [channel.keys.job(job_id) for job_id in ids]
    replies = await channel.run(doing, ours("job_fields"), named, (most, largest, *fields), repeatable=True)
    return [_cut(channel, job_id, reply) for job_id, reply in zip(ids, replies, strict=True)]


def _cut(channel: Channel, job_id: str, reply: Sequence[Any]) -> CutJob:
    parts = [(text(reply[at]), int(reply[at + 1]), reply[at + 2]) for at in range(0, len(reply), 3)]
    fields = {name: value.decode("utf-8", "replace") for name, _, value in parts}
    return CutJob(StoredJob(job_id, channel.keys.name, fields), {name: length for name, length, _ in parts})


def _read_cursor(after: str | None) -> tuple[int, str | None]:
    place, found, job_id = (after or "").partition("@")
    return (int(place), job_id) if found and place.isdecimal() and len(place) < 16 else (-1, None)


async def _after_in_list(channel: Channel, doing: str, key: str, place: int, seen: str | None) -> int:
    """How many entries from the right end (whose turn is next) lie before the page."""
    if seen is None:
        return 0
    (at_place, found) = await channel.commands(
        doing, [("LINDEX", key, -(place + 1)), ("LPOS", key, seen, "RANK", -1, "MAXLEN", _FAR)]
    )
    if at_place is not None and text(at_place) == seen:
        return place + 1
    if found is None:
        return place
    length: int = await channel.command(doing, "LLEN", key)
    return length - int(found)


async def _after_in_set(
    channel: Channel, doing: str, key: str, place: int, seen: str | None, *, is_reversed: bool
) -> int:
    if seen is None:
        return 0
    rank = await channel.command(doing, "ZREVRANK" if is_reversed else "ZRANK", key, seen)
    return place if rank is None else int(rank) + 1
