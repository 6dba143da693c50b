"""Which problems of the queues are worth waking someone for? Each that has lasted, once, and once when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from oxcart.conditions import Problem
from oxcart.telemetry.alert import Alert, span

Key = tuple[str, str]  # code and queue


@dataclass(slots=True)
class _Held:
    problem: Problem
    since: float
    is_raised: bool = False


class ProblemAlerts:
    """`problems` is asked at each look; `patience_seconds` by code stands above that of the list of conditions."""

    def __init__(self, patience_seconds: Mapping[str, float]) -> None:
        self._patience_seconds = patience_seconds
        self._problems: Callable[[], Iterable[Problem]] = tuple
        self._held: dict[Key, _Held] = {}

    def watch(self, problems: Callable[[], Iterable[Problem]]) -> None:
        self._problems = problems

    def look(self, now: float) -> list[Alert]:
        present = {(problem.code, problem.queue): problem for problem in self._problems() if problem.condition.alert}
        over = [self._held.pop(key) for key in [*self._held] if key not in present]
        alerts = [_cleared(held, now) for held in over if held.is_raised]
        for key, problem in present.items():
            since = now if problem.since_ms is None else min(now, problem.since_ms / 1000)
            held = self._held.setdefault(key, _Held(problem, since))
            held.problem, held.since = problem, min(held.since, since)
            patience = self._patience_seconds.get(problem.code, problem.condition.patience_seconds)
            if not held.is_raised and now - held.since >= patience:
                held.is_raised = True
                alerts.append(_raised(held))
        return alerts


def _raised(held: _Held) -> Alert:
    problem = held.problem
    return Alert(
        problem.condition.alert or "",
        "raised",
        problem.condition.severity,
        problem.summary(),
        problem.cure(),
        held.since,
        problem.code,
        queue=problem.queue,
    )


def _cleared(held: _Held, now: float) -> Alert:
    text = f"Over after {span(now - held.since)}: {held.problem.summary()}"
    return replace(_raised(held), state="cleared", severity="info", text=text, advice="Nothing to do.")
