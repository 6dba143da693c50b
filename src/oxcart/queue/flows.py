"""How does a tree of jobs get in at once? A parent waits for its children, on any queues; one transaction adds all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import ResponseError

from oxcart import clock
from oxcart.connection.failures import classify
from oxcart.errors import InvalidInput, OxcartError, PayloadTooLarge, ServerRefused
from oxcart.protocol.job_options import Parent
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command, ScriptCall, carefully, ours
from oxcart.queue.adding import LARGEST_JOB_BYTES, NewJob, prepare, refusal, upstream_call
from oxcart.queue.channel import Channel
from oxcart.queue.repair_search import script_keys
from oxcart.queue.sending import find_added

_DEEPEST = 50
_TO_COME = "oxcart:to-come"
_NODE_FIELDS = frozenset({"name", "data", "queue", "options", "children", "prefix"})


@dataclass(frozen=True, slots=True)
class FlowNode:
    """One job of a flow. `queue` None: the queue that the flow is added through, `prefix` None: its prefix.

    `options` are those of `Queue.add`.
    """

    name: str
    data: Any = field(default_factory=dict)
    queue: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    children: Sequence[FlowNode | Mapping[str, Any]] = ()
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class AddedFlow:
    """A job of a flow that is stored, with those it waits for."""

    id: str
    name: str
    queue_name: str
    children: tuple[AddedFlow, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One job of the transaction."""

    keys: QueueKeys
    job: NewJob
    waits_for_children: bool
    above: str | None
    """The key of its parent in this flow."""

    def calls(self) -> list[ScriptCall]:
        call = upstream_call(self.keys, self.job, waits_for_children=self.waits_for_children)
        push = "RPUSH" if self.job.options.lifo else "LPUSH"
        named = (self.keys.wait, self.keys.paused, self.keys.meta)
        return [call, ScriptCall(ours("follow_pause"), named, (push, self.job.id))]

    @property
    def hold(self) -> Command:
        """Keeps a parent waiting until all of its children are there."""
        return ("SADD", self.keys.dependencies(self.job.id), _TO_COME)

    @property
    def key(self) -> str:
        return self.keys.job(self.job.id)

    def release(self, children: Sequence[str]) -> ScriptCall:
        """`children` are the keys of those right below it."""
        args: list[str | int] = [self.keys.base, "1", self.job.id, self.job.timestamp_ms, _TO_COME, *children]
        return ScriptCall(ours("release_parent"), script_keys(self.keys), args)


async def add_flow(channel: Channel, tree: FlowNode | Mapping[str, Any], now_ms: int) -> AddedFlow:
    """Add a whole tree in one transaction.

    Raises InvalidInput before anything is sent; Unavailable, ServerRefused, JobNotFound (the root's own parent).
    """
    (added,) = await add_flows(channel, [tree], now_ms)
    return added


async def add_flows(channel: Channel, trees: Sequence[FlowNode | Mapping[str, Any]], now_ms: int) -> list[AddedFlow]:
    """Several in one transaction; else as `add_flow`."""
    if not trees:
        return []
    entries: list[_Entry] = []
    added = [_collect(channel.keys, _node(tree), (), entries, now_ms) for tree in trees]
    size = sum(entry.job.size for entry in entries)
    what = f'flow "{added[0].name[:60]}"' if len(added) == 1 else f"{len(added)} flows"
    if size > LARGEST_JOB_BYTES:
        raise PayloadTooLarge(
            f"Adding {what}: its {len(entries)} jobs have {size} bytes together, "
            f"{LARGEST_JOB_BYTES} are the limit. Store the data elsewhere and add where to find it."
        )
    doing = f"Adding {what} through queue {channel.keys.name}"
    replies = await _send(channel, doing, entries)
    for entry, reply in zip(entries, replies, strict=True):
        refused = reply if isinstance(reply, ResponseError) else reply[0]
        if isinstance(refused, ResponseError | int):
            await _take_back(channel, doing, entries, replies)
        if isinstance(refused, ResponseError):
            raise ServerRefused(classify(refused), doing) from refused
        if isinstance(refused, int):
            raise refusal(doing, entry.job, refused)
    return added


