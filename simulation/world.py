"""How is a schedule played? Steps at their times, then everything is healed, and all must come to its end.

`play` returns the history: with the same schedule the same, byte for byte.
"""

from __future__ import annotations

import contextvars
import gc
import sys
import warnings
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from oxcart.protocol.keys import QueueKeys
from simulation.fleet import OxcartProcess, User, Work, run_in
from simulation.history import History
from simulation.loop import Actor, VirtualLoop
from simulation.network import Network
from simulation.node import NodeProcess
from simulation.observe import observe
from simulation.schedule import SECONDS, Place, Schedule, Step
from simulation.seams import steered
from simulation.server import SteeredServer

HEALED_AFTER_SECONDS = 45.0
"""When the last fault of a schedule has ended."""
MOST_SECONDS_TO_END = 1500.0
STOP_SECONDS = 40.0
IDLE_FOR_SECONDS = 8.0

STATES = ("wait", "paused", "active", "delayed", "prioritized", "waiting-children", "completed", "failed")


@dataclass
class Outcome:
    """`jobs`: by queue and id, what is left of each, and in which states it stands. `left`: what should be gone."""

    schedule: Schedule
    history: History
    jobs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    seconds: float = 0.0
    steps: int = 0

    @property
    def executions(self) -> int:
        return sum(1 for _ in self.history.of("began"))


def play(schedule: Schedule, folder: Path) -> Outcome:
    """Plays it in this process, with a server of its own in `folder`."""
    gc.disable()
    try:
        return _World(schedule, folder).play()
    finally:
        gc.enable()
        _bury()


