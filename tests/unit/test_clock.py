"""Does the server's time go on through whatever is done to this machine's clock?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oxcart.clock import ServerClock

DAYS_30_MS = 30 * 86_400_000
NOW_MS = 1_800_000_000_000
TEST_TAKES_MS = 5_000


class Wall:
    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


def test_before_the_server_has_said_its_time_this_machine_is_believed() -> None:
    wall = Wall(NOW_MS)
    clock = ServerClock(wall)

    wall.ms += DAYS_30_MS

    assert clock.now_ms() == NOW_MS + DAYS_30_MS
    assert clock.skew_seconds is None


@given(st.lists(st.integers(-DAYS_30_MS, DAYS_30_MS), max_size=5))
def test_steps_of_this_machines_clock_do_not_matter_then(steps: list[int]) -> None:
    wall = Wall(NOW_MS)
    clock = ServerClock(wall)
    clock.learn(NOW_MS, 0.0)

    for step in steps:
        wall.ms += step

    assert NOW_MS <= clock.now_ms() <= NOW_MS + TEST_TAKES_MS
    assert clock.skew_seconds is not None
    assert abs(clock.skew_seconds - sum(steps) / 1000) <= TEST_TAKES_MS / 1000


def test_half_of_the_round_trip_is_the_way_back() -> None:
    clock = ServerClock(Wall(0))
    clock.learn(NOW_MS, 10.0)

    assert NOW_MS + 5_000 <= clock.now_ms() <= NOW_MS + 5_000 + TEST_TAKES_MS


def test_a_server_whose_clock_was_set_forward_is_followed() -> None:
    clock = ServerClock(Wall(NOW_MS))
    clock.learn(NOW_MS, 0.0)

    clock.hear(NOW_MS - 1_000)
    assert NOW_MS <= clock.now_ms() <= NOW_MS + TEST_TAKES_MS
    clock.hear(NOW_MS + DAYS_30_MS)

    assert clock.now_ms() >= NOW_MS + DAYS_30_MS
