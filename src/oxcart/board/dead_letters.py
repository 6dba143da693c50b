"""Why did jobs fail? The newest dead letters of all queues in groups of one reason, those with most jobs first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from oxcart.board.core import Ask, Board
from oxcart.board.veil import VEIL, veiled_text
from oxcart.protocol.scripts import ours
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import text

LOOK, MOST_LOOK = 1000, 20_000  # jobs of one queue
_CHUNK, _REASON_BYTES, _SPARKS, _MOST_GROUPS = 250, 300, 24, 100
# What differs from job to job in one and the same reason: ids, numbers, times, quoted names.
_VARIES = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b|\b(?=\w*\d)[\w-]{12,}\b|\d+(?:[.,:]\d+)*",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Group:
    queue: str
    reason: str
    times: list[int] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    newest: str = ""
    searched: str = ""


async def grouped(board: Board, ask: Ask) -> dict[str, Any]:
    """{"groups": […], "looked", "total"}: of each queue the newest dead letters are looked at."""
    sample = await board.sampler.look()
    wanted, most = ask.get("queue"), ask.number("look", LOOK, 1, MOST_LOOK)
    failed = {facts.queue: facts.counts["failed"] for facts in sample.queues if facts.counts["failed"]}
    names = [name for name in failed if not wanted or name == wanted]
    found = await asyncio.gather(*(_groups(board.channel(name), most) for name in names))
    groups = sorted((group for each in found for group in each), key=lambda group: (-len(group.times), group.reason))
    return {
        "groups": [_as_json(group, ask, sample.at_ms) for group in groups[:_MOST_GROUPS]],
        "looked": sum(min(most, failed[name]) for name in names),
        "total": sum(failed[name] for name in names),
        "queue": wanted,
        "queues": sorted(failed),
        "now": sample.at_ms,
    }


async def _groups(channel: Channel, most: int) -> Iterable[_Group]:
    doing = f"Reading why jobs of queue {channel.keys.name} failed"
    newest = await channel.command(doing, "ZREVRANGE", channel.keys.failed, 0, most - 1, "WITHSCORES")
    times = {text(newest[at]): int(float(newest[at + 1])) for at in range(0, len(newest), 2)}
    ids, groups = list(times), dict[str, _Group]()
    for chunk in (ids[at : at + _CHUNK] for at in range(0, len(ids), _CHUNK)):
        named = [channel.keys.job(job_id) for job_id in chunk]
        args = (_REASON_BYTES, 65_536, "failedReason", "name")
        for job_id, reply in zip(
            chunk, await channel.run(doing, ours("job_fields"), named, args, repeatable=True), strict=True
        ):
            fields = {text(reply[at]): reply[at + 2].decode("utf-8", "replace") for at in range(0, len(reply), 3)}
            _add(groups, channel.keys.name, job_id, fields, times[job_id])
    return groups.values()


def _add(groups: dict[str, _Group], queue: str, job_id: str, fields: dict[str, str], at_ms: int) -> None:
    reason = fields.get("failedReason", "").partition("\n")[0]
    shape = _VARIES.sub("…", reason)
    group = groups.get(shape)
    if group is None:  # the newest comes first
        told = veiled_text(reason).split(VEIL)  # what is searched for stands in an address
        longest = max((part for each in told for part in _VARIES.split(each)), key=len).strip()
        group = groups[shape] = _Group(queue, reason, newest=job_id, searched=longest)
    group.times.append(at_ms)
    name = fields.get("name", "")
    group.names[name] = group.names.get(name, 0) + 1


def _as_json(group: _Group, ask: Ask, now_ms: int) -> dict[str, Any]:
    first, last = min(group.times), max(group.times)
    step = max(1, (now_ms - first) // _SPARKS + 1)
    counts = [0] * _SPARKS
    for at in group.times:
        counts[min(_SPARKS - 1, max(0, (at - first) // step))] += 1
    names = sorted(group.names.items(), key=lambda pair: -pair[1])
    return {
        "queue": group.queue,
        "reason": ask.text(group.reason),
        "contains": group.searched,
        "count": len(group.times),
        "first": first,
        "last": last,
        "names": [{"name": name, "count": count} for name, count in names[:5]],
        "moreNames": max(0, len(names) - 5),
        "newest": group.newest,
        "spark": counts,
    }