def _bury() -> None:
    """What the dead would have done in the end, each `finally`, is of no interest to anybody."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _unraisable: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            gc.collect()
    finally:
        sys.unraisablehook = before


class _World:
    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule = schedule
        self.history = History()
        self.loop = VirtualLoop()
        self.server = SteeredServer(folder)
        self.network = Network(
            self.loop, self.server, str(schedule.seed), self._executed, distance_seconds=schedule.distance_seconds
        )
        self.network.after_step = self._stepped
        self.work = Work(self._note)
        self.places = {place.name: place for place in schedule.places}
        self.running: dict[str, OxcartProcess | NodeProcess] = {}
        self.lives: dict[str, int] = {}
        self._aliases: list[tuple[str, str]] = []
        self._log_sizes: list[tuple[float, int, int]] = [(0.0, 0, 0)]
        self._waits_since: dict[tuple[str, str], float] = {}
        self._is_healed = False

    # -------------------------------------------------------------------------------------------- noting
    def _note(self, actor: str, what: str, **facts: Any) -> None:
        token = facts.get("token")
        if token is not None:
            for worker_id, alias in self._aliases:
                if token.startswith(worker_id):
                    facts["token"] = alias + token[len(worker_id) :]
        if what == "claimed":
            self._waits_since = {key: since for key, since in self._waits_since.items() if key[0] != facts["queue"]}
        elif what == "started":
            self._aliases.append((facts["worker"], facts["life"]))
        self.history.add(self.loop.time(), actor, what, **facts)

    def _executed(self, actor: str, command: list[Any], reply: Any) -> None:
        observe(self._note, actor, command, reply)

    def _stepped(self) -> None:
        count = len(self.history.facts)
        if count != self._log_sizes[-1][1]:
            self._log_sizes.append((self.loop.time(), count, self.server.log_size()))

    # -------------------------------------------------------------------------------------------- playing
    def play(self) -> Outcome:
        self.server.wipe()
        self.server.start()
        try:
            with steered(self.loop, self.network, str(self.schedule.seed), self._skew_ms):
                return self._play()
        finally:
            self.server.end()
            self.loop.close()

    def _skew_ms(self, actor: str) -> int:
        place = self.places.get(actor)
        return place.skew_ms if place is not None else 0

    def _play(self) -> Outcome:
        began = self.loop.time()
        self.user = User(self._process("u1"), self.schedule.queues, self._note, self.loop)
        self.user.start()
        for place in self.schedule.places:
            self._start(place)
        for step in self.schedule.steps:
            self.network.later(step["at"], partial(self._do, step))
        self.network.later(0.5, self._probe)
        self.loop.run_until(began + SECONDS)
        self.loop.run_until(began + SECONDS + HEALED_AFTER_SECONDS)
        self._heal()
        self.loop.run_until(self.loop.time() + 2)
        ends_at = self.loop.time() + MOST_SECONDS_TO_END
        while self.loop.time() < ends_at and not self._all_ended():
            self.loop.run_until(self.loop.time() + 5)
        self._note("server", "quiet", ended=self._all_ended())
        for name in list(self.running):
            self._drain(name)
        self.loop.run_until(self.loop.time() + STOP_SECONDS)
        outcome = Outcome(self.schedule, self.history, seconds=self.loop.time() - began, steps=self.network.steps)
        self._look(outcome)
        outcome.bugs = list(self.loop.bugs)
        return outcome

    def _process(self, name: str) -> Actor:
        actor: Actor = contextvars.Context().run(Actor, name)
        return actor

    def _start(self, place: Place) -> None:
        life = self.lives[place.name] = self.lives.get(place.name, 0) + 1
        make = OxcartProcess if place.kind == "oxcart" else NodeProcess
        process = make(
            self._process(place.name),
            f"{place.name}.{life}",
            place,
            self.schedule.queues,
            self.work,
            self._note,
            self.loop,
        )
        self.running[place.name] = process
        process.start()

    def _kill(self, name: str, *, silently: bool) -> None:
        process = self.running.pop(name, None)
        if process is not None:
            self._note(name, "died", life=process.life, silently=silently)
            process.actor.kill()
            self.network.actor_ended(name, silently=silently)

    def _drain(self, name: str) -> None:
        process = self.running.pop(name, None)
        if process is not None:
            process.drain()
            grace = process.place.grace_seconds + 5

            def end() -> None:
                if process.actor.is_alive and not process.stopped:
                    self._note(name, "died", life=process.life, silently=False, late=True)
                    self.network.actor_ended(name, silently=False)
                process.actor.kill()

            if not self._is_healed:
                self.network.later(grace, end)

    # -------------------------------------------------------------------------------------------- steps
    def _do(self, step: Step) -> None:
        do = step["do"]
        who = step.get("who")
        details = {name: value for name, value in step.items() if name not in {"at", "do", "who"}}
        if who is not None:
            self._note(who, do, **details)
            self._do_to_place(step, who)
        elif do in _FAULTS_OF_THE_SERVER:
            if self.network.is_up:
                self._note("server", do, **details)
                self._do_to_server(step)
        else:
            self.user.use(step)

    def _do_to_place(self, step: Step, who: str) -> None:
        network, process = self.network, self.running.get(who)
        seconds = step.get("seconds", 0.0)
        weather = partial(network.spell, who, seconds)
        match step["do"]:
            case "kill":
                self._kill(who, silently=step["silently"])
                network.later(step["back"], lambda: self._come_back(who))
            case "drain":
                network.spell(who, 10.0, jitter_seconds=step["jitter"])
                self._drain(who)
                grace = self.places[who].grace_seconds
                network.later(grace + 6 + step["back"], lambda: self._come_back(who))
            case "stop" | "block" if process is not None:
                flag = "is_stopped" if step["do"] == "stop" else "is_blocked"
                setattr(process.actor, flag, True)
                network.later(seconds, lambda: process.actor.go_on(self.loop))
            case "cut":
                weather(cut=True)
            case "hang":
                weather(hung=True)
            case "refuse":
                network.reset_all(who)
                weather(refused=True)
            case "forget":
                weather(forgets=step["share"])
                if "refused" in step:
                    network.later(seconds, partial(network.spell, who, step["refused"], refused=True))
            case "late":
                weather(late_seconds=step["late"])
            case "slow":
                weather(delay_seconds=step["delay"], jitter_seconds=step["jitter"])
            case "reset":
                network.reset_all(who)

    def _come_back(self, who: str) -> None:
        if who not in self.running and not self._is_healed:
            self._start(self.places[who])

    def _do_to_server(self, step: Step) -> None:
        server, network, seconds = self.server, self.network, step.get("seconds", 0.0)
        match step["do"]:
            case "restart":
                self._stop_server()
                network.later(seconds, self._start_server)
            case "empty":
                self._stop_server()
                server.wipe()
                self._roll_back(0)
                network.later(seconds, self._start_server)
            case "rollback":
                until = self.loop.time() - step["lag"]
                _, count, size = [one for one in self._log_sizes if one[0] <= until][-1]
                self._stop_server()
                if size:
                    server.truncate_log(size)
                else:
                    server.wipe()
                self._roll_back(count)
                network.later(seconds, self._start_server)
            case "oom":
                server.ask("CONFIG", "SET", "maxmemory", "1")
                self._undo(seconds, "CONFIG", "SET", "maxmemory", "0")
            case "readonly":
                server.ask("REPLICAOF", "127.0.0.1", "1")
                self._undo(seconds, "REPLICAOF", "NO", "ONE")
                network.settle()
            case "scripts":
                server.ask("SCRIPT", "FLUSH")
            case "marker":
                server.ask_all([("DEL", QueueKeys(step["queue"]).marker)])
            case "stall":
                network.server_is_slow(seconds)
            case "clobber":
                self._clobber(f"bull:{step['queue']}:{step['key']}", seconds)

    def _put_together(self, key: str, aside: str) -> None:
        ask = self.server.ask
        kind = ask("TYPE", aside)
        if not ask("EXISTS", key):
            ask("RENAME", aside, key)
        elif kind == b"list":
            for member in reversed(ask("LRANGE", aside, 0, -1)):
                ask("RPUSH", key, member)
        elif kind == b"zset":
            ask("ZUNIONSTORE", key, 2, key, aside, "AGGREGATE", "MIN")
        ask("DEL", aside)

    def _undo(self, seconds: float, *command: str) -> None:
        def undo() -> None:
            if self.network.is_up:
                self.server.set_time(self.network.now_ms())
                self.server.ask(*command)
                self.network.settle()

        self.network.later(seconds, undo)

    def _clobber(self, key: str, seconds: float) -> None:
        """Somebody's mistake, and its cure: the key is of a wrong type for a while."""
        aside = f"aside:{key}"
        if self.server.ask("TYPE", key) == b"string":
            return  # another one's is not over yet
        had = self.server.ask("EXISTS", key)
        self.server.ask_all([("RENAME", key, aside), ("SET", key, "x")])  # a read-only server does neither

        def put_back() -> None:
            if not self.network.is_up:
                self.network.later(1.0, put_back)
                return
            self.server.set_time(self.network.now_ms())
            if self.server.ask("TYPE", key) == b"string" and isinstance(
                self.server.ask_all([("DEL", key)])[0], Exception
            ):
                self.network.later(1.0, put_back)
                return
            if had and self.server.ask("EXISTS", aside):
                self._put_together(key, aside)
            self.network.settle()

        self.network.later(seconds, put_back)

    def _stop_server(self) -> None:
        self.server.kill()
        self.network.server_is_gone()

    def _start_server(self) -> None:
        self.server.set_time(self.network.now_ms())
        self.server.start()
        self.network.is_up = True
        self._note("server", "up")

    def _roll_back(self, count: int) -> None:
        """What was noted of executions from there on has not happened, for this server."""
        self._log_sizes = [one for one in self._log_sizes if one[1] <= count] or [(0.0, 0, 0)]
        self._note("server", "rolled back", to=count)
        # sizes count on from here: what is noted from now on lies behind what was kept
        at, _, size = self._log_sizes[-1]
        self._log_sizes[-1] = (at, len(self.history.facts), size)

    # -------------------------------------------------------------------------------------------- looking
    def _probe(self) -> None:
        """Each second: is there something that waits beside somebody idle?"""
        self.network.later(1.0, self._probe)
        if not self.network.is_up:
            self._waits_since.clear()
            return
        self.server.set_time(self.network.now_ms())
        now, before, self._waits_since = self.loop.time(), self._waits_since, {}
        for queue in self.schedule.queues:
            for place in self._idle_beside(queue):
                since = self._waits_since[queue, place] = before.get((queue, place), now)
                if now - since >= IDLE_FOR_SECONDS:
                    self._note("server", "lying", queue=queue, idle=place, seconds=round(now - since, 1))

    def _idle_beside(self, queue: str) -> list[str]:
        """Who could take a job that waits there."""
        idle = [one for one in self.running.values() if isinstance(one, OxcartProcess) and one.is_idle]
        if not idle:
            return []
        keys = QueueKeys(queue)
        kinds = self.server.ask_all([("TYPE", keys.wait), ("TYPE", keys.marker), ("TYPE", keys.prioritized)])
        if (kinds[0] == b"none" and kinds[2] == b"none") or b"string" in kinds:
            return []
        waiting, prioritized, limiter, meta = self.server.ask_all(
            [
                ("LRANGE", keys.wait, 0, -1),
                ("ZRANGE", keys.prioritized, 0, -1),
                ("EXISTS", keys.limiter),
                ("HMGET", keys.meta, "paused", "concurrency", "max"),
            ]
        )
        if limiter or any(meta):
            return []
        names = self.server.ask_all([("HGET", keys.base + job.decode(), "name") for job in [*waiting, *prioritized]])
        waiting_names = {name.decode() for name in names if isinstance(name, bytes)}
        return [one.place.name for one in idle if waiting_names & set(one.place.names)]

    def _heal(self) -> None:
        self._is_healed = True
        self._note("server", "healed")
        if not self.network.is_up:
            self._start_server()
        self.server.set_time(self.network.now_ms())
        self.server.ask_all([("CONFIG", "SET", "maxmemory", "0"), ("REPLICAOF", "NO", "ONE")])
        for name in [*self.places, "u1"]:
            self.network.clear_weather(name)
        for process in self.running.values():
            process.actor.go_on(self.loop)
        for queue in self.schedule.queues:
            run_in(self.user.actor, self.loop, partial(self.user.put_right, queue))
        first = self.schedule.places[0]
        last = Place("w9", "oxcart", 10, ["a", "b", "x", "s"], first.lock_ms, first.stalled_ms, 8.0)
        self.places[last.name] = last
        self._start(last)

    def _all_ended(self) -> bool:
        commands: list[tuple[str | bytes | int | float, ...]] = []
        for queue in self.schedule.queues:
            keys = QueueKeys(queue)
            commands += [("LLEN", keys.wait), ("LLEN", keys.active), ("LLEN", keys.paused)]
            commands += [("ZCARD", keys.delayed), ("ZCARD", keys.prioritized), ("ZCARD", keys.waiting_children)]
        return self.network.is_up and not any(self.server.ask_all(commands))

    def _look(self, outcome: Outcome) -> None:
        """What is there in the end."""
        self.server.set_time(self.network.now_ms())
        ask = self.server.ask
        known: set[bytes] = set()
        for queue in self.schedule.queues:
            keys = QueueKeys(queue)
            for state in STATES:
                key = keys.state(state)
                kind = ask("TYPE", key)
                members = (
                    ask("LRANGE", key, 0, -1)
                    if kind == b"list"
                    else ask("ZRANGE", key, 0, -1)
                    if kind == b"zset"
                    else []
                )
                for member in members:
                    outcome.jobs.setdefault((queue, member.decode()), {"states": []})["states"].append(state)
            known |= {
                getattr(keys, name).encode() for name in ("meta", "id", "events", "marker", "pc", "stalled_check")
            }
            known |= {keys.state(state).encode() for state in STATES}
        for key in sorted(ask("KEYS", "bull:*")):
            _, queue, rest = key.decode().split(":", 2)
            kind, ttl = ask("TYPE", key), ask("PTTL", key)
            if (
                kind == b"hash"
                and queue in self.schedule.queues
                and ask("HEXISTS", key, "timestamp")
                and key not in known
            ):
                values = ask("HGETALL", key)
                fields = {name.decode(): value.decode() for name, value in zip(values[::2], values[1::2], strict=True)}
                outcome.jobs.setdefault((queue, rest), {"states": []})["hash"] = fields
            elif key not in known and queue in self.schedule.queues and not _may_stay(rest) and ttl == -1:
                outcome.left.append(f"{key.decode()} ({kind.decode()})")
            elif rest.endswith(":lock"):
                outcome.left.append(f"{key.decode()} is still held")
        for wire in self.network.open_wires():
            if wire.actor.name.startswith("w"):
                outcome.left.append(f"a connection of {wire.actor.name}")


def _may_stay(rest: str) -> bool:
    """Keys that belong to jobs that are kept, or to a queue."""
    tail = rest.rpartition(":")[2]
    return tail in {"logs", "dependencies", "processed", "failed", "unsuccessful"} or rest.startswith(
        ("metrics:", "repeat", "de:")
    )


_FAULTS_OF_THE_SERVER = frozenset(
    ("restart", "empty", "rollback", "oom", "readonly", "scripts", "marker", "clobber", "stall")
)
