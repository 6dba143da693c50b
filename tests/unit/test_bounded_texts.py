"""Does what others name or write stay small where it is told, whoever they are?"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args, get_type_hints

import pytest
from support.http_site import serving

from oxcart.errors import Failure, Kind
from oxcart.http.prometheus import render
from oxcart.telemetry.events import Event, FinishedJob, JobsFinished, JobsStarted
from oxcart.telemetry.lines import RULES, VERDICT_RULES, finished_line, started_line
from oxcart.telemetry.log_format import Redactor, human_format, json_format
from oxcart.telemetry.metrics import MAX_JOB_NAMES, Metrics

LONG = "\x1b[31mимя\u202e" * 100_000
MOST_OF_A_LINE = 100_000
MOST_OF_AN_ANSWER = 1_000_000
FAILURE = Failure("QUEUE_BROKEN", Kind.TRANSIENT, True, LONG, LONG)
FORMATS = (human_format(Redactor(), coloured=True), json_format("worker", Redactor()))


def hostile(kind: Any) -> Any:
    """The longest that a field of this type may hold."""
    if kind is str or str in get_args(kind):
        return LONG
    if kind is Failure or Failure in get_args(kind):
        return FAILURE
    if getattr(kind, "__origin__", None) is tuple:
        return (LONG,) * 1000
    if kind is bool:
        return True
    if kind is int or int in get_args(kind):
        return 2**53
    if kind is float or float in get_args(kind):
        return 1e15
    raise AssertionError(f"a test must know how long a {kind} may be")


EVENTS = [kind for kind in get_args(Event) if kind not in {JobsFinished, JobsStarted}]


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_is_a_line_of_bounded_length(kind: type) -> None:
    hints = get_type_hints(kind)
    event = kind(**{field.name: hostile(hints[field.name]) for field in dataclasses.fields(kind)})

    line = RULES[kind].line(event)

    assert all(len(render(line, 0.0)) < MOST_OF_A_LINE for render in FORMATS)


@pytest.mark.parametrize("verdict", VERDICT_RULES)
def test_every_end_of_a_job_is_a_line_of_bounded_length(verdict: str) -> None:
    lines = [
        finished_line("crm", FinishedJob(LONG, LONG, verdict, 1.0, 1.0, 1, LONG, 5)),
        started_line("crm", LONG, LONG),
    ]

    assert all(len(render(line, 0.0)) < MOST_OF_A_LINE for line in lines for render in FORMATS)


def test_health_is_bounded_whatever_it_has_to_tell() -> None:
    with serving() as worker:
        worker.change(
            healthy=False,
            queue_names=(LONG,) * 100,
            unknown_jobs=tuple(f"{n}{LONG[:1000]}" for n in range(20_000)),
            refused_queues={f"{n}{LONG[:1000]}": FAILURE for n in range(1000)},
        )
        worker.change_redis(connected=False, failure=FAILURE, host=LONG)

        answer = worker.get("/health")

    assert answer.status == 503
    assert len(answer.body) < MOST_OF_AN_ANSWER
    assert answer.content["worker"]["unknownJobs"][0].startswith("0\x1b")


def test_metrics_are_bounded_whatever_jobs_are_called() -> None:
    with serving() as worker:
        names = [*(f"{n} {LONG[:1000]}" for n in range(20_000)), *(f"{n} {LONG}" for n in range(10))]
        for name in names:
            worker.metrics(JobsFinished("crm", [FinishedJob("1", name, "completed", 1.0, 1.0, 1, None, None)]))

        answers = [worker.get("/metrics"), worker.get("/metrics/prometheus")]
        text, _ = render(worker.metrics.counts(), worker.worker, "")

    by_type = json.loads(answers[0].body)["jobs"]["byType"]
    assert len(by_type) == MAX_JOB_NAMES + 1
    assert sum(tally["completed"] for tally in by_type.values()) == len(names)
    assert all(len(answer.body) < MOST_OF_AN_ANSWER for answer in answers)
    assert len(text) < MOST_OF_AN_ANSWER


def test_names_that_begin_alike_share_a_row() -> None:
    metrics = Metrics()
    for number in range(3):
        jobs = [FinishedJob("1", "x" * 200 + str(number), "completed", 1.0, 1.0, 1, None, None)]
        metrics(JobsFinished("crm", jobs))

    ((name, tally),) = metrics.counts().by_name.items()
    assert (name, tally.completed) == ("x" * 100, 3)
