"""Which histories can a queue have? Steps that Hypothesis draws, and a run of them on one server database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import redis
from hypothesis import strategies as st

from oxcart.protocol.keys import QueueKeys

from .reference import NO_OPTIONS, Claim, Finish, Options, Outcome, Policy, Reference

PREFIX = "eq"
LOCK_MS = 60_000  # longer than any run: what expires is decided by a step, not by the machine's speed
START_MS = 1_760_000_000_000

Exchange: TypeAlias = Callable[[redis.Redis, QueueKeys, Sequence[Finish], int, int, str, int, Options], Outcome]


@dataclass(frozen=True)
class Add:
    """One job. `parent` picks one of the flows' parents so far; `elsewhere` puts it into the second queue."""

    options: Mapping[str, Any]
    parent: int | None = None
    on_failure: str | None = None
    has_children: bool = False
    elsewhere: bool = False


@dataclass(frozen=True)
class Pause:
    paused: bool


@dataclass(frozen=True)
class Limit:
    """Global concurrency and rate limit as Node's Queue sets them; None removes one."""

    concurrency: int | None
    maximum: int | None


@dataclass(frozen=True)
class Restart:
    """The worker goes on with other options."""

    options: Options


@dataclass(frozen=True)
class PassTime:
    milliseconds: int


@dataclass(frozen=True)
class LoseLock:
    claim: int


@dataclass(frozen=True)
class CheckStalled:
    max_stalled: int


@dataclass(frozen=True)
class WriteLog:
    claim: int


@dataclass(frozen=True)
class ReportProgress:
    claim: int


@dataclass(frozen=True)
class JoinFlow:
    """A job that is running is added once more, as the child of a parent: so it gets one."""

    claim: int
    parent: int = -1


@dataclass(frozen=True)
class Verdict:
    """A verdict about one of the claims that are out, or, with a `flaw`, about something that is not."""

    claim: int
    finish: Finish
    flaw: str | None = None


@dataclass(frozen=True)
class DoExchange:
    verdicts: tuple[Verdict, ...]
    room: int


Step: TypeAlias = (
    Add
    | Pause
    | Limit
    | Restart
    | PassTime
    | LoseLock
    | CheckStalled
    | WriteLog
    | ReportProgress
    | JoinFlow
    | DoExchange
)


