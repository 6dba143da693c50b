"""Does an exchange claim jobs of its names as if the others were not there, and leave those untouched?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oxcart.names import NameFilter
from oxcart.protocol.exchange import MAX_LOOKS, START, Reply

from .queue_of_ours import OurQueue

OURS = NameFilter(frozenset({"job"}))
ALL_BUT_FOREIGN = NameFilter(frozenset({"foreign"}), excludes=True)
FILTERS = pytest.mark.parametrize("names", [OURS, ALL_BUT_FOREIGN], ids=["only", "except"])


class Looker:
    """A worker as far as names go: it keeps the cursor, and asks again while there is more."""

    def __init__(self, queue: OurQueue, names: NameFilter = OURS) -> None:
        self.queue = queue
        self.names = names
        self.cursor = START
        self.replies: list[Reply] = []

    def look(self, room: int = 10, **more: Any) -> list[str]:
        reply = self.queue.exchange(room, names=self.names, cursor=self.cursor, **more)
        self.cursor = reply.cursor
        self.replies.append(reply)
        return [job_id.decode() for run in reply.runs for job_id in run.job_ids]

    def look_until_done(self, room: int = 10, **more: Any) -> list[str]:
        ids = self.look(room, **more)
        while self.replies[-1].more:
            ids += self.look(room - len(ids), **more)
        return ids

    @property
    def last(self) -> Reply:
        return self.replies[-1]


def add_foreign(queue: OurQueue, number: int, prefix: str = "f", **options: Any) -> list[str]:
    ids = [f"{prefix}{n}" for n in range(number)]
    for job_id in ids:
        queue.add(job_id, name="foreign", **options)
    return ids


def marker_is_there(queue: OurQueue) -> bool:
    return bool(queue.server.zscore(queue.keys.marker, "0") == 0)


@FILTERS
def test_a_foreign_job_stays_as_it_is(queue: OurQueue, names: NameFilter) -> None:
    for n, priority in enumerate((0, 3)):
        queue.add(f"a{n}", priority=priority)
        queue.add(f"f{n}", name="foreign", priority=priority)
        queue.add(f"b{n}", priority=priority)
    before = {job_id: queue.server.hgetall(queue.keys.job(job_id)) for job_id in ("f0", "f1")}
    looker = Looker(queue, names)

    assert looker.look() == ["a0", "b0", "a1", "b1"]

    assert {job_id: queue.server.hgetall(queue.keys.job(job_id)) for job_id in before} == before
    assert queue.ids("wait") == ["f0"]
    assert queue.server.zrange(queue.keys.prioritized, 0, -1) == [b"f1"]
    assert not queue.server.exists(queue.keys.lock("f0"), queue.keys.lock("f1"))
    events = [fields for _, fields in queue.server.xrange(queue.keys.events)]
    assert not [fields for fields in events if fields[b"jobId"] in {b"f0", b"f1"}]


def test_the_answer_names_what_was_passed_over(queue: OurQueue) -> None:
    oldest = queue.now_ms
    for n in range(3):
        queue.add(f"f{n}", name="foreign")
        queue.now_ms += 10
    queue.add("g", name="other", priority=1)
    looker = Looker(queue)

    assert looker.look() == []

    assert sorted(looker.last.foreign) == [(b"foreign", 3, oldest), (b"other", 1, oldest + 30)]
    assert looker.last.last_event_id == b"0-0"
    queue.add("mine")
    assert looker.look() == ["mine"]
    assert looker.last.foreign == []
    assert looker.last.last_event_id == queue.server.xrevrange(queue.keys.events, count=1)[0][0]


def test_the_last_event_is_known_when_the_stream_was_trimmed(queue: OurQueue) -> None:
    add_foreign(queue, 1)
    newest = queue.server.xadd(queue.keys.events, {"event": "waiting"})
    queue.server.xtrim(queue.keys.events, maxlen=0, approximate=False)
    looker = Looker(queue)
    looker.look()
    assert looker.last.last_event_id == newest


def test_what_is_left_wakes_others_and_not_us(queue: OurQueue) -> None:
    add_foreign(queue, 2)
    looker = Looker(queue)
    looker.look()
    assert (looker.last.left, looker.last.more) == (0, 0)
    assert marker_is_there(queue)

    queue.server.delete(queue.keys.marker)
    queue.server.hset(queue.keys.meta, "paused", 1)
    looker.look()
    assert not marker_is_there(queue)
    queue.server.hdel(queue.keys.meta, "paused")

    queue.add("a")
    queue.add("b")
    assert looker.look(1) == ["a"]
    assert (looker.last.left, looker.last.plenty) == (1, 1)
    assert looker.look(1) == ["b"]
    looker.look(1)
    assert (looker.last.left, looker.last.plenty) == (0, 0)


def test_without_foreign_jobs_there_is_no_cursor(queue: OurQueue) -> None:
    queue.add("a")
    looker = Looker(queue)
    assert looker.look() == ["a"]
    assert (looker.cursor, looker.last.last_event_id, looker.last.foreign) == (START, b"", [])
    assert not marker_is_there(queue)


def test_a_cursor_outlives_pauses_and_exchanges_without_room(queue: OurQueue) -> None:
    add_foreign(queue, 2)
    looker = Looker(queue)
    looker.look()
    assert looker.cursor != START
    looker.look(0)
    queue.server.hset(queue.keys.meta, "paused", 1)
    looker.look()
    queue.server.hdel(queue.keys.meta, "paused")
    looker.look()
    assert looker.last.foreign == []
    assert looker.cursor != START


def test_a_cursor_for_other_names_hides_nothing(queue: OurQueue) -> None:
    add_foreign(queue, 3)
    looker = Looker(queue)
    assert looker.look() == []
    looker.names = NameFilter(frozenset({"foreign"}))
    assert looker.look() == ["f0", "f1", "f2"]


@pytest.mark.parametrize("cursor", [b"nonsense", b"\x00", b"\xc1", b"\x94\x01\x02\x03\x04"])
def test_an_unreadable_cursor_says_nothing(queue: OurQueue, cursor: bytes) -> None:
    add_foreign(queue, 1)
    queue.add("a")
    looker = Looker(queue)
    looker.cursor = type(START)(cursor)
    assert looker.look() == ["a"]


def test_ghosts_are_taken_out_and_told(queue: OurQueue) -> None:
    add_foreign(queue, 2)
    queue.server.lpush(queue.keys.wait, "ghost")
    queue.server.set(queue.keys.job("text"), "no hash")
    queue.server.lpush(queue.keys.wait, "text")
    queue.server.zadd(queue.keys.prioritized, {"urgent ghost": 1 << 32})
    queue.add("a")
    looker = Looker(queue)
    assert looker.look() == ["a"]
    assert sorted(job_id for job_id, _ in looker.last.notes) == [b"ghost", b"text", b"urgent ghost"]
    assert queue.ids("wait") == ["f1", "f0"]
    queue.server.delete(queue.keys.job("text"))  # no key of BullMQ's


def swap_for_ours(queue: OurQueue) -> None:
    """One of ours lies among foreign ones, all of which are where they were."""
    first = queue.server.rpop(queue.keys.wait)
    queue.server.hincrby(queue.keys.job(first.decode()), "ats", 1)  # claimed by a worker of all names, which …
    queue.add("between", lifo=True)
    queue.server.rpush(queue.keys.wait, first)  # … gives it back
    queue.server.lrem(queue.keys.wait, 1, "f500")


Change = Callable[[OurQueue], object]
CHANGES: dict[str, Change] = {
    "nothing": lambda _: None,
    "a few consumed": lambda q: q.server.rpop(q.keys.wait, 3),
    "most consumed": lambda q: q.server.ltrim(q.keys.wait, 0, 10),
    "all consumed": lambda q: q.server.delete(q.keys.wait),
    "foreign pushed to the head": lambda q: add_foreign(q, 150, "head", lifo=True),
    "given back": lambda q: q.server.rpush(q.keys.wait, *q.server.rpop(q.keys.wait, 5)),
    "a change that shows in no place": swap_for_ours,
    "removed in the middle": lambda q: q.server.lrem(q.keys.wait, 1, "f700"),
    "the deepest removed": lambda q: q.server.lrem(q.keys.wait, 1, "f1199"),
    "the first removed": lambda q: q.server.lrem(q.keys.wait, 1, "f0"),
    "as many pushed as consumed": lambda q: (q.server.rpop(q.keys.wait, 150), add_foreign(q, 150, "head", lifo=True)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_cursor_stays_true_while_others_use_the_queue(queue: OurQueue, change: str) -> None:
    add_foreign(queue, 1200)
    looker = Looker(queue)
    assert looker.look_until_done() == []
    assert len(looker.replies) == 3
    assert sum(seen.number for reply in looker.replies for seen in reply.foreign) == 1200

    CHANGES[change](queue)
    queue.add("head", lifo=True)
    queue.add("a")
    add_foreign(queue, 5, "new")
    queue.add("b")
    assert [job_id for job_id in looker.look_until_done() if job_id != "between"] == ["head", "a", "b"]
    assert "between" not in queue.ids("wait")
    assert queue.server.llen(queue.keys.wait) == len(set(queue.ids("wait")))


def test_more_own_jobs_at_the_head_than_there_is_room_for(queue: OurQueue) -> None:
    """What is known of the foreign jobs behind them is not forgotten."""
    add_foreign(queue, 1200)
    looker = Looker(queue)
    looker.look_until_done()
    for n in range(30):
        queue.add(f"j{n}", lifo=True)
    queue.add("last")
    order = [f"j{n}" for n in reversed(range(30))]
    assert [looker.look(10) for _ in range(4)] == [order[:10], order[10:20], order[20:], ["last"]]


def test_more_foreign_jobs_at_the_head_than_are_looked_at(queue: OurQueue) -> None:
    add_foreign(queue, 100)
    looker = Looker(queue)
    looker.look()
    add_foreign(queue, MAX_LOOKS + 20, "new", lifo=True)
    queue.add("a")
    assert looker.look() == []
    assert looker.last.more == 1
    assert looker.look_until_done() == ["a"]


def test_urgent_jobs_are_found_in_every_class(queue: OurQueue) -> None:
    for priority in (1, 2, 3):
        add_foreign(queue, 400, f"p{priority}-", priority=priority)
    looker = Looker(queue)
    assert looker.look_until_done() == []
    before = queue.server.zrange(queue.keys.prioritized, 0, -1, withscores=True)

    queue.add("c", priority=3)
    queue.add("a", priority=1)
    queue.add("d", priority=7)
    queue.server.hset(queue.keys.job("b"), mapping={"name": "job", "priority": 2})
    queue.server.zadd(queue.keys.prioritized, {"b": 2 << 32})  # given back
    assert looker.look() == ["a", "b", "c", "d"]
    assert sum(seen.number for seen in looker.last.foreign) == 0
    assert queue.server.zrange(queue.keys.prioritized, 0, -1, withscores=True) == before


def test_thousands_of_foreign_classes_are_passed_in_one_step(queue: OurQueue) -> None:
    """One class after the other, an urgent job behind 20 000 of them started seconds late."""
    for n in range(3000):
        queue.add(f"f{n}", name="foreign", priority=n + 1)
    looker = Looker(queue)
    assert looker.look_until_done() == []

    queue.add("last", priority=2990)
    queue.add("first", priority=5)
    assert looker.look() == ["first", "last"]


def test_urgent_jobs_are_found_when_the_counter_has_started_anew(queue: OurQueue) -> None:
    add_foreign(queue, 5, priority=1)
    looker = Looker(queue)
    looker.look()
    queue.server.delete(queue.keys.prioritized, queue.keys.pc)  # all were run
    queue.add("a", priority=1)
    add_foreign(queue, 9, "new", priority=1)
    assert looker.look() == ["a"]


def test_many_foreign_jobs_given_back_hide_nothing(queue: OurQueue) -> None:
    ids = add_foreign(queue, MAX_LOOKS + 100, priority=1)
    queue.server.zadd(queue.keys.prioritized, dict.fromkeys(ids, 1 << 32))
    queue.add("a", priority=1)
    looker = Looker(queue)
    assert looker.look_until_done() == ["a"]
    queue.add("b", priority=1)
    assert looker.look_until_done() == ["b"]


@pytest.mark.parametrize("kind", ["wait", "prioritized"])
def test_a_claim_within_limits_passes_over_foreign_jobs(queue: OurQueue, kind: str) -> None:
    queue.server.hset(queue.keys.meta, mapping={"max": 2, "duration": 60_000})
    priority = 1 if kind == "prioritized" else 0
    for n in range(4):
        queue.add(f"f{n}", name="foreign", priority=priority)
        queue.add(f"j{n}", priority=priority)
    looker = Looker(queue)
    assert looker.look() == ["j0", "j1"]
    assert looker.last.limit_ms > 0

    queue.server.delete(queue.keys.limiter)
    queue.server.hdel(queue.keys.meta, "max", "duration")
    queue.server.hset(queue.keys.meta, "concurrency", 3)
    assert looker.look() == ["j2"]


def test_a_due_delayed_job_is_promoted_whatever_its_name(queue: OurQueue) -> None:
    for job_id, name in (("f", "foreign"), ("j", "job")):
        queue.server.hset(queue.keys.job(job_id), mapping={"name": name, "delay": 5, "timestamp": queue.now_ms})
        queue.server.zadd(queue.keys.delayed, {job_id: queue.now_ms * 0x1000})
    looker = Looker(queue)
    assert looker.look() == ["j"]
    assert queue.ids("wait") == ["f"]
    assert queue.server.zcard(queue.keys.delayed) == 0


def test_an_hour_later_everything_is_looked_at_once_more(queue: OurQueue) -> None:
    add_foreign(queue, 3)
    looker = Looker(queue)
    looker.look()
    queue.now_ms += 3_600_000
    looker.look()
    assert [seen.number for seen in looker.last.foreign] == [3]
