"""Is a job that was given back let go of for good? A renewal that the server executes later must not revive it."""

from __future__ import annotations

from typing import Any

import pytest

from oxcart.protocol.exchange import CLAIMED_BY_ANOTHER, NO_SUCH_JOB, NOT_THERE, REPEATED, WRITTEN
from oxcart.protocol.renew import LOST, RENEWED, TAKEN_BACK

from .queue_of_ours import OurQueue

GIVEN_BACK: dict[str, dict[str, Any]] = {
    "b": {},
    "l": {"a": 60_000},
    "d": {"a": 1_000, "b": "1"},
    "w": {},
}


@pytest.mark.parametrize("kind", GIVEN_BACK)
def test_a_late_renewal_does_not_take_back_what_was_given_back(queue: OurQueue, kind: str) -> None:
    """It would lie in `active` with a fresh lock, and nobody would run it."""
    queue.add("j")
    (held,) = queue.claim()
    assert queue.settle(held, kind, **GIVEN_BACK[kind]) == WRITTEN

    assert queue.renew(held) == [LOST]

    assert queue.ids("active") == []
    assert not queue.server.exists(queue.keys.lock("j"))


@pytest.mark.parametrize("kind", GIVEN_BACK)
def test_the_same_when_it_waits_again_or_runs_elsewhere(queue: OurQueue, kind: str) -> None:
    queue.add("j")
    (held,) = queue.claim()
    assert queue.settle(held, kind, **GIVEN_BACK[kind]) == WRITTEN
    queue.server.delete(queue.keys.limiter)
    queue.server.hset(queue.keys.meta, "paused", 1)
    queue.now_ms += 2_000
    queue.exchange(1)  # promotes it, and claims nothing
    assert queue.renew(held) == [LOST]
    assert queue.settle(held, kind, **GIVEN_BACK[kind]) == REPEATED
    assert queue.ids("active") == []

    queue.server.hdel(queue.keys.meta, "paused")
    queue.token = "worker:2"
    (other,) = queue.claim()
    assert queue.renew(held) == [LOST]
    assert queue.settle(held, kind, **GIVEN_BACK[kind]) == CLAIMED_BY_ANOTHER
    assert queue.renew(other) == [RENEWED]


@pytest.mark.parametrize("kind", GIVEN_BACK)
def test_a_repeated_give_back_is_done(queue: OurQueue, kind: str) -> None:
    """Its answer was lost, and it is sent again."""
    queue.add("first")
    queue.add("second")
    first, second = queue.claim(2)
    for held in (second, first):
        assert queue.settle(held, kind, **GIVEN_BACK[kind]) == WRITTEN
    places = {state: queue.ids(state) for state in ("wait", "active")}
    for held in (first, second):
        assert queue.settle(held, kind, **GIVEN_BACK[kind]) == REPEATED
    assert {state: queue.ids(state) for state in ("wait", "active")} == places

    queue.server.delete(queue.keys.job("first"))
    assert queue.settle(first, kind, **GIVEN_BACK[kind]) == NO_SUCH_JOB


def test_a_parent_that_waits_for_its_children_is_let_go_of(queue: OurQueue) -> None:
    queue.add("parent")
    queue.server.sadd(queue.keys.dependencies("parent"), "child")
    (held,) = queue.claim()
    assert queue.settle(held, "w") == WRITTEN
    assert queue.server.zscore(queue.keys.waiting_children, "parent") is not None
    assert queue.settle(held, "w") == REPEATED
    queue.server.zrem(queue.keys.waiting_children, "parent")  # its child has ended
    queue.server.lpush(queue.keys.wait, "parent")

    assert queue.renew(held) == [LOST]
    assert queue.ids("wait") == ["parent"]


def test_a_claim_whose_lock_has_lapsed_is_still_taken_back(queue: OurQueue) -> None:
    queue.add("j")
    (held,) = queue.claim()
    queue.server.delete(queue.keys.lock("j"))
    assert queue.renew(held) == [TAKEN_BACK]

    queue.server.delete(queue.keys.lock("j"))
    assert queue.settle(held, "b") == WRITTEN
    assert queue.settle(held, "c", a="null") == CLAIMED_BY_ANOTHER
    assert queue.ids("wait") == ["j"]


def test_a_lapsed_job_in_no_list_is_not_there(queue: OurQueue) -> None:
    queue.add("j")
    (held,) = queue.claim()
    queue.server.delete(queue.keys.lock("j"), queue.keys.active)

    assert queue.settle(held, "b") == NOT_THERE
