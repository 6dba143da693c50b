"""Does what a process tells its supervisor arrive as it was meant?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.http_site import WELL

from oxcart.errors import Failure, Kind
from oxcart.queue.unhandled import UnhandledJobs
from oxcart.supervisor.channel import JobsEnded, Noticed, Report, decode, encode, event_of, message_of
from oxcart.supervisor.supervise import OneVoice
from oxcart.telemetry import events
from oxcart.telemetry.events import Event, FinishedJob, JobsFinished
from oxcart.telemetry.metrics import Metrics

REFUSED = Failure("TCP_REFUSED", Kind.TRANSIENT, True, "Nothing listens there.", "Look at host and port.")
LOST = events.RedisLost("redis.example", 6379, REFUSED)
CHANGED = events.RedisFailureChanged("redis.example", 6379, REFUSED, 3.0)
READY = events.RedisReady("redis.example", 6379, True, None, 12.5, 4)


def job(job_id: str, verdict: str, name: str = "sync") -> FinishedJob:
    return FinishedJob(job_id, name, verdict, 5.0, 1.0, 1, "because", None)


def test_a_report_arrives_whole() -> None:
    metrics = Metrics()
    metrics(JobsFinished("crm", [job("1", "completed"), job("2", "snoozed")]))
    metrics(LOST)
    waiting = (UnhandledJobs("crm", "x", 4, 1000, "no handler"),)
    report = Report(replace(WELL, redis=replace(WELL.redis, failure=REFUSED), unhandled=waiting), metrics.counts())

    line = encode(report)

    assert line.count(b"\n") == 1
    assert decode(line) == report


def test_a_name_that_has_no_utf8_does_not_spoil_the_report() -> None:
    """Node writes lone surrogates."""
    report = Report(replace(WELL, unknown_jobs=("half \ud83d of one",)), Metrics().counts())

    found = decode(encode(report))

    assert isinstance(found, Report)
    assert found.status.unknown_jobs == ("half ? of one",)


@pytest.mark.parametrize("event", [LOST, CHANGED, READY, events.JobsStalled("crm", ("7", "8"))])
def test_an_event_arrives_as_it_was(event: Event) -> None:
    found = decode(encode(message_of(event)))

    assert isinstance(found, Noticed)
    assert event_of(found) == event


def test_of_jobs_their_number_arrives_and_the_last_that_failed() -> None:
    event = JobsFinished("crm", [job("1", "failed"), job("2", "completed"), job("3", "failed", "hook")])

    found = decode(encode(message_of(event)))

    assert isinstance(found, JobsEnded)
    again = event_of(found)
    assert isinstance(again, JobsFinished)
    assert sorted(each.verdict for each in again.jobs) == ["completed", "failed", "failed"]
    assert (again.jobs[-1].job_id, again.jobs[-1].name) == ("3", "hook")
    assert b"because" not in encode(found), "a handler's words may hold data"


def test_a_line_that_is_no_message_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid value"):
        decode(b'{"type":"stranger"}')


def heard(*told: tuple[int, Event]) -> list[Event]:
    """What the alerts hear of what the processes tell."""
    events_heard: list[Event] = []
    voice = OneVoice(events_heard.append)
    for process, event in told:
        voice.hear(process, message_of(event))
    return events_heard


def test_redis_is_lost_once_and_back_when_all_have_it_back() -> None:
    assert heard((1, LOST), (2, LOST), (1, READY), (2, READY)) == [LOST, READY]


def test_a_process_that_starts_anew_while_redis_is_away_is_the_same_outage() -> None:
    assert heard((1, LOST), (1, LOST), (2, CHANGED), (1, READY)) == [LOST, CHANGED, READY]


def test_the_first_connection_of_a_process_is_no_news() -> None:
    assert heard((1, READY), (2, READY)) == []


def test_what_is_no_state_is_told_each_time() -> None:
    stalled = events.JobsStalled("crm", ("7",))

    assert heard((1, stalled), (2, stalled)) == [stalled, stalled]


def test_without_a_receiver_nothing_is_told() -> None:
    OneVoice(None).hear(1, message_of(LOST))
