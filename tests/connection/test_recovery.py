"""Is a server that is away tried often enough, not too often, and also while an attempt hangs?"""

from __future__ import annotations

import asyncio
import errno
import socket

import aiohappyeyeballs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.valkey import free_port

from oxcart.connection.recovery import backoff_seconds, first_success
from oxcart.connection.sockets import _most_telling
from oxcart.errors import Failure, Kind

AWAY = Failure("TCP_REFUSED", Kind.TRANSIENT, retryable=True, summary="", advice="")


@given(failures=st.integers(1, 10_000), kind=st.sampled_from([kind for kind in Kind if kind is not Kind.QUOTA]))
def test_the_wait_never_exceeds_two_seconds(failures: int, kind: Kind) -> None:
    assert 0 <= backoff_seconds(failures, kind) <= min(2.0, 0.1 * 2.0 ** min(failures - 1, 10))


@given(failures=st.integers(1, 10_000))
def test_a_spent_quota_is_asked_about_every_5_to_60_seconds(failures: int) -> None:
    assert 5 <= backoff_seconds(failures, Kind.QUOTA) <= 60


def test_the_first_attempt_is_made_at_once() -> None:
    assert backoff_seconds(0, None) == 0


class Attempts:
    """Attempts that end as told, in order: an exception, an answer, or None for one that hangs."""

    def __init__(self, *outcomes: Exception | str | None) -> None:
        self.outcomes = list(outcomes)
        self.started = 0
        self.running = 0
        self.most_at_once = 0

    async def __call__(self) -> str:
        outcome = self.outcomes[self.started]
        self.started += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if outcome is None:
                await asyncio.Event().wait()
            if isinstance(outcome, Exception):
                raise outcome
            assert outcome is not None
            return outcome
        finally:
            self.running -= 1


async def found(attempts: Attempts) -> str:
    return await first_success(
        attempts, lambda _error: AWAY, failures_before=0, kind_before=None, beside_after_seconds=0.02
    )


async def test_failures_are_tried_again() -> None:
    attempts = Attempts(OSError("refused"), OSError("refused"), "here")

    assert await found(attempts) == "here"
    assert attempts.started == 3


async def test_three_hang_at_most_and_a_new_one_takes_the_place_of_the_youngest() -> None:
    """All three would hang for the whole connect timeout; the network may be back long before."""
    attempts = Attempts(None, None, None, None, None, "here")

    assert await found(attempts) == "here"
    assert attempts.most_at_once == 3
    assert attempts.running == 0


async def test_what_is_no_failure_of_the_table_ends_the_waiting() -> None:
    def unexpected(error: Exception) -> Failure:
        raise error

    with pytest.raises(ZeroDivisionError):
        await first_success(
            Attempts(None, ZeroDivisionError()),
            unexpected,
            failures_before=0,
            kind_before=None,
            beside_after_seconds=0.01,
        )


async def test_cancelling_ends_the_attempts() -> None:
    attempts = Attempts(None, None, None)
    waiting = asyncio.create_task(found(attempts))
    while attempts.started < 2:
        await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert attempts.running == 0


async def test_addresses_that_fail_differently_have_the_errno_of_one_with_a_route() -> None:
    """Holds the text in which several failures come."""
    unroutable = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("255.255.255.255", 6379))
    closed = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", free_port()))

    with pytest.raises(OSError, match="Multiple exceptions") as caught:
        await aiohappyeyeballs.start_connection([unroutable, closed], happy_eyeballs_delay=0.01)

    assert caught.value.errno is None
    assert _most_telling(caught.value).errno == errno.ECONNREFUSED
