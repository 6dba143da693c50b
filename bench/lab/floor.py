"""How many no-op jobs a second can the server alone do? A client that knows every verdict beforehand, and runs nothing.

    cd bench && PYTHONPATH=. ../.venv/bin/python -m lab.floor

Two sockets replay exchanges as two exchangers of a worker do; the least CPU time of several rounds is the server's
floor, and what a worker's own rate falls short of it is the worker's.
"""

from __future__ import annotations

import argparse
import socket
from typing import Any

import hiredis

from lab import processes
from lab.probe import Probe
from lab.roster import BY_NAME
from lab.server import HOST, BenchServer
from oxcart.clock import now_ms
from oxcart.protocol.exchange import Item, ItemHead, exchange_command, read_reply
from oxcart.protocol.keys import QueueKeys
from oxcart.protocol.scripts import ours

KEYS = QueueKeys("bench")
REMOVE = (0, -1, 1000)


class Replayer:
    """One socket: finishes what its last answer handed out, and claims as many again."""

    def __init__(self, port: int, name: str, batch: int) -> None:
        self._socket = socket.create_connection((HOST, port))
        self._reader = hiredis.Reader()
        self._token = f"0123456789abcdef0123456789abcdef{name}:"
        self._batch = batch
        self._number = 0
        self._items: list[Item] = []

    def send(self) -> None:
        self._number += 1
        token, now = f"{self._token}{self._number}", now_ms()
        self._claimed_with = token, now
        command = exchange_command(
            KEYS,
            now_ms=now,
            token=token,
            lock_ms=30_000,
            room=self._batch,
            items=self._items,
            policies=[REMOVE],
            worker_name="oxcart-01234567",
        )
        self._socket.sendall(hiredis.pack_command(command))

    def receive(self) -> int:
        """How many jobs were handed out."""
        while (answer := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 20))
        if isinstance(answer, Exception):
            raise answer
        reply, (token, now) = read_reply(answer), self._claimed_with
        assert not reply.statuses
        self._items = []
        for run in reply.runs:
            head = ItemHead(token, run.ats, now, 0, run.fields, "c", 1, "", "")
            self._items += [Item(job_id, b"null", head) for job_id in run.job_ids]
        return len(self._items)

    def close(self) -> None:
        self._socket.close()


def replay(server: BenchServer, count: int, batch: int, *, own_ids: bool) -> dict[str, float]:
    """CPU microseconds of the server per job, and those inside the script."""
    server.empty()
    processes.add(BY_NAME["node6"], server.url, count=count, job="noop", own_ids=own_ids)
    server.probe.ask("SCRIPT", "LOAD", ours("exchange").source)
    before = _spent(server.probe)
    replayers = [Replayer(server.port, name, batch) for name in "ab"]
    for each in replayers:
        each.send()
    claimed = [1, 1]
    while any(claimed):
        for position, each in enumerate(replayers):
            if claimed[position]:
                claimed[position] = each.receive()
                each.send()
    for each in replayers:
        each.receive()
        each.close()
    after = _spent(server.probe)
    assert BY_NAME["oxcart"].unfinished(server.probe.ask) == 0
    return {name: (after[name] - before[name]) / count for name in before}


def _spent(probe: Probe) -> dict[str, float]:
    facts: dict[bytes, Any] = probe.info()
    script = dict(part.split(b"=") for part in facts.get(b"cmdstat_evalsha", b"usec=0").split(b","))
    cpu = float(facts[b"used_cpu_user"]) + float(facts[b"used_cpu_sys"])
    return {"server CPU": cpu * 1e6, "inside the script": float(script[b"usec"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--own-ids", action="store_true", help="each with an id of its own and the metadata of a trace")
    arguments = parser.parse_args()
    with BenchServer() as server:
        rounds = [
            replay(server, arguments.jobs, arguments.batch, own_ids=arguments.own_ids) for _ in range(arguments.rounds)
        ]
    for name in rounds[0]:
        least = min(each[name] for each in rounds)
        print(f"{name}: {least:.2f} us a job at least, {1e6 / least:,.0f} jobs/s at most")


if __name__ == "__main__":
    main()
