"""Which jobs does a job wait for, and which wait for it? Its flow as a tree, and that tree as a drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from oxcart.board.rows import LISTED
from oxcart.errors import InvalidInput, JobNotFound
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import ours
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs, state_of, text

_HIGHEST, _MOST, _MOST_CHILDREN = 20, 80, 40
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 190, 40, 36, 10


@dataclass(slots=True)
class Member:
    """One job of a flow. `more`: children that are not shown."""

    queue: str
    id: str
    name: str = ""
    state: str = "unknown"
    children: list[Member] = field(default_factory=list)
    more: int = 0

    def as_json(self) -> dict[str, Any]:
        about = {"queue": self.queue, "id": self.id, "name": self.name, "state": self.state, "more": self.more}
        return {**about, "children": [child.as_json() for child in self.children]}


class FamilyReader:
    """`channel` is of the job that is looked at; its flow may reach into other queues of the same prefix."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._left = _MOST
        self._seen: set[tuple[str, str]] = set()

    async def read(self, job_id: str, parent_key: str | None) -> Member | None:
        """The whole flow from its root; None for a job that has neither parent nor children."""
        root, above = (self._channel.keys.name, job_id), parent_key
        for _ in range(_HIGHEST):
            place = self._place(above)
            if place is None:
                break
            root, above = place, await self._parent_of(*place)
        member = await self._member(*root)
        return member if member.children or parent_key else None

    def _place(self, key: str | None) -> tuple[str, str] | None:
        """`bull:queue:id`; an id may have colons, a queue has none."""
        start = f"{self._channel.keys.prefix}:"
        queue, colon, job_id = (key or "").removeprefix(start).partition(":")
        return (queue, job_id) if key and key.startswith(start) and colon and queue and job_id else None

    def _at(self, queue: str) -> Channel:
        return Channel(QueueKeys(queue, self._channel.keys.prefix), self._channel.server, self._channel.link)

    async def _parent_of(self, queue: str, job_id: str) -> str | None:
        channel = self._at(queue)
        found = await channel.command("Reading a flow", "HGET", channel.keys.job(job_id), "parentKey")
        return None if found is None else text(found)

    async def _member(self, queue: str, job_id: str) -> Member:
        member = Member(queue, job_id)
        self._left -= 1
        if (queue, job_id) in self._seen:
            return member
        self._seen.add((queue, job_id))
        channel = self._at(queue)
        keys = channel.keys
        (fields,) = await channel.run(
            "Reading a flow", ours("job_fields"), (keys.job(job_id),), (200, 65_536, *LISTED[:1]), repeatable=True
        )
        member.name = text(fields[2]) if fields else ""
        try:
            member.state = await state_of(channel, job_id)
        except (JobNotFound, InvalidInput):
            member.state = "unknown"
        below = await self._below(channel, job_id)
        shown = below[: max(0, min(_MOST_CHILDREN, self._left))]
        member.more = len(below) - len(shown)
        for place in shown:
            if self._left > 0:
                member.children.append(await self._member(*place))
            else:
                member.more += 1
        return member

    async def _below(self, channel: Channel, job_id: str) -> list[tuple[str, str]]:
        keys = channel.keys
        waits, *ended = await channel.commands(
            "Reading a flow",
            [
                ("SSCAN", keys.dependencies(job_id), 0, "COUNT", 200),
                ("HSCAN", keys.processed(job_id), 0, "COUNT", 200),
                ("HSCAN", keys.failed_children(job_id), 0, "COUNT", 200),
                ("ZRANGE", keys.unsuccessful(job_id), 0, 199),
            ],
        )
        found = [text(key) for key in waits[1]]
        for reply in ended[:2]:
            found += pairs(reply[1])
        found += [text(key) for key in ended[2]]
        places = (self._place(key) for key in dict.fromkeys(found))
        return [place for place in places if place is not None]


@dataclass(frozen=True, slots=True)
class Box:
    """Where a job is in the drawing; its parent's box ends at `from_x`, `from_y`."""

    member: Member
    x: int
    y: int
    from_x: int | None
    from_y: int | None


@dataclass(frozen=True, slots=True)
class Drawing:
    """For the template: parents left of their children, which stand below each other."""

    boxes: tuple[Box, ...]
    width: int
    height: int
    box_width: int = _WIDTH
    box_height: int = _HEIGHT


def draw(root: Member) -> Drawing:
    boxes: list[Box] = []
    rows = _place_below(root, 0, 0, None, boxes)
    deepest = max(box.x for box in boxes)
    return Drawing(tuple(boxes), deepest + _WIDTH + 2, rows * (_HEIGHT + _GAP_Y))


def _place_below(member: Member, depth: int, row: int, above: tuple[int, int] | None, boxes: list[Box]) -> int:
    """Returns how many rows the member and all below it take."""
    x = 1 + depth * (_WIDTH + _GAP_X)
    y = 1 + row * (_HEIGHT + _GAP_Y)
    boxes.append(Box(member, x, y, *(above or (None, None))))
    taken = 0
    for child in member.children:
        taken += _place_below(child, depth + 1, row + taken, (x + _WIDTH, y + _HEIGHT // 2), boxes)
    return max(1, taken)


def members(root: Member) -> Iterator[Member]:
    yield root
    for child in root.children:
        yield from members(child)


def member_of(content: dict[str, Any]) -> Member:
    """What as_json has made."""
    children = [member_of(child) for child in content["children"]]
    about = (content["queue"], content["id"], content["name"], content["state"])
    return Member(*about, children, content["more"])
