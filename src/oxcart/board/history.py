"""What was done in the last day, and how long did it take? Each worker adds its part to Redis, every five minutes.

A queue has a hash for each hour, which ends after a day: one field for five minutes of one worker. Writing it takes two
commands, and nothing while nothing ends. Node's workers keep counts by themselves if they are told to (`metrics`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from oxcart.connection.server import Server
from oxcart.errors import OxcartError
from oxcart.own_tasks import start_own_task
from oxcart.protocol.keys import HISTORY_HOURS, QueueKeys
from oxcart.queue.channel import Channel
from oxcart.queue.inspect import pairs, text
from oxcart.telemetry.events import Event, JobsFinished

SLOT_MS, HOUR_MS = 300_000, 3_600_000
HOURS, SLOTS = 24, 288
_KEPT_SECONDS = HISTORY_HOURS * 3600
_MOST_NAMES, _OTHERS = 50, "other"
_TIMED = 25  # jobs of one exchange whose times are taken: a busy worker must not pay for each
_STEP = 3.0  # steps of a time for each doubling: what is told is at most 13 % off
_ENDED = {"completed": 0, "failed": 1, "retry_later": 2}
_WRITE_SECONDS = 5.0


class Part(msgspec.Struct, array_like=True):
    """One name's jobs: how many completed, failed, will be tried again; times by their step."""

    counts: list[int]
    run: dict[int, int]
    wait: dict[int, int]


@dataclass(slots=True)
class _Queue:
    keys: QueueKeys
    parts: dict[str, Part] = field(default_factory=dict)


def step_of(ms: float) -> int:
    return round(math.log2(max(0.0, ms) + 1) * _STEP)


def ms_of(step: float) -> float:
    return float(2 ** (step / _STEP) - 1)


class Recorder:
    """A subscriber of the job loop. `worker` tells this process's fields from others'."""

    def __init__(self, server: Server, prefix: str, worker: str) -> None:
        self._server, self._prefix, self._worker = server, prefix, worker
        self._queues: dict[str, _Queue] = {}
        self._slot = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def __call__(self, event: Event) -> None:
        if type(event) is not JobsFinished:
            return
        queue = self._queues.get(event.queue)
        if queue is None:
            queue = self._queues[event.queue] = _Queue(QueueKeys(event.queue, self._prefix))
        for at, job in enumerate(event.jobs):
            kind = _ENDED.get(job.verdict)
            if kind is None:
                continue
            part = queue.parts.get(job.name) or _new_part(queue.parts, job.name)
            part.counts[kind] += 1
            if at < _TIMED:
                for steps, ms in ((part.run, job.run_ms), (part.wait, job.waited_ms)):
                    step = step_of(ms)
                    steps[step] = steps.get(step, 0) + 1
        if self._timer is None:
            self._begin_slot()

    async def close(self) -> None:
        """What was counted so far is written, if that is possible within a moment."""
        if self._timer is not None:
            self._timer.cancel()
            self._flush()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=1.0)

    def _begin_slot(self) -> None:
        now = self._server.clock.now_ms()
        self._slot = now // SLOT_MS
        seconds = SLOT_MS / 1000 - now % SLOT_MS / 1000
        self._timer = asyncio.get_running_loop().call_later(seconds, self._flush)

    def _flush(self) -> None:
        self._timer = None
        queues, self._queues = self._queues, {}
        self._writing = start_own_task(self._write(self._slot, queues), "board:history")

    async def _write(self, slot: int, queues: Mapping[str, _Queue]) -> None:
        """A server that is away or refuses loses five minutes of what is nice to know."""
        link = self._server.link("history")
        try:
            for queue in queues.values():
                key = queue.keys.history(slot * SLOT_MS // HOUR_MS)
                value = msgspec.json.encode(queue.parts)
                commands = [("HSET", key, f"{slot}:{self._worker}", value), ("EXPIRE", key, _KEPT_SECONDS)]
                await link.requests(commands, deadline_seconds=_WRITE_SECONDS)
        except OxcartError:
            return
        finally:
            link.discard()


def _new_part(parts: dict[str, Part], name: str) -> Part:
    shown = name[:100].encode("utf-8", "replace").decode()
    if len(parts) >= _MOST_NAMES and shown not in parts:
        shown = _OTHERS
    return parts.setdefault(shown, Part([0, 0, 0], {}, {}))


# ------------------------------------------------------------------------------------------------ reading
async def read(channel: Channel, now_ms: int) -> dict[str, Any]:
    """The last day of a queue: {"times": epoch seconds of each five minutes, "completed", "failed", "names", …}."""
    doing, hour = f"Reading the history of queue {channel.keys.name}", now_ms // HOUR_MS
    hours = [("HGETALL", channel.keys.history(hour - back)) for back in range(HOURS + 1)]
    metrics = [channel.keys.metrics(kind) for kind in ("completed", "failed")]
    node = [command for key in metrics for command in (("HGET", key, "prevTS"), ("LRANGE", f"{key}:data", 0, 1439))]
    replies = await channel.commands(doing, [*hours, *node])
    last = now_ms // SLOT_MS
    slots = [_Slot() for _ in range(SLOTS)]
    names: dict[str, Part] = {}
    for field_name, value in (pair for reply in replies[: len(hours)] for pair in pairs(reply).items()):
        at = SLOTS - 1 - (last - int(field_name.partition(":")[0]))
        if 0 <= at < SLOTS:
            _add(slots[at], names, value)
    for kind in (0, 1):
        _add_node(slots, kind, replies[len(hours) + 2 * kind], replies[len(hours) + 2 * kind + 1], last)
    return {
        "times": [(last - SLOTS + 1 + at) * SLOT_MS // 1000 for at in range(SLOTS)],
        "completed": [slot.counts[0] for slot in slots],
        "failed": [slot.counts[1] for slot in slots],
        "run95": [quantile(slot.run, 0.95) for slot in slots],
        "wait95": [quantile(slot.wait, 0.95) for slot in slots],
        "names": sorted((_told(name, part) for name, part in names.items()), key=lambda one: -sum(one["counts"])),
    }


@dataclass(slots=True)
class _Slot:
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])
    run: dict[int, int] = field(default_factory=dict)
    wait: dict[int, int] = field(default_factory=dict)


