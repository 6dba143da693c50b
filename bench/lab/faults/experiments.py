"""Which faults? Those of the forty in docs/proof.md that a harness of real processes can bring about alike for all."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from functools import partial

from lab.faults.stage import IDLE, LONG, Experiment, Stage
from oxcart.protocol.scripts import ours

_OURS, _WAIT_KEY = ours("exchange").sha.encode(), b"bull:faults:wait"
_NOTHING_FINISHED = 2  # empty arrays in an exchange of Oxcart's: of verdicts and of policies


def _is_finish(command: bytes) -> bool:
    """A script that writes the end of a job; in Oxcart's it may claim the next one too, as in BullMQ's."""
    if _OURS in command or b"One exchange:" in command:
        return _WAIT_KEY in command and command.count(b"$1\r\n\x90\r\n") < _NOTHING_FINISHED
    return b"keepJobs" in command


def _is_claim(command: bytes) -> bool:
    """A script that only claims."""
    if _OURS in command or b"One exchange:" in command:
        return _WAIT_KEY in command and not _is_finish(command)
    return b"lockDuration" in command and b"keepJobs" not in command


def _is_script(command: bytes) -> bool:
    return b"EVAL" in command[:32].upper()


def _kill_worker(stage: Stage, number: int) -> int:
    place = number % len(stage.workers)
    victim = stage.workers[place]
    victim.kill()
    stage.replace(place)
    return victim.pid


def _kill_before_the_finish(stage: Stage, number: int) -> int:
    """The handlers go on while nothing can be written, and then the process dies."""
    place = number % len(stage.workers)
    stage.proxies[place].refuse()
    stage.proxies[place].cut()
    time.sleep(1)
    hit = _kill_worker(stage, number)
    stage.proxies[place].accept()
    return hit


def _stop_worker(seconds: float, stage: Stage, _number: int) -> int:
    stage.workers[0].send(signal.SIGSTOP)
    time.sleep(seconds)
    stage.workers[0].send(signal.SIGCONT)
    return stage.workers[0].pid


def _end_worker(stage: Stage, number: int) -> int:
    place = number % len(stage.workers)
    victim = stage.workers[place]
    victim.end(within_seconds=4)
    stage.replace(place)
    return victim.pid


def _away(seconds: float, stage: Stage, _number: int) -> None:
    for proxy in stage.proxies:
        proxy.refuse()
        proxy.cut()
    time.sleep(seconds)
    for proxy in stage.proxies:
        proxy.accept()


def _lose(match: Callable[[bytes], bool], where: str, stage: Stage, _number: int) -> None:
    for proxy in stage.proxies if where == "workers" else [stage.adds]:
        proxy.lose_replies(match)
    time.sleep(1)


def _crash_server(fsync: str, stage: Stage, _number: int) -> None:
    """Kill -9 alone loses nothing that the kernel has; with everysec the last second is taken off the file, as when
    the machine goes down.
    """
    with stage.server.client() as client:
        client.config_set("appendfsync", fsync)
    file = max((stage.server.folder / "appendonlydir").glob("*.incr.aof"))
    size = file.stat().st_size
    time.sleep(1)
    stage.server.kill()
    if fsync == "everysec":
        with file.open("r+b") as opened:
            opened.truncate(size)
    stage.server.start()


def _come_back_empty(stage: Stage, _number: int) -> None:
    stage.server.kill()
    shutil.rmtree(stage.server.folder / "appendonlydir")
    stage.server.start()


def _fail_over(stage: Stage, number: int) -> None:
    """Old connections end with the old server."""
    old, new = stage.server, stage.new_server(f"replica-{number}")
    new.start()
    with new.client() as client:
        client.config_set("masterauth", old.password)
        client.replicaof(old.host, old.port)
        while client.info("replication").get("master_link_status") != "up":
            time.sleep(0.05)
        time.sleep(0.5)
        old.kill()
        time.sleep(2)
        client.replicaof("NO", "ONE")
    stage.move_to(new)


_REFUSALS = (
    b"-LOADING Redis is loading the dataset in memory",
    b"-READONLY You can't write against a read only replica.",
    b"-NOAUTH Authentication required.",
    b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
)
_SPENT = (b"-ERR max requests limit exceeded. Limit: 500000, Usage: 500000. See https://upstash.com/docs/redis",)


def _refuse(lines: tuple[bytes, ...], stage: Stage, number: int) -> None:
    for proxy in stage.proxies:
        proxy.refusal = lines[number % len(lines)]
    time.sleep(4)
    for proxy in stage.proxies:
        proxy.refusal = None


def _half_open(stage: Stage, _number: int) -> None:
    for proxy in stage.proxies:
        proxy.mute()


def _far_away(stage: Stage, number: int) -> None:
    for proxy in stage.proxies:
        proxy.delay_ms = (150, 750)[number % 2]
    time.sleep(8)
    for proxy in stage.proxies:
        proxy.delay_ms = 0


def _narrow(stage: Stage, _number: int) -> None:
    for proxy in stage.proxies:
        proxy.up_bytes_per_second = 64 * 1024
    time.sleep(15)
    for proxy in stage.proxies:
        proxy.up_bytes_per_second = None


def _freeze_server(stage: Stage, number: int) -> None:
    stage.server.freeze()
    time.sleep((3, 8)[number % 2])
    stage.server.thaw()


def _fill_memory(stage: Stage, _number: int) -> None:
    with stage.server.client() as client:
        client.config_set("maxmemory", "1mb")
        time.sleep(5)
        client.config_set("maxmemory", "0")


def _evict_locks(stage: Stage, _number: int) -> None:
    with stage.server.client() as client:
        for key in client.scan_iter("bull:faults:*:lock", count=1000):
            client.delete(key)


def _flush_scripts(stage: Stage, _number: int) -> None:
    with stage.server.client() as client:
        client.script_flush()


def _clobber_marker(stage: Stage, _number: int) -> None:
    with stage.server.client() as client:
        client.set("bull:faults:marker", "not a sorted set")
        time.sleep(3)
        client.delete("bull:faults:marker")


def _no_more_clients(stage: Stage, _number: int) -> None:
    with stage.server.client() as client:
        client.config_set("maxclients", "1")
        client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(5)
        client.config_set("maxclients", "1000")


def _cut_off(stage: Stage, _number: int) -> int:
    stage.proxies[0].freeze()
    time.sleep(14)
    stage.proxies[0].thaw()
    return stage.workers[0].pid


def _wait(_stage: Stage, _number: int) -> None:
    """The fault is in the jobs."""
    time.sleep(20)


def _replace_the_dead(stage: Stage, _number: int) -> None:
    """The fault is in the jobs; a platform starts again what has ended."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        for place, worker in enumerate(stage.workers):
            if worker.has_ended():
                stage.replace(place)
        time.sleep(0.2)