async def _take_back(channel: Channel, doing: str, entries: Sequence[_Entry], replies: Sequence[Any]) -> None:
    """One job was refused: a parent would wait for ever for a child that is not there.

    Each that this add has made goes, parents first: a parent that loses its last child would be free to run.
    """
    for entry, reply in zip(entries, replies, strict=True):
        answer, was_there = (None, 0) if isinstance(reply, ResponseError) else reply
        if answer == entry.job.id.encode() and not was_there:
            args, named = (entry.job.id, 0, entry.keys.base), (entry.key, entry.keys.repeat)
            with suppress(OxcartError):
                await channel.run(doing, carefully("removeJob"), named, args, repeatable=True)


async def _send(channel: Channel, doing: str, entries: Sequence[_Entry]) -> list[Any]:
    """What the scripts answered, each {answer, whether the job was there}.

    A repeated try looks for the root first: where it was added, all were.
    """
    commands = _transaction(entries)
    root = entries[0]
    first_try: list[float] = []

    async def attempt(seconds: float) -> list[Any]:
        if first_try and await find_added(channel, root.keys, [root.job.id], first_try[0], seconds):
            return [[entry.job.id.encode(), 0] for entry in entries]
        first_try.append(clock.monotonic())
        replies = channel.checked(doing, await channel.link.requests(commands, deadline_seconds=seconds))
        results: list[Any] = replies[-1]
        parents = sum(entry.waits_for_children for entry in entries)
        return results[parents : parents + 2 * len(entries) : 2]

    return await channel.persist(doing, attempt, repeatable=True)


def _transaction(entries: Sequence[_Entry]) -> list[Command]:
    """MULTI … EXEC. A script is sent whole the first time: one that the server has lost would leave half a tree."""
    parents = [entry for entry in entries if entry.waits_for_children]
    children: dict[str, list[str]] = {}
    for entry in entries:
        if entry.above is not None:
            children.setdefault(entry.above, []).append(entry.key)
    commands: list[Command] = [("MULTI",), *(parent.hold for parent in parents)]
    calls = [call for entry in entries for call in entry.calls()]
    # The lowest first, as their own parents wait for them.
    calls += [parent.release(children[parent.key]) for parent in reversed(parents)]
    sent: set[str] = set()
    for call in calls:
        commands.append(call.command if call.script.sha in sent else call.whole)
        sent.add(call.script.sha)
    return [*commands, ("EXEC",)]


def _collect(
    keys: QueueKeys, node: FlowNode, above: tuple[Parent, ...], entries: list[_Entry], now_ms: int
) -> AddedFlow:
    """Append a node and those below it, parents first. `above` are its parents, the nearest last."""
    if len(above) > _DEEPEST:
        raise InvalidInput(f"A flow is nested more than {_DEEPEST} levels deep, or contains itself. Make it flatter.")
    own_keys = keys
    if node.queue is not None or node.prefix is not None:
        own_keys = QueueKeys(node.queue or keys.name, node.prefix or keys.prefix)
    job = prepare(own_keys, node.name, node.data, _options(node, above[-1] if above else None), now_ms)
    parent = above[-1].key if above else None
    entries.append(_Entry(own_keys, job, waits_for_children=bool(node.children), above=parent))
    below = Parent(job.id, own_keys.qualified_name)
    children = tuple(_collect(keys, _node(child), (*above, below), entries, now_ms) for child in node.children)
    return AddedFlow(job.id, job.name, own_keys.name, children)


def _options(node: FlowNode, parent: Parent | None) -> dict[str, Any]:
    options = dict(node.options)
    if node.children and options.get("deduplication"):
        raise InvalidInput(f'Flow job "{node.name}": one with children cannot be deduplicated. Leave it out.')
    if parent is not None:
        if options.get("parent"):
            raise InvalidInput(f'Flow job "{node.name}": its place in the tree is its parent. Leave parent out.')
        options["parent"] = parent
    return options


def _node(given: FlowNode | Mapping[str, Any]) -> FlowNode:
    if isinstance(given, FlowNode):
        return given
    if not isinstance(given, Mapping) or "name" not in given:
        raise InvalidInput('A flow\'s job is {"name", "data", "queue", "options", "children"}, at least "name".')
    unknown = set(given) - _NODE_FIELDS
    if unknown:
        raise InvalidInput(f"A flow's job has no {min(unknown)!r}; it has {', '.join(sorted(_NODE_FIELDS))}.")
    return FlowNode(**given)