def _add(slot: _Slot, names: dict[str, Part], value: str) -> None:
    try:
        parts = msgspec.json.decode(value, type=dict[str, Part])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return  # of another version
    for name, part in parts.items():
        whole = names.setdefault(name, Part([0, 0, 0], {}, {}))
        for known in (whole, slot):
            known.counts = [a + b for a, b in zip(known.counts, part.counts, strict=False)]
            _merge(known.run, part.run)
            _merge(known.wait, part.wait)


def _merge(into: dict[int, int], more: Mapping[int, int]) -> None:
    for step, count in more.items():
        into[step] = into.get(step, 0) + count


def _add_node(slots: list[_Slot], kind: int, newest_ms: Any, counts: Iterable[Any], last: int) -> None:
    """BullMQ's own metrics: a count for each minute, the newest first. Where ours know more, ours are told."""
    if newest_ms is None or not text(newest_ms).isdecimal():
        return
    minute = int(text(newest_ms)) // 60_000
    found = [0] * SLOTS
    for back, count in enumerate(counts):
        at = SLOTS - 1 - (last - (minute - back) // 5)
        if 0 <= at < SLOTS and text(count).isdecimal():
            found[at] += int(text(count))
    for at, number in enumerate(found):
        slots[at].counts[kind] = max(slots[at].counts[kind], number)


def _told(name: str, part: Part) -> dict[str, Any]:
    times = {
        "run50": (part.run, 0.5),
        "run95": (part.run, 0.95),
        "wait50": (part.wait, 0.5),
        "wait95": (part.wait, 0.95),
    }
    return {"name": name, "counts": part.counts, **{key: quantile(*given) for key, given in times.items()}}


def quantile(steps: Mapping[int, int], share: float) -> float | None:
    """Milliseconds that `share` of what was counted does not exceed; None for nothing."""
    left = sum(steps.values()) * share
    for step in sorted(steps):
        left -= steps[step]
        if left <= 0:
            return round(ms_of(step), 1)
    return None
