"""Does the rule of suspects find every job that kills its worker, and let every other one end? With any numbers."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oxcart.protocol.job_options import JobOptions
from oxcart.protocol.suspects import STALLED_TOO_OFTEN, Trial, read_trial
from oxcart.worker.claim import Shared
from oxcart.worker.suspects import choose, group_size, is_guilty, is_on_trial, reason_of


def shared(stalls: int, trial: Trial | None = None, *, given_up: bool = False) -> Shared:
    return Shared("t:1", 1, 0, "sync", JobOptions(), b"{}", 0, 0, 0, stalls=stalls, trial=trial, given_up=given_up)


@pytest.mark.parametrize(
    ("concurrency", "most_stalls", "sizes"),
    [
        (25, 3, [9, 3, 1, 1]),
        (100, 3, [22, 5, 1, 1]),
        (1000, 3, [100, 10, 1, 1]),
        (25, 1, [1, 1]),
        (25, 2, [5, 1, 1]),
        (25, 1000, [9, 3, 1, 1]),
        (25, 0, [1]),
        (1, 3, [1, 1, 1]),
    ],
)
def test_the_groups_become_smaller_with_each_death(concurrency: int, most_stalls: int, sizes: list[int]) -> None:
    found = [group_size(shared(stalls), concurrency, most_stalls) for stalls in range(1, len(sizes) + 1)]

    assert found == sizes


@dataclass
class SimulatedJob:
    kills: bool
    stalls: int = 0
    trial: Trial | None = None
    ended: str | None = None

    @property
    def claim(self) -> Any:
        return SimpleNamespace(shared=shared(self.stalls, self.trial))


@given(
    st.lists(st.booleans(), min_size=1, max_size=60).filter(any),
    st.integers(1, 40),
    st.integers(0, 6),
)
def test_all_who_kill_are_blamed_and_nobody_else(kills: list[bool], concurrency: int, most_stalls: int) -> None:
    jobs = [SimulatedJob(kill) for kill in kills]
    deaths = 0
    while queue := [job for job in jobs if job.ended is None]:
        for job in queue:
            if is_guilty(job.claim.shared, most_stalls):
                job.ended = "failed"
        suspects = [job for job in queue if job.stalls and job.ended is None]
        fresh = [job for job in queue if not job.stalls]
        turn = cast(
            "list[SimulatedJob]", choose(cast("Any", suspects), concurrency, most_stalls) or fresh[:concurrency]
        )
        if turn and is_on_trial(turn[0].claim.shared, most_stalls) and turn[0].stalls:
            assert len(turn) == 1
            turn[0].trial = Trial(turn[0].stalls, "oxcart-1")
        died = any(job.kills for job in turn)
        deaths += died
        for job in turn:
            if died:
                job.stalls += 1
            else:
                job.ended = "completed"

    assert [job.ended == "failed" for job in jobs] == kills
    assert deaths <= sum(kills) * (max(most_stalls, 1) + 1)


def test_a_stall_that_was_not_its_own_trial_is_nobodys_guilt() -> None:
    assert not is_guilty(shared(9), 3)
    assert not is_guilty(shared(4, Trial(4, "oxcart-1")), 3), "the trial was cut short in good order"
    assert not is_guilty(shared(3, Trial(2, "oxcart-1")), 3), "it has a stall left"
    assert is_guilty(shared(4, Trial(3, "oxcart-1")), 3)


@pytest.mark.parametrize("text", [None, "", "3", "x oxcart-1", "3 ", " oxcart"])
def test_what_is_no_trial_is_none(text: str | None) -> None:
    assert read_trial(text) is None


def test_the_reason_keeps_the_words_that_people_look_for() -> None:
    assert reason_of(None).startswith(STALLED_TOO_OFTEN)
    assert "(out of memory?)" in reason_of("was killed by SIGKILL")
