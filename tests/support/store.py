"""What is in the store after a fault? Reads one queue past our own code, and says where every job is."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from redis import Redis

LISTS = ("wait", "active", "paused")
SETS = ("prioritized", "delayed", "waiting-children", "completed", "failed")


class Store:
    """One queue as it is stored. Its client blocks: look when the server answers."""

    def __init__(self, client: Redis, queue_name: str) -> None:
        self.client: Any = client
        self.name = queue_name
        self.base = f"bull:{queue_name}:"

    def is_watched(self) -> bool:
        """Whether a worker blocks on this queue's marker."""
        encoded = base64.b64encode(self.name.encode()).decode()
        clients = self.client.client_list()
        return any(client["cmd"] == "bzpopmin" and f":{encoded}:w:" in client["name"] for client in clients)

    def places(self, job_id: str) -> list[str]:
        """Every list and set that holds the job; one that is in two, or in one twice, would run twice."""
        found = [name for name in LISTS for entry in self.client.lrange(self.base + name, 0, -1) if entry == job_id]
        return found + [name for name in SETS if self.client.zscore(self.base + name, job_id) is not None]

    def ids(self, state: str) -> list[str]:
        """In a list: the next to be claimed first."""
        if state in LISTS:
            return list(reversed(self.client.lrange(self.base + state, 0, -1)))
        return list(self.client.zrange(self.base + state, 0, -1))

    def number(self, job_id: str, field: str) -> int:
        return int(self.client.hget(self.base + job_id, field) or 0)

    def text(self, job_id: str, field: str) -> str | None:
        value: str | None = self.client.hget(self.base + job_id, field)
        return value

    def ended(self, job_ids: Iterable[str], state: str = "completed") -> bool:
        """True once all of them have ended this way."""
        done = set(self.client.zrange(self.base + state, 0, -1))
        return all(job_id in done for job_id in job_ids)

    def assert_ended_once(
        self, job_ids: Iterable[str], state: str = "completed", *, attempts: int = 1, stalled: int | None = 0
    ) -> None:
        """Each is in this state and nowhere else, with no lock left, so many attempts used and so often stalled."""
        for job_id in job_ids:
            facts = (self.places(job_id), self.number(job_id, "atm"))
            assert facts == ([state], attempts), f"{job_id}: {facts}"
            assert stalled is None or self.number(job_id, "stc") == stalled, job_id
            assert not self.client.exists(f"{self.base}{job_id}:lock"), f"{job_id} is locked"
        assert self.client.llen(self.base + "active") == 0
        assert self.client.scard(self.base + "stalled") == 0