@dataclass
class Run:
    """One history on one server database. Two of them, given the same steps, must leave the same keys."""

    server: redis.Redis
    exchange: Exchange
    keys: QueueKeys = field(default_factory=lambda: QueueKeys("main", PREFIX))
    now_ms: int = START_MS
    worker: Options = NO_OPTIONS
    parents: list[dict[str, Any]] = field(default_factory=list)
    out: list[Claim] = field(default_factory=list)
    over: list[Claim] = field(default_factory=list)
    added: int = 0
    exchanges: int = 0

    def apply(self, step: Step) -> Outcome | None:
        queue = Reference(self.server, self.keys)
        match step:
            case Add():
                self._add(step)
            case Pause(paused):
                queue.pause(paused=paused)
            case Limit():
                self._limit(step)
            case Restart(options):
                self.worker = options
                self.server.delete(self.keys.limiter)
            case PassTime(milliseconds):
                self.now_ms += milliseconds
            case LoseLock(index):
                if self.out:
                    self.server.delete(self.keys.lock(self.out[index % len(self.out)].job_id))
            case CheckStalled(max_stalled):
                queue.check_stalled(self.now_ms, max_stalled)
            case WriteLog(index):
                if self.out:
                    self.server.rpush(self.keys.logs(self.out[index % len(self.out)].job_id), "a line")
            case ReportProgress(index):
                if self.out:
                    self.server.hset(self.keys.job(self.out[index % len(self.out)].job_id), "progress", "50")
            case JoinFlow():
                self._join_flow(step)
            case DoExchange():
                return self._exchange(step)
        return None

    def _join_flow(self, step: JoinFlow) -> None:
        """BullMQ gives a job that exists a parent, if it has none; a job that is gone would be a new one."""
        if not self.out or not self.parents:
            return
        job_id, parent = self.out[step.claim % len(self.out)].job_id, self.parents[step.parent % len(self.parents)]
        if self.server.exists(self.keys.job(job_id)) and self.server.exists(f"{parent['queueKey']}:{parent['id']}"):
            Reference(self.server, self.keys).add(job_id, self.now_ms, {}, parent=parent)

    def _add(self, step: Add) -> None:
        self.added += 1
        job_id = f"j{self.added}"
        keys = QueueKeys("other", PREFIX) if step.elsewhere else self.keys
        parent = None
        if step.parent is not None and self.parents:
            parent = dict(self.parents[step.parent % len(self.parents)])
            if not self.server.exists(f"{parent['queueKey']}:{parent['id']}"):
                parent = None  # BullMQ refuses to add to a parent that is gone
            elif step.on_failure:
                parent[step.on_failure] = True
        queue = Reference(self.server, keys)
        queue.add(job_id, self.now_ms, step.options, parent=parent, has_children=step.has_children)
        if step.has_children:
            self.parents.append({"id": job_id, "queueKey": keys.qualified_name})

    def _limit(self, step: Limit) -> None:
        meta = self.keys.meta
        if step.concurrency is None:
            self.server.hdel(meta, "concurrency")
        else:
            self.server.hset(meta, "concurrency", step.concurrency)
        if step.maximum is None:
            self.server.hdel(meta, "max", "duration")
        else:
            self.server.hset(meta, mapping={"max": step.maximum, "duration": 600_000})
        self.server.delete(self.keys.limiter)

    def _exchange(self, step: DoExchange) -> Outcome:
        finishes: list[Finish] = []
        settled: list[Claim] = []
        for verdict in step.verdicts:
            finish = self._resolve(verdict, settled)
            if finish is not None:
                again = verdict.flaw == "twice" and finish.kind in "cf"
                finishes.extend([finish, finish] if again else [finish])
        self.exchanges += 1
        outcome = self.exchange(
            self.server, self.keys, finishes, step.room, self.now_ms, f"worker:{self.exchanges}", LOCK_MS, self.worker
        )
        self.over.extend(settled)
        self.out.extend(outcome.claims)
        return outcome

    def _resolve(self, verdict: Verdict, settled: list[Claim]) -> Finish | None:
        """The verdict about a claim that exists now; None if there is none to speak of."""
        if verdict.flaw == "settled before":
            if not self.over or verdict.finish.kind not in "cf":
                return None
            return replace(verdict.finish, claim=self.over[verdict.claim % len(self.over)])
        if verdict.flaw == "no such job":
            return replace(verdict.finish, claim=Claim("ghost", "worker:1", 1, self.now_ms, 0))
        if not self.out:
            return None
        position = verdict.claim % len(self.out)
        finish = replace(verdict.finish, claim=self.out[position])
        if finish.kind == "l" and not self.server.hexists(self.keys.meta, "max"):
            finish = replace(finish, kind="b")  # without a maximum, BullMQ keeps the limit in the worker's memory
        elif finish.kind == "l":
            finish = replace(finish, delay_ms=LOCK_MS)
        if verdict.flaw == "wrong token":
            return replace(finish, claim=replace(finish.claim, token="someone:else", ats=99))
        if finish.kind in "cf":
            settled.append(finish.claim)
        del self.out[position]
        return finish


def _options() -> st.SearchStrategy[dict[str, Any]]:
    plain = st.just({"attempts": 1})
    placed = st.fixed_dictionaries(
        {}, optional={"priority": st.integers(1, 3), "delay": st.sampled_from([1, 500, 5_000]), "lifo": st.just(True)}
    )
    modes = [{}, {"ttl": 600_000}, {"keepLastIfActive": True}, {"ttl": 600_000, "extend": True, "replace": True}]
    unique = st.builds(
        lambda name, mode: {"de": {"id": name, **mode}}, st.sampled_from(["a", "b"]), st.sampled_from(modes)
    )
    own = st.fixed_dictionaries(
        {},
        optional={
            "jobId": st.sampled_from(["x-1", "x-2", 'a"b', "a/b", "\\", "{", "é"]),
            "tm": st.sampled_from(['{"traceparent":"00-a-b-01"}', '{"traceparent":"00-c-d-01"}', '{"a":"\\"}', "}"]),
        },
    )
    return st.builds(lambda one, two: {**one, **two}, st.one_of(plain, plain, placed, unique), own)


ALL_POLICIES = (
    Policy(-1), Policy(0), Policy(1), Policy(2), Policy(3),
    Policy(-1, age=1), Policy(-1, age=10), Policy(2, age=5, limit=1), Policy(-1, age=3, limit=1), Policy(5, age=0),
)  # fmt: skip
NOBODY = Claim("", "", 0, 0, 0)
_flaws = st.sampled_from([None] * 20 + ["settled before", "no such job", "wrong token", "twice"])


