"""What does an exchange say of what it claimed? How long `active` is now, and whether more was to be had."""

from __future__ import annotations

from oxcart.protocol.exchange import MAX_BYTES

from .queue_of_ours import OurQueue


def test_the_answer_says_how_long_active_is(queue: OurQueue) -> None:
    """A job of a worker that died lies there: who sees more than it has itself runs the stalled check."""
    assert queue.exchange().active == 0
    queue.server.lpush(queue.keys.active, "of a dead worker")
    assert queue.exchange().active == 1
    assert queue.exchange(5).active == 1

    for number in range(3):
        queue.add(f"j{number}")
    assert queue.exchange(2).active == 3
    queue.server.hset(queue.keys.meta, "concurrency", 4)
    assert queue.exchange(2).active == 4
    assert queue.exchange(2).active == 4


def test_a_claim_that_fills_its_room_is_plenty(queue: OurQueue) -> None:
    for number in range(3):
        queue.add(f"j{number}")

    assert [queue.exchange(2).plenty for _ in range(3)] == [1, 0, 0]


def test_a_claim_that_ends_at_the_byte_limit_is_plenty(queue: OurQueue) -> None:
    """Else the worker would wait for a wake although it knows that jobs are there."""
    for number in range(3):
        queue.add(f"j{number}", data="x" * (MAX_BYTES // 2 + 1), priority=number % 2)

    replies = [queue.exchange(10) for _ in range(4)]

    assert [(reply.claimed, reply.plenty) for reply in replies] == [(1, 1), (1, 1), (1, 0), (0, 0)]
