"""Does a full Redis make a worker slower? The same jobs beside what a bad week leaves behind.

The backlog is written as BullMQ's keys by an adder of our own: a million jobs, or 100 000 delayed, prioritized, failed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from lab.drain import mark, wait_until
from lab.processes import Workers
from lab.roster import Peer
from lab.server import BenchServer

BACKLOGS = {"waiting": 1_000_000, "delayed": 100_000, "prioritized": 100_000, "failed": 100_000}
_WRITE = """
local state, first, number, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
for i = first, first + number - 1 do
  local id = 'b' .. i
  redis.call('HSET', 'bull:bench:' .. id, 'name', 'noop', 'data', '{}', 'timestamp', now,
    'opts', '{"attempts":1,"removeOnComplete":true}', 'delay', 0, 'priority', state == 'prioritized' and 1 or 0)
  if state == 'waiting' then redis.call('LPUSH', 'bull:bench:wait', id)
  elseif state == 'delayed' then redis.call('ZADD', 'bull:bench:delayed', (now + 3600000 + i) * 4096, id)
  elseif state == 'prioritized' then redis.call('ZADD', 'bull:bench:prioritized', 4294967296 + i, id)
  else redis.call('ZADD', 'bull:bench:failed', now, id) end
end
"""
_PART = 5_000


def _parts(total: int) -> Iterator[tuple[int, int]]:
    for first in range(0, total, _PART):
        yield first, min(_PART, total - first)


def backlog(server: BenchServer, peer: Peer, *, state: str, total: int, count: int) -> dict[str, float]:
    """Jobs per second of `count` jobs: of the backlog itself where it can be claimed, else of jobs beside it."""
    server.empty()
    ask = server.probe.ask
    now = int(time.time() * 1000)
    for first, number in _parts(total):
        ask("EVAL", _WRITE, 0, state, first, number, now)
    if state in {"delayed", "failed"}:
        for first, number in _parts(count):
            ask("EVAL", _WRITE, 0, "waiting", total + first, number, now)
    ask("ZADD", "bull:bench:marker", 0, "0")
    before = peer.unfinished(ask)
    with Workers(peer, server.url, concurrency=100) as workers:
        wait_until(lambda: peer.unfinished(ask) <= before - count * 0.1, workers, "a tenth of the jobs")
        begin = mark(server, workers)
        wait_until(lambda: peer.unfinished(ask) <= before - count, workers, "its jobs")
        end = mark(server, workers)
    jobs = begin.unfinished - end.unfinished
    return {
        "jobsPerSecond": jobs / (end.at - begin.at),
        "serverCpuSecondsPer100k": (end.server_cpu - begin.server_cpu) / jobs * 100_000,
    }
