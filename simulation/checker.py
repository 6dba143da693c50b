"""Was every promise kept? Walks once through a history, with what the server must hold at each moment in its hands.

Each invariant is one of docs/guarantees.md's: `PROMISES` says which, and a test holds both to each other.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from simulation.history import Fact
from simulation.world import IDLE_FOR_SECONDS, Outcome

PROMISES = {
    "kept": (1, "An add that returned is stored in Redis"),
    "ends-once": (1, "The job ends in exactly one state"),
    "one-state": (1, "until then it is in exactly one of the others"),
    "runs-again": (1, "A handler runs a second time without having failed only after its worker died or lost its"),
    "outcome-known": (1, "says in `outcome_unknown` whether the job may have been stored all the same"),
    "dead-noticed": (1, "The job of a worker that died starts again within two stalled intervals"),
    "foreign": (1, "A job whose name a worker does not handle is not touched by it"),
    "not-blamed": (1, "A job fails for the death of its worker only if it was alone in that process"),
    "last-claim": (2, "it is written only if nobody has claimed the job"),
    "no-revival": (2, "Otherwise nothing is written"),
    "adopted": (3, "If the reply to a claim is lost, the claimed jobs are found by their locks and run"),
    "success": (4, "never becomes a failure"),
    "attempts": (5, "with `attemptsMade` and the stall"),
    "stops": (5, "At SIGTERM claiming stops within 100 ms"),
    "goes-on": (6, "It claims again within 5 s of the end of the"),
    "no-bug": (6, "The process does not exit because Redis is away"),
    "limits": (7, "if it is rate limited, at its concurrency"),
    "order": (0, "A worker starts jobs in the order in which they wait"),
    "clean": (5, "go back to the head of the queue"),
}
"""Invariant: the section of docs/guarantees.md (0: what is not promised, with its bound), and words of it."""

AFTERMATH_SECONDS = 12.0
"""Deadlines of requests that hang on a socket from before a fault: the fault is over for them only then."""
MARKER_SECONDS = 65.0
"""A lost marker is set again by the look that is made once a minute."""

_UNDOABLE = frozenset({"claimed", "settled", "renewed", "stalled", "added", "removed", "retried", "did", "limited"})
_USES_AN_ATTEMPT = frozenset("cfdr")
_FAULTS = frozenset(
    ("kill", "stop", "block", "cut", "hang", "refuse", "forget", "late", "slow", "reset", "restart", "empty",
     "rollback", "oom", "readonly", "scripts", "marker", "clobber", "stall")
)  # fmt: skip


class Violation(NamedTuple):
    invariant: str
    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.at - 1000:.3f}: {self.text}"


@dataclass
class _Job:
    """What the server holds of one job, as far as the promises go."""

    token: str | None = None
    is_held: bool = False
    expires: float = 0.0
    renewed_at: float = 0.0
    claims: int = 0
    attempts: int = 0
    ended: str | None = None
    stalls: int = 0
    is_there: bool = False
    was_retried: bool = False
    place: int = 0
    plain: int | None = None
    name: str = ""
    parent: str | None = None


@dataclass
class _Server:
    jobs: dict[tuple[str, str], _Job] = field(default_factory=lambda: defaultdict(_Job))
    limits: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    added: int = 0
    claimed: int = 0

    def held(self, queue: str) -> int:
        return sum(1 for (of, _), job in self.jobs.items() if of == queue and job.is_held)


class _Checker:
    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.facts = outcome.history.facts
        self.found: list[Violation] = []
        self.server = _Server()
        self.how: dict[tuple[str, str, str], str] = {}  # how the handler of a claim ended
        self.began: set[tuple[str, str, str]] = set()
        self.names: dict[str, list[str] | None] = {}
        self.written: set[tuple[str, str, str]] = set()
        self.ever_added: dict[str, set[str]] = defaultdict(set)
        self.stopping: dict[str, float] = {}
        self.lives: dict[str, str] = {}
        self.unordered: set[str] = set()
        self.died_at: dict[str, float] = {}
        self.unsure: set[str] = set()
        self.started_last: dict[tuple[str, str], int] = {}
        self.broken_flows: set[str] = set()  # one transaction, of which a server undoes nothing
        self.is_muted = False
        self.overtaken: tuple[Fact, str, str] | None = None
        self.troubles = list(_troubles(self.facts))
        self.real_troubles = list(_troubles(self.facts, aftermath=0.0))

    def say(self, invariant: str, fact: Fact, text: str) -> None:
        if not self.is_muted:
            self.found.append(Violation(invariant, fact.at, text))

    def check(self) -> list[Violation]:
        gone: set[int] = set()
        for position, fact in enumerate(self.facts):
            if fact.what == "rolled back":
                gone |= {at for at in range(fact.facts["to"], position) if self.facts[at].what in _UNDOABLE}
                self._fold_again(position, gone)
                self.unordered |= set(self.outcome.schedule.queues)
            else:
                self._take(fact)
        self._look_at_the_end()
        return self.found

    def _fold_again(self, until: int, gone: set[int]) -> None:
        """The server is as it was before what it has lost."""
        self.server, self.is_muted, self.overtaken = _Server(), True, None
        for position in range(until):
            fact = self.facts[position]
            if fact.what in _UNDOABLE and position not in gone:
                self._take(fact)
        self.is_muted = False

    def _take(self, fact: Fact) -> None:
        if self.overtaken is not None and fact.at > self.overtaken[0].at:
            self._judge_order(*self.overtaken)
        handler: Callable[[Fact], None] | None = getattr(self, "_" + fact.what, None)
        if handler is not None:
            handler(fact)

    # -------------------------------------------------------------------------------------------- what the server did
    def _added(self, fact: Fact) -> None:
        queue, job_id = fact.facts["queue"], fact.facts["job"]
        job = self.server.jobs[queue, job_id]
        self.ever_added[queue].add(job_id)
        if job.is_there:
            return  # deduplicated, or there already
        name, parent = fact.facts.get("name") or "", fact.facts.get("parent")
        self.server.jobs[queue, job_id] = _Job(is_there=True, name=name, parent=parent)
        if fact.facts.get("plain"):
            self.server.added += 1
            self.server.jobs[queue, job_id].plain = self.server.added

    def _claimed(self, fact: Fact) -> None:
        queue, job_id, token = fact.facts["queue"], fact.facts["job"], fact.facts["token"]
        job, life = self.server.jobs[queue, job_id], _life(token)
        if job.is_held:
            self.say("runs-again", fact, f"{job_id} was given to {token} while {job.token} held it")
        if job.ended is not None:
            self.say("ends-once", fact, f"{job_id} was given to {token} though it had ended as {job.ended}")
        names = self.names.get(life)
        if names is not None and queue != "oxcart" and fact.facts["name"] not in names:
            self.say("foreign", fact, f"{life} claimed {job_id}, a job {fact.facts['name']}, and handles {names}")
        self._check_limits(fact, queue)
        self._check_order(fact, queue, job)
        job.token, job.is_held, job.ended = token, True, None
        job.claims += 1
        self.server.claimed += 1
        job.place = self.server.claimed
        job.renewed_at, job.expires = fact.at, fact.at + fact.facts["lock"] / 1000

    def _check_limits(self, fact: Fact, queue: str) -> None:
        limits, starts = self.server.limits[queue], self.server.starts[queue]
        starts.append(fact.at)
        most, per = limits.get("max"), limits.get("duration")
        if most and per and fact.at - limits.get("since", 0) / 1000 > per / 1000:
            recent = sum(1 for at in starts if at > fact.at - per / 1000)
            if recent > 2 * most:  # a window of theirs begins with its first job: two may meet
                self.say("limits", fact, f"{recent} jobs of {queue} within {per} ms, {most} are the limit")
        concurrency = limits.get("concurrency")
        if concurrency and self.server.held(queue) >= concurrency:
            self.say("limits", fact, f"job {fact.facts['job']} of {queue} beside {concurrency} others, the limit")

    def _check_order(self, fact: Fact, queue: str, job: _Job) -> None:
        if job.plain is None or job.claims or queue in self.unordered:
            return
        for (of, other_id), other in self.server.jobs.items():
            if (
                of == queue and other.plain is not None and other.plain < job.plain and not other.claims
                and other.is_there and other.name == job.name
            ):  # fmt: skip
                self.overtaken = (fact, queue, other_id)
                return

    def _judge_order(self, fact: Fact, queue: str, other_id: str) -> None:
        """Unless both were claimed in one step of the server, whose order nobody sees."""
        self.overtaken = None
        if not self.server.jobs[queue, other_id].claims:
            self.say("order", fact, f"{fact.facts['job']} was claimed before {other_id}, which was added earlier")
            self.unordered.add(queue)

    def _settled(self, fact: Fact) -> None:
        queue, job_id, token = fact.facts["queue"], fact.facts["job"], fact.facts["token"]
        kind, status = fact.facts["kind"], fact.facts["status"]
        key, job = (queue, job_id, token), self.server.jobs[queue, job_id]
        if status in {0, 1}:
            self._see_unseen_claim(fact, job, token)
        is_unseen = status == 1 and key not in self.written
        if is_unseen and fact.actor not in self.unsure:
            self.say("last-claim", fact, f"{job_id}: an end by {token} was told to be written, and never was")
        if status != 0 and not is_unseen:
            return
        self.written.add(key)
        if job.token != token:
            self.say("last-claim", fact, f"{job_id}: an end by {token} was written, the last claim is {job.token}")
        elif job.ended is not None:
            self.say("ends-once", fact, f"{job_id} had ended as {job.ended}, and {token} wrote another end")
        self._check_verdict(fact, key, job, kind)
        if kind in _USES_AN_ATTEMPT:
            job.attempts += 1
        job.is_held = False
        job.ended = {"c": "completed", "f": "failed"}.get(kind)

    def _refused(self, fact: Fact) -> None:
        """A script that erred in its middle may have written ends and given out jobs, and has told neither."""
        self.unsure.add(fact.actor)

    def _see_unseen_claim(self, fact: Fact, job: _Job, token: str) -> None:
        if job.token != token and not job.is_held and fact.actor in self.unsure:
            job.token, job.is_held = token, True

    def _check_verdict(self, fact: Fact, key: tuple[str, str, str], job: _Job, kind: str) -> None:
        how, value, job_id = self.how.get(key), fact.facts.get("value") or "", key[1]
        if key[0] == "oxcart":
            return
        if how == "ok" and kind != "c":
            self.say("success", fact, f"{job_id} succeeded under {key[2]}, and was recorded as {kind} ({value})")
        if how != "ok" and kind == "c":
            self.say("last-claim", fact, f"{job_id} was completed by {key[2]}, whose handler {how or 'never ended'}")
        if how is None and kind in "dr":
            self.say("attempts", fact, f"{job_id} was retried by {key[2]}, whose handler never ended")
        if how is None and kind == "f":
            if value.startswith("job stalled more than"):
                if job.stalls <= 3:
                    self.say("not-blamed", fact, f"{job_id} failed for {job.stalls} deaths of its worker")
            elif "child" not in value:
                self.say("attempts", fact, f"{job_id} failed under {key[2]} without having run: {value}")

    def _renewed(self, fact: Fact) -> None:
        status, token = fact.facts["status"], fact.facts["token"]
        if not isinstance(status, int) or status < 0:
            return
        job = self.server.jobs[fact.facts["queue"], fact.facts["job"]]
        self._see_unseen_claim(fact, job, token)
        if job.token != token or job.ended is not None:
            self.say(
                "no-revival", fact,
                f"{fact.facts['job']}: the claim {token} was renewed; last is {job.token}, ended {job.ended}",
            )  # fmt: skip
        job.is_held = True
        job.renewed_at, job.expires = fact.at, fact.at + fact.facts["lock"] / 1000

    def _stalled(self, fact: Fact) -> None:
        queue = fact.facts["queue"]
        for job_id in fact.facts["jobs"]:
            job = self.server.jobs[queue, job_id]
            job.stalls += 1
            if job.is_held and job.token is not None:
                self._check_stall(fact, queue, job_id, job)
                self._check_notice(fact, job_id, job)
            job.is_held = False

    def _check_notice(self, fact: Fact, job_id: str, job: _Job) -> None:
        """A worker that lives, and is well, beside a dead one: nobody waits for longer than this."""
        assert job.token is not None
        died_at = self.died_at.get(_life(job.token))
        if died_at is None:
            return
        since, within = max(died_at, job.expires), 2 * self.outcome.schedule.places[0].stalled_ms / 1000 + 3
        is_watched = any(
            place.kind == "oxcart" and not self._troubled(place.name, died_at - AFTERMATH_SECONDS, fact.at)
            for place in self.outcome.schedule.places
        )
        if (
            fact.at - since > within
            and is_watched
            and not self._troubled(None, died_at - 2 * AFTERMATH_SECONDS, fact.at)
        ):
            self.say("dead-noticed", fact, f"{job_id} lay {fact.at - since:.1f} s after the end of {job.token}")

    def _check_stall(self, fact: Fact, queue: str, job_id: str, job: _Job) -> None:
        assert job.token is not None
        if fact.at < job.expires - 0.01 and not self._troubled(None, job.renewed_at - AFTERMATH_SECONDS, fact.at):
            self.say(
                "runs-again", fact, f"{job_id} was taken from {job.token}, whose lock holds until {job.expires:.3f}"
            )
        elif self._should_have_been_adopted(fact, queue, job_id, job):
            self.say("adopted", fact, f"{job_id} was claimed by {job.token}, the reply was lost, and nobody adopted it")
        elif not self._may_lose(fact, queue, job_id, job):
            self.say("runs-again", fact, f"{job_id} was lost to {job.token}, whose process and network were well")

    def _should_have_been_adopted(self, fact: Fact, queue: str, job_id: str, job: _Job) -> bool:
        """Its connection broke, and was made anew long before the lock ended."""
        assert job.token is not None
        life, claimed_at = _life(job.token), job.renewed_at
        place = life.partition(".")[0]
        ends_early = job.expires - max(2.0, (job.expires - claimed_at) / 3 + 1)
        troubles = [
            (what, ends) for where, what, begins, ends in self.real_troubles
            if where in {place, None} and begins <= fact.at and ends >= claimed_at - AFTERMATH_SECONDS
        ]  # fmt: skip
        return (
            (queue, job_id, job.token) not in self.began
            and life not in self.lives
            and life not in self.stopping
            and not place.startswith("n")
            and bool(troubles)
            and all(what in {"forget", "reset"} and ends < ends_early for what, ends in troubles)
        )

    def _may_lose(self, fact: Fact, queue: str, job_id: str, job: _Job) -> bool:
        assert job.token is not None
        life = _life(job.token)
        place = life.partition(".")[0]
        has_begun = (queue, job_id, job.token) in self.began
        since = job.renewed_at - AFTERMATH_SECONDS
        return (
            life in self.lives
            or place.startswith("n")  # the model says what Node does, not what it should
            or self._troubled(place, since, fact.at, beyond=frozenset({"block"}) if has_begun else frozenset())
            or self._troubled(None, since, fact.at)
        )

    def _removed(self, fact: Fact) -> None:
        queue, gone = fact.facts["queue"], {fact.facts["job"]}
        if fact.facts["children"]:
            gone |= {job_id for (of, job_id), job in self.server.jobs.items() if of == queue and job.parent in gone}
        for job_id in gone:
            self.server.jobs[queue, job_id] = _Job()

    def _retried(self, fact: Fact) -> None:
        job = self.server.jobs[fact.facts["queue"], fact.facts["job"]]
        job.ended, job.was_retried = None, True

    def _did(self, fact: Fact) -> None:
        if fact.facts["script"] == "obliterate" and fact.facts["reply"] == 0:
            self.server.limits.pop(fact.facts["queue"], None)
            for key in [key for key in self.server.jobs if key[0] == fact.facts["queue"]]:
                self.server.jobs[key] = _Job()

    def _limited(self, fact: Fact) -> None:
        limits = self.server.limits[fact.facts["queue"]]
        limits[fact.facts["name"]] = fact.facts["value"] or 0
        limits["since"] = int(fact.at * 1000)

    # -------------------------------------------------------------------------------------------- what processes did
    def _started(self, fact: Fact) -> None:
        self.names[fact.facts["life"]] = fact.facts["names"]

    def _died(self, fact: Fact) -> None:
        self.lives[fact.facts["life"]] = fact.actor
        self.died_at[fact.facts["life"]] = fact.at

    def _pause5(self, fact: Fact) -> None:
        del fact
        self.unordered |= set(self.outcome.schedule.queues)

    _clobber = _pause5

    def _asked(self, fact: Fact) -> None:
        if fact.facts["do"] == "pause5":
            self.unordered.add(fact.facts["queue"])

    def _began(self, fact: Fact) -> None:
        key = (fact.facts["queue"], fact.facts["job"], fact.facts["token"])
        if key in self.began:
            self.say("runs-again", fact, f"{key[1]} began twice under the one claim {key[2]}")
        self.began.add(key)
        self._check_start(fact, key)
        since = self.stopping.get(_life(key[2]))
        if since is not None and fact.at > since + 0.1:
            self.say("stops", fact, f"{key[1]} began {fact.at - since:.3f} s after its worker was told to stop")

    def _check_start(self, fact: Fact, key: tuple[str, str, str]) -> None:
        """Within one worker and queue: as the server gave them out. What was adopted, or is a suspect, comes later.

        So does a recurring job, whose next run is added first.
        """
        job, life = self.server.jobs[key[0], key[1]], _life(key[2])
        before = self.started_last.get((life, key[0]), 0)
        if (
            job.token != key[2]
            or job.stalls
            or life.startswith("n")
            or key[0] == "oxcart"
            or key[1].startswith("repeat:")
        ):
            return
        is_troubled = self._troubled(fact.actor, fact.at - 30, fact.at) or self._troubled(None, fact.at - 30, fact.at)
        if job.place < before and not is_troubled:
            self.say("order", fact, f"{key[1]} began after a job that the server gave to {life} later")
        self.started_last[life, key[0]] = max(before, job.place)

    def _ended(self, fact: Fact) -> None:
        self.how[fact.facts["queue"], fact.facts["job"], fact.facts["token"]] = fact.facts["how"]

    def _stopping(self, fact: Fact) -> None:
        self.stopping[self._life_at(fact)] = fact.at

    def _stopped(self, fact: Fact) -> None:
        began = self.stopping.get(self._life_at(fact), fact.at)
        place = next((one for one in self.outcome.schedule.places if one.name == fact.actor), None)
        grace = place.grace_seconds if place is not None else 8.0
        since, itself = began - AFTERMATH_SECONDS, frozenset({"drain"})
        is_troubled = self._troubled(None, since, fact.at) or self._troubled(fact.actor, since, fact.at, beyond=itself)
        if not fact.actor.startswith("n") and not is_troubled:
            if fact.at - began > grace + 2:
                self.say("stops", fact, f"{fact.actor} took {fact.at - began:.1f} s to stop, its grace is {grace:g} s")
            if fact.facts["held"] or fact.facts["undelivered"]:
                self.say("clean", fact, f"{fact.actor} stopped with {fact.facts['held']} jobs in hand")

    def _life_at(self, fact: Fact) -> str:
        return next(
            (one.facts["life"] for one in reversed(self.facts[: self.facts.index(fact)])
             if one.what == "started" and one.actor == fact.actor), fact.actor,
        )  # fmt: skip

    def _answered(self, fact: Fact) -> None:
        do, queue, error = fact.facts["do"], fact.facts["queue"], fact.facts.get("error")
        if do not in {"add", "many"}:
            return
        if error and fact.facts.get("children"):
            self.broken_flows.add(queue)
        for job_id in fact.facts.get("ids") or []:
            if job_id not in self.ever_added[queue]:
                self.say("kept", fact, f"{job_id} was acknowledged, and no server has ever added it")

    def _lying(self, fact: Fact) -> None:
        """A fault excuses whoever is idle for as long as it lasts, and not for what they leave lying after it."""
        began, place = fact.at - fact.facts["seconds"], fact.facts["idle"]
        over = [ends for where, _, begins, ends in self.troubles if where in {place, None} and begins <= fact.at]
        well_since = max([began, *over])
        if fact.at - well_since >= IDLE_FOR_SECONDS:
            how_long = f"{fact.at - began:.1f} s, {fact.at - well_since:.1f} s without any fault,"
            self.say("goes-on", fact, f"a job of {fact.facts['queue']} waits {how_long} beside {place}, which is idle")

    # -------------------------------------------------------------------------------------------- trouble
    def _troubled(self, place: str | None, since: float, until: float, beyond: frozenset[str] = frozenset()) -> bool:
        """Was there a fault of this place (None: of the server) between the two?"""
        return any(
            where == place and what not in beyond and begins <= until and ends >= since
            for where, what, begins, ends in self.troubles
        )

    # -------------------------------------------------------------------------------------------- the end
    def _look_at_the_end(self) -> None:
        last = self.facts[-1]
        outcome = self.outcome
        for (queue, job_id), job in self.server.jobs.items():
            if not job.is_there:
                continue
            found = outcome.jobs.get((queue, job_id), {"states": []})
            states, fields = found["states"], found.get("hash")
            if not states or fields is None:
                self.say("kept", last, f"{job_id} of {queue} is gone (it is in {states})")
            elif len(states) > 1:
                self.say("one-state", last, f"{job_id} of {queue} is in {states}")
            elif states == ["waiting-children"] and queue in self.broken_flows:
                continue
            elif states[0] not in {"completed", "failed"}:
                self.say("ends-once", last, f"{job_id} of {queue} has not ended: it is in {states[0]}")
            elif job.ended != states[0] and job.ended is not None:
                self.say("ends-once", last, f"{job_id} of {queue} is in {states[0]}, and had ended as {job.ended}")
            else:
                self._check_attempts(last, queue, job_id, job, fields)
        for (queue, job_id), found in outcome.jobs.items():
            if len(found["states"]) > 1 or (found["states"] and "hash" not in found):
                self.say("one-state", last, f"{job_id} of {queue} is in {found['states']}")
        for text in outcome.left:
            self.say("clean", last, f"left over: {text}")
        for text in outcome.bugs:
            self.say("no-bug", last, text)
        self._check_outcomes(last)

    def _check_attempts(self, fact: Fact, queue: str, job_id: str, job: _Job, fields: dict[str, str]) -> None:
        made = int(fields.get("atm", 0))
        if made != job.attempts and not (self.unsure and made == job.attempts + 1):  # it was ended where nobody saw it
            self.say("attempts", fact, f"{job_id} of {queue} says {made} attempts, {job.attempts} were ended")
        allowed = json.loads(fields.get("opts", "{}")).get("attempts", 1)
        if not job.was_retried and made > max(1, allowed):
            self.say("attempts", fact, f"{job_id} of {queue} made {made} attempts, {allowed} are allowed")
        if fields.get("failedReason") == "no" and job.ended == "failed" and made < allowed:
            self.say("attempts", fact, f"{job_id} of {queue} failed after {made} of {allowed} attempts")

    def _check_outcomes(self, last: Fact) -> None:
        for fact in self.facts:
            if fact.what != "answered" or fact.facts["do"] not in {"add", "many"} or not fact.facts.get("error"):
                continue
            queue = fact.facts["queue"]
            not_sent = list(fact.facts.get("not_sent") or [])
            if fact.facts["do"] == "add" and not fact.facts["outcome_unknown"] and fact.facts.get("id"):
                not_sent = [fact.facts["id"]]
            for job_id in not_sent:
                if job_id in self.ever_added[queue]:
                    self.say(
                        "outcome-known", last, f"{job_id} was said not to be stored ({fact.facts['error']}), and was"
                    )


def _life(token: str) -> str:
    return token.partition(":")[0]


def _troubles(
    facts: list[Fact], aftermath: float = AFTERMATH_SECONDS
) -> Iterator[tuple[str | None, str, float, float]]:
    """(place or None for the server, what, from, until) of every fault."""
    for fact in facts:
        if fact.what in _FAULTS:
            place = None if fact.actor == "server" else fact.actor
            seconds = sum(fact.facts.get(part, 0.0) for part in ("seconds", "late", "refused"))
            if fact.what == "kill":
                seconds = fact.facts["back"]
            if fact.what in {"marker", "clobber", "empty", "rollback", "oom", "readonly"}:
                seconds += MARKER_SECONDS
            elif place is None or fact.what != "block":
                seconds += aftermath
            yield place, fact.what, fact.at, fact.at + seconds
        elif fact.what == "started":
            yield fact.actor, "start", fact.at, fact.at + 2
        elif fact.what == "stopping":
            yield fact.actor, "drain", fact.at, fact.at + 30
        elif fact.what == "healed":
            yield None, "healed", fact.at, fact.at + 2


def check(outcome: Outcome) -> list[Violation]:
    """All that is wrong with it; the first one is mostly the cause."""
    return _Checker(outcome).check()