_AGAIN = {"workers": 2, "again": True, "load": LONG}
_BLOCKING = {"burst": 40, "per_second": 10, "ms": 150, "long_every": 60, "long_ms": 8000, "how": "block"}
_HOLDING, _CRASHING = {**_BLOCKING, "how": "hold"}, {**_BLOCKING, "how": "crash", "per_second": 1}
_LONGER = {"burst": 40, "per_second": 8, "ms": 150, "long_every": 20, "long_ms": 7000}
_LARGE = {"burst": 5, "per_second": 3, "ms": 150, "long_every": 8, "long_ms": 3000, "result_kb": 50}
_SHORT = {"burst": 300, "per_second": 100, "ms": 100, "long_every": 0, "long_ms": 0}
EXPERIMENTS = (
    Experiment(1, "kill -9 of one of two workers, replaced at once", _kill_worker, 3, 12, **_AGAIN),
    Experiment(3, "SIGSTOP of one of two workers for 14 s", partial(_stop_worker, 14), 1, **_AGAIN),
    Experiment(4, "the worker has no connection for 8 s", partial(_away, 8), 4, 6),
    Experiment(6, "the reply to a claim is lost", partial(_lose, _is_claim, "workers"), 6, load=IDLE),
    Experiment(7, "the reply to a finish is lost", partial(_lose, _is_finish, "workers"), 6),
    Experiment(8, "the server crashes, its last second is gone", partial(_crash_server, "everysec"), 5),
    Experiment(9, "the server crashes, appendfsync always", partial(_crash_server, "always"), 8),
    Experiment(13, "open connections fall silent, new ones work", _half_open, 4, 8, load=IDLE),
    Experiment(14, "a round trip of 300 ms, then of 1.5 s, for 8 s each", _far_away, 4),
    Experiment(15, "64 KB a second to the server for 15 s, results of 50 KB", _narrow, 1, load=_LARGE),
    Experiment(16, "the server stands still for 3 s, then for 8 s", _freeze_server, 4),
    Experiment(19, "SCRIPT FLUSH", _flush_scripts, 5, 1),
    Experiment(23, "handlers block the event loop for 8 s, two workers", _wait, 1, 0, 2, _BLOCKING, again=True),
    Experiment(24, "handlers hold the GIL for 8 s, two workers", _wait, 1, 0, 2, _HOLDING, again=True),
    Experiment(
        25,
        "one or two jobs kill their process each time, two workers",
        _replace_the_dead,
        1,
        0,
        2,
        _CRASHING,
        again=True,
    ),
    Experiment(28, "SIGTERM, kill -9 after 4 s, replaced", _end_worker, 3, 6, load=_LONGER, again=True),
    Experiment(38, "one of two workers is cut off without a word for 14 s", _cut_off, 1, **_AGAIN),
    Experiment(11, "LOADING, READONLY, NOAUTH, BUSY, 4 s each", partial(_refuse, _REFUSALS)),
    Experiment(17, "the server is full for 5 s", _fill_memory, 4),
    Experiment(20, "the marker has a wrong type for 3 s, and is gone then", _clobber_marker, 5, load=IDLE),
    Experiment(21, "all connections are closed, none let in for 5 s", _no_more_clients, 4),
    Experiment(22, "the quota is spent for 4 s", partial(_refuse, _SPENT), 4, 10),
    Experiment(40, "kill -9 of one of two workers, backlog of short jobs", _kill_worker, 2, 10, 2, _SHORT, again=True),
    Experiment(2, "kill -9 after handlers that could not be finished", _kill_before_the_finish, 2, 12, **_AGAIN),
    Experiment(5, "the reply to an add is lost", partial(_lose, _is_script, "adds"), 6, load=IDLE),
    Experiment(12, "failover to a replica that is up to date", _fail_over, 4),
    Experiment(10, "the server comes back empty", _come_back_empty, 4),
    Experiment(18, "every lock is evicted", _evict_locks, 4, 2, 2, LONG),
)
"""In the order that tells most; `--only` takes them by number."""
