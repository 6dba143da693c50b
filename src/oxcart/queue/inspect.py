"""What is in a queue? Counts, jobs, logs and workers; reads only, and reads what is broken too."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oxcart.errors import InvalidInput, JobNotFound
from oxcart.protocol import codec
from oxcart.protocol.job_options import JobOptions, parse_options
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Command, upstream
from oxcart.queue.channel import Channel

STATES = ("waiting", "active", "delayed", "prioritized", "waiting-children", "completed", "failed", "paused")
"""As BullMQ names them. `paused` holds jobs only while a queue was paused by BullMQ 5."""

_LISTS = frozenset({"waiting", "active", "paused"})
_FINISHED = frozenset({"completed", "failed"})


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job as its hash has it. `fields` are raw texts and always readable; the properties decode them."""

    id: str
    queue_name: str
    fields: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.fields.get("name", "")

    @property
    def data(self) -> Any:
        """Raises InvalidInput if it is no JSON; `fields["data"]` still has the text."""
        return codec.decode(self.fields.get("data", "{}"), f"data of job {self.id}")

    @property
    def options(self) -> JobOptions:
        return parse_options(self.fields.get("opts"))

    @property
    def returnvalue(self) -> Any:
        """None as long as it has not completed; raises InvalidInput if it is no JSON."""
        text = self.fields.get("returnvalue")
        return None if text is None else codec.decode(text, f"return value of job {self.id}")

    @property
    def progress(self) -> Any:
        text = self.fields.get("progress")
        return 0 if text is None else codec.decode(text, f"progress of job {self.id}")

    @property
    def failed_reason(self) -> str | None:
        return self.fields.get("failedReason")

    @property
    def stacktrace(self) -> list[str]:
        """One text per failed attempt; empty if the field is not what BullMQ writes."""
        try:
            traces = codec.decode(self.fields.get("stacktrace", "[]"), "stacktrace")
        except InvalidInput:
            return []
        return [str(trace) for trace in traces] if isinstance(traces, list) else []

    @property
    def attempts_made(self) -> int:
        return self._number("atm") or self._number("attemptsMade") or 0

    @property
    def attempts_started(self) -> int:
        return self._number("ats") or 0

    @property
    def stalled_count(self) -> int:
        return self._number("stc") or 0

    @property
    def timestamp_ms(self) -> int:
        return self._number("timestamp") or 0

    @property
    def delay_ms(self) -> int:
        return self._number("delay") or 0

    @property
    def priority(self) -> int:
        return self._number("priority") or 0

    @property
    def processed_on_ms(self) -> int | None:
        return self._number("processedOn")

    @property
    def finished_on_ms(self) -> int | None:
        return self._number("finishedOn")

    @property
    def processed_by(self) -> str | None:
        return self.fields.get("pb")

    @property
    def parent_key(self) -> str | None:
        return self.fields.get("parentKey")

    @property
    def scheduler_id(self) -> str | None:
        return self.fields.get("rjk")

    @property
    def deduplication_id(self) -> str | None:
        return self.fields.get("deid")

    def _number(self, name: str) -> int | None:
        try:
            return int(float(self.fields[name]))
        except (KeyError, ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """One connection of a worker, as CLIENT LIST shows it; `name` is what BullMQ's `name` option gave it. `is_paused`:
    it runs, and claims nothing at present; of Node's workers nobody knows.
    """

    name: str | None
    address: str
    age_seconds: int
    idle_seconds: int
    is_paused: bool = False


PAUSED = ":paused"  # behind the name of a worker of ours that is paused


async def counts(channel: Channel) -> dict[str, int]:
    """How many jobs are in each of STATES, at one moment."""
    names = ["wait" if state == "waiting" else state for state in STATES]
    doing = f"Counting the jobs of queue {channel.keys.name}"
    numbers = await channel.run(doing, upstream("getCounts"), (channel.keys.base,), names, repeatable=True)
    return dict(zip(STATES, numbers, strict=True))


async def get(channel: Channel, job_id: str) -> StoredJob | None:
    doing = f"Reading job {job_id} of queue {channel.keys.name}"
    return _stored(channel.keys, job_id, await channel.command(doing, "HGETALL", channel.keys.job(job_id)))


async def state_of(channel: Channel, job_id: str) -> str:
    """One of STATES. Raises JobNotFound for a job that is in none of them."""
    keys = channel.keys
    doing = f"Looking for job {job_id} in queue {keys.name}"
    named = (
        keys.completed,
        keys.failed,
        keys.delayed,
        keys.active,
        keys.wait,
        keys.paused,
        keys.waiting_children,
        keys.prioritized,
    )
    state: str = (await channel.run(doing, upstream("getStateV2"), named, (job_id,), repeatable=True)).decode()
    if state == "unknown":
        raise JobNotFound(f"{doing}: it is not there. It may have finished and been removed; look at its id and queue.")
    return state


async def jobs(channel: Channel, state: str, start: int, end: int) -> list[StoredJob]:
    """Jobs `start` to `end` (both included, -1 is the last) of a state; a job whose hash is gone is left out.

    Finished jobs come newest first, all others in the order in which they will be claimed, active ones longest first.
    """
    check_state(state)
    doing = f"Listing the {state} jobs of queue {channel.keys.name}"
    ids = await _ids(channel, doing, state, start, end)
    found: list[StoredJob] = []
    for chunk in (ids[at : at + 100] for at in range(0, len(ids), 100)):
        commands: list[Command] = [("HGETALL", channel.keys.job(job_id)) for job_id in chunk]
        replies = await channel.commands(doing, commands)
        stored = (_stored(channel.keys, job_id, reply) for job_id, reply in zip(chunk, replies, strict=True))
        found += (job for job in stored if job is not None)
    return found


async def _ids(channel: Channel, doing: str, state: str, start: int, end: int) -> list[str]:
    key = channel.keys.state(state)
    if state in _LISTS:
        # The next one to be claimed is at the right end.
        replies = await channel.command(doing, "LRANGE", key, -end - 1, -start - 1)
        replies = replies[::-1]
    else:
        replies = await channel.command(doing, "ZREVRANGE" if state in _FINISHED else "ZRANGE", key, start, end)
    return [text(reply) for reply in replies]


def check_state(state: str) -> str:
    if state not in STATES:
        raise InvalidInput(f'"{state}" is no state of a job; states are {", ".join(STATES)}.')
    return state


async def logs(channel: Channel, job_id: str, start: int, end: int) -> list[str]:
    doing = f"Reading the log of job {job_id} in queue {channel.keys.name}"
    return [text(line) for line in await channel.command(doing, "LRANGE", channel.keys.logs(job_id), start, end)]


async def children_values(channel: Channel, job_id: str) -> dict[str, Any]:
    """Return values of the children that have finished, by their keys; one that is no JSON stays text."""
    doing = f"Reading the children of job {job_id} in queue {channel.keys.name}"
    reply = await channel.command(doing, "HGETALL", channel.keys.processed(job_id))
    values: dict[str, Any] = {}
    for key, value in pairs(reply).items():
        try:
            values[key] = codec.decode(value, "a child's return value")
        except InvalidInput:
            values[key] = value
    return values


async def workers(channel: Channel) -> list[WorkerSeen]:
    """Workers of this queue in any language: BullMQ names their connections after the queue.

    Raises ServerRefused where the server does not allow CLIENT LIST.
    """
    reply = text(await channel.command(f"Listing the workers of queue {channel.keys.name}", "CLIENT", "LIST"))
    return workers_in(channel.keys, reply)


def workers_in(keys: QueueKeys, reply: str) -> list[WorkerSeen]:
    """The same, of what CLIENT LIST has answered."""
    plain = client_name(keys)
    seen = []
    for line in reply.splitlines():
        client = dict(part.partition("=")[::2] for part in line.split(" "))
        name = client.get("name", "")
        if name == plain or name.startswith(f"{plain}:w:"):
            worker = name.removeprefix(plain).removeprefix(":w:").removesuffix(PAUSED) or None
            age, idle = client.get("age", "0"), client.get("idle", "0")
            seen.append(WorkerSeen(worker, client.get("addr", ""), int(age), int(idle), name.endswith(PAUSED)))
    return seen


def client_name(keys: QueueKeys) -> str:
    """What BullMQ calls a connection of this queue; `:w:` and the worker's own name may follow."""
    return f"{keys.prefix}:{base64.b64encode(keys.name.encode()).decode()}"


def text(reply: Any) -> str:
    """A reply as text that can always be shown."""
    return reply.decode("utf-8", "backslashreplace") if isinstance(reply, bytes) else str(reply)


def pairs(reply: Sequence[Any] | Mapping[Any, Any]) -> dict[str, str]:
    """HGETALL's flat answer as a dict."""
    if isinstance(reply, Mapping):
        return {text(name): text(value) for name, value in reply.items()}
    return {text(reply[at]): text(reply[at + 1]) for at in range(0, len(reply), 2)}


def _stored(keys: QueueKeys, job_id: str, reply: Sequence[Any]) -> StoredJob | None:
    return StoredJob(job_id, keys.name, pairs(reply)) if reply else None
