"""Does wait_until return the answer, and fail with what it waited for?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from oxcart.testing import wait_until


async def test_it_returns_the_first_true_answer_of_a_plain_predicate() -> None:
    answers: Iterator[int] = iter([0, 0, 7, 8])

    assert await wait_until(lambda: next(answers), describe="a number comes") == 7


async def test_it_returns_the_first_true_answer_of_an_async_predicate() -> None:
    answers = iter(["", "ready"])

    async def ask() -> str:
        await asyncio.sleep(0)
        return next(answers)

    assert await wait_until(ask, describe="it is ready") == "ready"


async def test_it_fails_with_what_was_expected_and_what_was_last_seen() -> None:
    with pytest.raises(AssertionError, match=r"0\.05 s.*job 7 is active; last answer: \[\]"):
        await wait_until(list[int], describe="job 7 is active", timeout=0.05)


async def test_an_answer_that_never_comes_does_not_hang_the_test() -> None:
    async def ask() -> bool:
        return await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="no answer"):
        await wait_until(ask, describe="the event is set", timeout=0.05)


async def test_an_error_of_the_predicate_is_not_hidden() -> None:
    async def ask() -> bool:
        raise TimeoutError("of the predicate itself")

    with pytest.raises(TimeoutError, match="of the predicate itself"):
        await wait_until(ask, describe="it is ready")
