"""Does what a process tells its supervisor arrive as it was meant?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_site import WELL

from oxcart.errors import Failure, Kind
from oxcart.supervisor.channel import (
    LONGEST_LINE_BYTES,
    JobsEnded,
    Lines,
    Noticed,
    Report,
    decode,
    encode,
    event_of,
    message_of,
)
from oxcart.supervisor.supervise import OneVoice
from oxcart.telemetry import events
from oxcart.telemetry.events import Event, FinishedJob, JobsFinished
from oxcart.telemetry.metrics import MAX_JOB_NAMES, Metrics

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
    report = Report(replace(WELL, redis=replace(WELL.redis, failure=REFUSED)), metrics.counts())

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


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"stranger"}',
        b'{"type":"event","name":"annotations","fields":{}}',
        b'{"type":"event","name":"JobsStalled","fields":{"queue":7}}',
        b'{"type":"jobs","queue":"crm","failed":-1,"others":99999999999}',
        b'{"type":"event","name":"JobsStalled","fields":' + b"[" * 100_000,
        b"\xff\xfe",
        b"",
    ],
)
def test_a_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"Invalid|malformed|truncated|Expected|Input"):
        decode(line)


def test_names_of_any_length_make_a_short_message() -> None:
    """Whoever adds jobs chooses them: 150 names of 1 MiB ended the supervisor."""
    names = [f"{number}{'n' * 2**20}" for number in range(150)]
    metrics = Metrics()
    metrics(JobsFinished("crm", [job("1", "completed", name) for name in names]))

    line = encode(Report(replace(WELL, unknown_jobs=tuple(names)), metrics.counts(), "w" * 10_000))

    found = decode(line)
    assert isinstance(found, Report)
    assert len(line) < 200_000
    assert len(found.counts.by_name) == MAX_JOB_NAMES + 1, "they are still told apart"
    assert len(set(found.status.unknown_jobs)) == 150


def test_an_event_of_any_size_makes_a_message_that_is_read() -> None:
    stalled = events.JobsStalled("q" * 10**6, tuple("\x01" * 1000 + str(number) for number in range(10_050)))

    line = encode(message_of(stalled))

    assert len(line) < LONGEST_LINE_BYTES
    assert isinstance(decode(line), Noticed)


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 7))
def test_lines_arrive_whole_however_they_are_cut(sent: list[bytes], piece: int) -> None:
    lines, arrived, stream = Lines(), [], b"".join(line.replace(b"\n", b"") + b"\n" for line in sent)

    for start in range(0, len(stream), piece):
        arrived += lines.feed(stream[start : start + piece])

    assert arrived == [line.replace(b"\n", b"") for line in sent]


def test_a_line_without_an_end_is_left_out_and_the_next_one_is_read() -> None:
    lines, piece = Lines(), b"x" * 2**20

    arrived = [lines.feed(piece) for _ in range(2 * LONGEST_LINE_BYTES // len(piece))]

    assert not any(arrived)
    assert lines.feed(b"rest\n{}\nhalf") == [b"{}"]
    assert lines.left_out == 1


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
