"""What is the shortest schedule that still fails? Leaves out what it can while the same promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulation.checker import Violation, check
from simulation.schedule import Schedule
from simulation.server import scratch
from simulation.world import Outcome, play


def failure(schedule: Schedule) -> tuple[Outcome, list[Violation]]:
    with scratch() as folder:
        outcome = play(schedule, folder)
    return outcome, check(outcome)


def breaks(invariant: str) -> Callable[[Schedule], bool]:
    """Does a schedule break this promise?"""
    return lambda schedule: any(violation.invariant == invariant for violation in failure(schedule)[1])


def shrink(
    schedule: Schedule, still_fails: Callable[[Schedule], bool], tell: Callable[[int], None] = lambda _left: None
) -> Schedule:
    """`tell` is called with the number of steps that are left."""
    size = max(1, len(schedule.steps) // 2)
    while size:
        start = 0
        while start < len(schedule.steps):
            candidate = schedule.without(set(range(start, start + size)))
            if still_fails(candidate):
                schedule = candidate
                tell(len(schedule.steps))
            else:
                start += size
        size //= 2
    for place in list(schedule.places[1:]):
        fewer = replace(
            schedule,
            places=[one for one in schedule.places if one is not place],
            steps=[step for step in schedule.steps if step.get("who") != place.name],
        )
        if still_fails(fewer):
            schedule = fewer
    used = [queue for queue in schedule.queues if any(step.get("queue") == queue for step in schedule.steps)]
    smaller = replace(schedule, queues=used or schedule.queues[:1])
    return smaller if smaller.queues != schedule.queues and still_fails(smaller) else schedule


_DULL = frozenset({"looked", "renewed"})


def story(outcome: Outcome, violations: list[Violation]) -> str:
    """Who did what when, without what says nothing about what is wrong."""
    fleet = ", ".join(f"{place.name} ({place.kind}, {place.concurrency} slots)" for place in outcome.schedule.places)
    lines = [f"Seed {outcome.schedule.seed}: {fleet}; queues {', '.join(outcome.schedule.queues)}"]
    for fact in outcome.history.facts:
        is_ours = fact.facts.get("queue") == "oxcart"
        if fact.what not in _DULL and not is_ours:
            lines.append(fact.told())
    return "\n".join([*lines, "", *(f"BROKEN  {violation}" for violation in violations)])


def as_test(schedule: Schedule, invariant: str) -> str:
    """To be pasted into tests/simulation/test_found.py."""
    return f'''def test_{invariant.replace("-", "_")}_as_seed_{schedule.seed}_found() -> None:
    schedule = Schedule.from_json(r"""{schedule.to_json()}""")

    assert not failure(schedule)[1]
'''
