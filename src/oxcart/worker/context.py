"""How does a handler report back while it runs? Progress and log lines, through BullMQ's scripts."""

from __future__ import annotations

from typing import Any

from oxcart.connection.link import Link
from oxcart.errors import JobNotFound
from oxcart.protocol.codec import decode, encode
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import run_script, upstream


class QueueChannel:
    """The job channel of one served queue (job.JobChannel)."""

    def __init__(self, link: Link, keys: QueueKeys) -> None:
        self._link = link
        self._keys = keys

    async def report_progress(self, job_id: str, progress: Any) -> None:
        """Raises InvalidInput for what is no JSON, JobNotFound if the job was removed, Unavailable."""
        keys = (self._keys.job(job_id), self._keys.events, self._keys.meta)
        reply = await run_script(
            self._link, upstream("updateProgress"), keys, (job_id, encode(progress, "the progress"))
        )
        self._check(reply, job_id, "reporting progress")

    async def append_log(self, job_id: str, line: str, keep: int | None) -> None:
        keys = (self._keys.job(job_id), self._keys.logs(job_id))
        reply = await run_script(self._link, upstream("addLog"), keys, (job_id, str(line), keep or ""))
        self._check(reply, job_id, "appending to its log")

    async def children_values(self, job_id: str) -> dict[str, Any]:
        flat = await self._link.request("HGETALL", self._keys.processed(job_id))
        return {
            flat[i].decode("utf-8", "replace"): decode(flat[i + 1], "a child's return value")
            for i in range(0, len(flat), 2)
        }

    def _check(self, reply: Any, job_id: str, doing: str) -> None:
        if isinstance(reply, int) and reply < 0:
            raise JobNotFound(f"Job {job_id} of queue {self._keys.name}, {doing}: it has been removed meanwhile.")