def _verdicts(policies: Sequence[Policy]) -> st.SearchStrategy[Verdict]:
    finishes = st.builds(
        Finish,
        claim=st.just(NOBODY),
        kind=st.sampled_from("ccccccccfffffdrwbl"),
        value=st.sampled_from(["null", '{"é":1}', '"text"', "x" * 200]),
        policy=st.sampled_from(policies),
        stacktrace=st.sampled_from(["", '["Error: no"]']),
        attempts=st.integers(1, 3),
        delay_ms=st.sampled_from([1, 1_000, 30_000]),
        skips_attempt=st.booleans(),
        push=st.sampled_from(["LPUSH", "RPUSH"]),
    )
    return st.builds(Verdict, claim=st.integers(0, 20), finish=finishes, flaw=_flaws)


@st.composite
def _exchanges(draw: st.DrawFn, policies: Sequence[Policy]) -> list[Step]:
    size = draw(st.integers(0, 7))
    verdicts = draw(st.lists(_verdicts(policies), min_size=size, max_size=size))
    return [DoExchange(tuple(verdicts), draw(st.sampled_from([0, 1, 3, 10, 10, 10])))]


@st.composite
def _flows(draw: st.DrawFn) -> list[Step]:
    """A parent and its children; it may itself be the child of the parent before."""
    flags = st.sampled_from([None, "fpof", "fpof", "cpof", "idof", "rdof"])
    grandparent = draw(st.sampled_from([None, None, -1]))
    options = draw(st.sampled_from([{}, {}, {"priority": 2}, {"delay": 500}]))
    elsewhere = draw(st.sampled_from([False, False, False, True]))
    parent = Add(options, parent=grandparent, on_failure=draw(flags), has_children=True, elsewhere=elsewhere)
    children = st.builds(Add, options=st.sampled_from([{}, {"priority": 1}]), parent=st.just(-1), on_failure=flags)
    return [parent, *draw(st.lists(children, min_size=1, max_size=3))]


@st.composite
def _stalls(draw: st.DrawFn, policies: Sequence[Policy]) -> list[Step]:
    """A lock lapses, stalled checks pass by or not, and then the verdict arrives."""
    claim = draw(st.integers(0, 20))
    checks = [CheckStalled(draw(st.integers(0, 2))) for _ in range(draw(st.integers(0, 2)))]
    verdict = replace(draw(_verdicts(policies)), claim=claim, flaw=None)
    return [LoseLock(claim), *checks, DoExchange((verdict,), draw(st.integers(0, 2)))]


_additions = st.lists(st.builds(Add, options=_options()), min_size=3, max_size=6)
_disturbances: st.SearchStrategy[Step] = st.one_of(
    st.builds(Pause, st.booleans()),
    st.just(Pause(paused=False)),
    st.builds(Limit, concurrency=st.none() | st.integers(2, 6), maximum=st.none() | st.integers(2, 8)),
    st.just(Limit(None, None)),
    st.just(Limit(None, None)),
    st.builds(WriteLog, st.integers(0, 20)),
    st.builds(ReportProgress, st.integers(0, 20)),
    st.builds(JoinFlow, st.integers(0, 20)),
    st.builds(PassTime, st.sampled_from([1, 700])),
    st.builds(PassTime, st.sampled_from([2_000, 4_000, 60_000, 150_000])),
    st.builds(Restart, st.builds(Options, st.sampled_from([0, 1, 2, 5]), st.sampled_from([(0, 0), (3, LOCK_MS)]))),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Rounds of adding, disturbing and exchanging, under a few policies, so that one retention meets another's jobs."""
    policies = draw(st.lists(st.sampled_from(ALL_POLICIES), min_size=1, max_size=3))
    first = Restart(Options(metrics_minutes=draw(st.sampled_from([0, 0, 3]))))
    steps: list[Step] = [first, *draw(_additions), DoExchange((), 10)]
    for _ in range(draw(st.integers(3, 12))):
        steps += draw(st.one_of(_additions, _flows()))
        steps += draw(st.lists(_disturbances, max_size=1))
        steps += draw(st.one_of(_exchanges(policies), _exchanges(policies), _exchanges(policies), _stalls(policies)))
    return steps
