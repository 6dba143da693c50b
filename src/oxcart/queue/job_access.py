"""How is one job read and changed, by a handler or from outside? By BullMQ's own scripts, as Node's Job does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oxcart.errors import InvalidInput, JobNotFound, OxcartError, StateConflict
from oxcart.protocol import codec
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import Argument, Script, upstream
from oxcart.queue.inspect import pairs, text

_MISSING_JOB, _OTHER_STATE, _MISSING_PARENT = -1, -3, -5
_COUNTED = ("processed", "unprocessed", "ignored", "failed")


class Asker(Protocol):
    """What reaches the server: queue.channel.Channel, or a worker's line."""

    @property
    def keys(self) -> QueueKeys: ...

    async def command(self, doing: str, *command: Argument, repeatable: bool = True) -> Any: ...

    async def run(
        self, doing: str, script: Script, keys: Sequence[Argument], args: Sequence[Argument], *, repeatable: bool
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class JobAccess:
    """One job of a queue. Every method raises Unavailable or ServerRefused, and JobNotFound where the job is gone."""

    asker: Asker
    job_id: str

    # -------------------------------------------------------------------------------------------- data, progress, log
    async def update_data(self, data: Any) -> None:
        """Raises InvalidInput for what is no JSON."""
        keys, value = self.asker.keys, codec.encode(data)
        await self._run("updating its data", "updateData", (keys.job(self.job_id),), (value,))

    async def update_progress(self, progress: Any) -> None:
        keys, value = self.asker.keys, codec.encode(progress, "the progress")
        named = (keys.job(self.job_id), keys.events, keys.meta)
        await self._run("reporting progress", "updateProgress", named, (self.job_id, value))

    async def log(self, line: str, keep: int | None) -> int:
        """How many lines its log has now; only the last `keep` stay."""
        keys = self.asker.keys
        named, args = (keys.job(self.job_id), keys.logs(self.job_id)), (self.job_id, line, keep or "")
        return int(await self._run("appending to its log", "addLog", named, args, repeatable=False))

    async def clear_logs(self, keep: int | None) -> None:
        """Only the last `keep` lines stay; none without a number."""
        key = self.asker.keys.logs(self.job_id)
        command: tuple[Argument, ...] = ("LTRIM", key, -keep, -1) if keep else ("DEL", key)
        await self.asker.command(self._doing("clearing its log"), *command)

    # -------------------------------------------------------------------------------------------- when it comes
    async def change_delay(self, delay_ms: int, now_ms: int) -> None:
        """From now on. Raises StateConflict for a job that is not delayed."""
        keys = self.asker.keys
        named = (keys.delayed, keys.meta, keys.marker, keys.events)
        args = (delay_ms, now_ms, self.job_id, keys.job(self.job_id))
        await self._run("changing its delay", "changeDelay", named, args)

    async def change_priority(self, priority: int, *, lifo: bool) -> None:
        """0 is none: it comes before those that have one."""
        keys = self.asker.keys
        named = (keys.wait, keys.paused, keys.meta, keys.prioritized, keys.active, keys.pc, keys.marker)
        args = (priority, keys.base, self.job_id, 1 if lifo else 0)
        await self._run("changing its priority", "changePriority", named, args)

    async def extend_lock(self, token: str, duration_ms: int) -> None:
        """Raises StateConflict if the lock is another's by now."""
        keys = self.asker.keys
        args = (keys.base, codec.pack([token]), codec.pack([self.job_id]), duration_ms)
        doing = self._doing("extending its lock")
        lost = await self.asker.run(doing, upstream("extendLocks"), (keys.stalled,), args, repeatable=True)
        if lost:
            raise StateConflict(f"{doing}: its claim is lost, another worker may have it. Stop here.")

    # -------------------------------------------------------------------------------------------- its children
    async def has_pending_children(self) -> bool:
        key = self.asker.keys.dependencies(self.job_id)
        return bool(await self.asker.command(self._doing("looking for its children"), "EXISTS", key))

    async def dependencies(self) -> dict[str, Any]:
        """`processed`: return values, `ignored`: reasons, by the children's keys; `unprocessed`, `failed`: keys."""
        keys, doing = self.asker.keys, self._doing("reading its children")
        processed = pairs(await self.asker.command(doing, "HGETALL", keys.processed(self.job_id)))
        unprocessed = await self.asker.command(doing, "SMEMBERS", keys.dependencies(self.job_id))
        failed = await self.asker.command(doing, "ZRANGE", keys.unsuccessful(self.job_id), 0, -1)
        return {
            "processed": {key: _value(value) for key, value in processed.items()},
            "unprocessed": [text(key) for key in unprocessed],
            "ignored": await self.ignored_children_failures(),
            "failed": [text(key) for key in failed],
        }

    async def dependency_counts(self) -> dict[str, int]:
        keys, job_id = self.asker.keys, self.job_id
        named = (
            keys.processed(job_id),
            keys.dependencies(job_id),
            keys.failed_children(job_id),
            keys.unsuccessful(job_id),
        )
        doing = self._doing("counting its children")
        counts = await self.asker.run(doing, upstream("getDependencyCounts"), named, _COUNTED, repeatable=True)
        return {name: count or 0 for name, count in zip(_COUNTED, counts, strict=True)}

    async def ignored_children_failures(self) -> dict[str, str]:
        """Why children failed that were added to be ignored, or with `continue_parent`, by their keys."""
        key = self.asker.keys.failed_children(self.job_id)
        return pairs(await self.asker.command(self._doing("reading its children"), "HGETALL", key))

    async def remove_unprocessed_children(self) -> None:
        """Those that are being run stay."""
        keys = self.asker.keys
        named, args = (keys.job(self.job_id), keys.meta), (keys.base, self.job_id)
        doing = self._doing("removing its children")
        await self.asker.run(doing, upstream("removeUnprocessedChildren"), named, args, repeatable=True)

    async def remove_child_dependency(self) -> bool:
        """Let its parent wait for it no longer; false if no parent does."""
        keys, doing = self.asker.keys, self._doing("leaving its parent")
        parent = await self.asker.command(doing, "HGET", keys.job(self.job_id), "parentKey")
        if not parent:
            return False
        args = (keys.job(self.job_id), text(parent))
        return not await self._run("leaving its parent", "removeChildDependency", (keys.base,), args)

    # -------------------------------------------------------------------------------------------- asking
    def _doing(self, what: str) -> str:
        return f"Job {self.job_id} of queue {self.asker.keys.name}, {what}"

    async def _run(
        self, what: str, script: str, keys: Sequence[Argument], args: Sequence[Argument], *, repeatable: bool = True
    ) -> Any:
        doing = self._doing(what)
        code = await self.asker.run(doing, upstream(script), keys, args, repeatable=repeatable)
        match code:
            case int() if code == _MISSING_JOB:
                raise JobNotFound(f"{doing}: it is not there. It may have been removed; look at its id and queue.")
            case int() if code == _OTHER_STATE:
                raise StateConflict(f"{doing}: it is not delayed any more. Look at its state.")
            case int() if code == _MISSING_PARENT:
                raise JobNotFound(f"{doing}: the parent is not there any more.")
            case int() if code < 0:
                raise OxcartError(f"{doing}: the server answered code {code}, which is not known here. Update oxcart.")
        return code


def _value(value: str) -> Any:
    try:
        return codec.decode(value, "a child's return value")
    except InvalidInput:
        return value
