"""What does the log write, what does it leave out, and what must it survive?"""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import pytest

from oxcart.errors import Failure, Kind
from oxcart.secret import Secret
from oxcart.telemetry import events
from oxcart.telemetry.bus import Bus
from oxcart.telemetry.lines import RULES
from oxcart.telemetry.log_writer import LineWriter
from oxcart.telemetry.logs import EventLog, configure_logging, parse_level


class FakeClock:
    def __init__(self, now: float = 1_700_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Output(io.StringIO):
    """A stream that stays readable after the log has closed."""

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


Format = Literal["json", "human"]


@contextmanager
def log_to(
    output: Output, *, level: str = "info", line_format: Format | None = "json", **options: Any
) -> Iterator[EventLog]:
    log = configure_logging(level=level, format=line_format, stream=output, **options)
    try:
        yield log
    finally:
        log.close()


def job(number: int = 1, verdict: str = "completed", **changes: Any) -> events.FinishedJob:
    plain = events.FinishedJob(str(number), "crm:sync", verdict, 12.3456, 4.0, 1, None, None)
    return plain._replace(**changes)


def finished(*jobs: events.FinishedJob, queue: str = "agent-jobs") -> events.JobsFinished:
    return events.JobsFinished(queue, jobs)


def failure(kind: Kind = Kind.TRANSIENT) -> Failure:
    return Failure("TCP_RESET", kind, True, "The server closed the connection.", "Nothing to do.")


def wait_until(claim: Callable[[], bool], describe: str) -> None:
    end = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < end, f"not within 10 s: {describe}"
        threading.Event().wait(0.005)


def test_a_line_is_one_json_object_with_the_agreed_keys() -> None:
    output = Output()

    with log_to(output, clock=FakeClock()) as log:
        log(finished(job(42, reason=None)))

    assert output.records() == [
        {
            "timestamp": "2023-11-14T22:13:20.250Z",
            "level": "info",
            "message": "Job crm:sync 42 completed",
            "event": "job.finished",
            "service": "worker",
            "queue": "agent-jobs",
            "jobId": "42",
            "jobName": "crm:sync",
            "verdict": "completed",
            "durationMs": 12.346,
            "waitedMs": 4.0,
            "attempt": 1,
        }
    ]


def test_operators_find_the_redis_messages() -> None:
    output = Output()

    with log_to(output) as log:
        log(events.RedisTargetChosen("rediss://default:***@host:6379", ("UPSTASH_REDIS_REST_URL",), ("REDIS_URL",)))
        log(events.RedisReady("host", 6379, True, None, 0.0, 1))
        log(events.RedisLost("host", 6379, failure()))
        log(events.RedisLost("host", 6379, failure(Kind.QUOTA)))

    chosen, ready, lost, quota = output.records()
    assert chosen["message"] == "Redis URL constructed"
    assert chosen["sources"] == ["UPSTASH_REDIS_REST_URL"]
    assert ready["message"] == "Redis connection ready"
    assert lost["message"] == "Redis connection lost"
    assert (lost["level"], lost["errorCode"], lost["advice"]) == ("warn", "TCP_RESET", "Nothing to do.")
    assert quota["level"] == "error"


def test_every_event_has_a_line() -> None:
    assert set(RULES) == set(get_args(events.Event))


def test_a_failed_job_is_an_error_that_names_the_next_step() -> None:
    output = Output()

    with log_to(output) as log:
        log(finished(job(7, "failed", reason="boom"), job(8, "retry_later", reason="boom", retry_in_ms=500)))

    dead, retried = output.records()
    assert (dead["level"], dead["event"], dead["reason"]) == ("error", "job.failed", "boom")
    assert "oxcart jobs show 7" in dead["message"]
    assert (retried["level"], retried["event"], retried["retryInMs"]) == ("warn", "job.retried", 500)


def test_twenty_finished_jobs_a_second_get_a_line_and_the_summary_counts_the_rest() -> None:
    output, clock = Output(), FakeClock()

    with log_to(output, clock=clock) as log:
        for start in range(0, 1000, 10):
            log(finished(*(job(start + n) for n in range(10))))
        clock.now += 1
        log(finished(job(5000)))

    records = output.records()
    assert [record["event"] for record in records] == ["job.finished"] * 20 + ["jobs.summary", "job.finished"]
    summary = records[20]
    assert (summary["jobs"], summary["completed"], summary["avgDurationMs"]) == (980, 980, 12.346)
    assert summary["queue"] == "agent-jobs"
    assert records[21]["jobId"] == "5000"


def test_the_summary_comes_at_the_end_of_the_second_without_another_job() -> None:
    output, clock = Output(), FakeClock(1_700_000_000.999)

    with log_to(output, clock=clock) as log:
        log(finished(*(job(n) for n in range(30))))
        clock.now = 1_700_000_001.001
        wait_until(lambda: "jobs.summary" in output.getvalue(), "the summary is written")

    assert output.records()[-1]["completed"] == 10


def test_failures_are_written_up_to_fifty_a_second_beside_the_finished_ones() -> None:
    output = Output()

    with log_to(output, clock=FakeClock()) as log:
        log(finished(*(job(n) for n in range(100))))
        log(finished(*(job(n, "failed", reason="x") for n in range(60)), job(99, "retry_later", reason="x"), job(100)))

    records = output.records()
    names = [record["event"] for record in records]
    assert (names.count("job.finished"), names.count("job.failed"), names.count("jobs.summary")) == (20, 50, 1)
    summary = records[-1]
    assert (summary["level"], summary["completed"], summary["failed"], summary["retryLater"]) == ("error", 81, 10, 1)


def test_other_events_about_jobs_share_the_cap_of_the_failures() -> None:
    output = Output()

    with log_to(output, clock=FakeClock()) as log:
        for number in range(70):
            log(events.JobUnreadable("agent-jobs", str(number), "no hash"))

    records = output.records()
    assert [record["event"] for record in records] == ["job.unreadable"] * 50 + ["jobs.summary"]
    assert (records[-1]["unreadable"], records[-1]["level"]) == (20, "error")


def test_the_level_leaves_out_what_is_below_it() -> None:
    output = Output()

    with log_to(output, level="WARNING", clock=FakeClock()) as log:
        log(events.RedisReady("host", 6379, True, None, 0.0, 1))
        log(events.RedisLost("host", 6379, failure()))
        log(events.JobsStarted("agent-jobs", [("1", "crm:sync")]))
        log(finished(*(job(n) for n in range(500)), job(501, "failed", reason="x")))

    assert [record["event"] for record in output.records()] == ["redis.lost", "job.failed"]


def test_at_error_a_lost_connection_that_heals_by_itself_is_left_out() -> None:
    output = Output()

    with log_to(output, level="error") as log:
        log(events.RedisLost("host", 6379, failure(Kind.TRANSIENT)))
        log(events.RedisLost("host", 6379, failure(Kind.CONFIGURATION)))

    assert [record["level"] for record in output.records()] == ["error"]


def test_starts_are_written_at_debug() -> None:
    output = Output()

    with log_to(output, level="debug") as log:
        log(events.JobsStarted("agent-jobs", [("1", "crm:sync"), ("2", "crm:sync")]))

    assert [(r["level"], r["event"], r["jobId"]) for r in output.records()] == [
        ("debug", "job.started", "1"),
        ("debug", "job.started", "2"),
    ]


class Untouchable(events.FinishedJob):
    """A finished job that notices whether anyone formats it."""

    def __format__(self, spec: str) -> str:
        raise AssertionError("a job beyond the cap was formatted")

    @property
    def job_id(self) -> str:
        raise AssertionError("a job beyond the cap was read for a line")


def test_beyond_the_cap_nothing_is_formatted() -> None:
    output = Output()

    with log_to(output, clock=FakeClock()) as log:
        log(finished(*(job(n) for n in range(20))))
        log(finished(*(Untouchable(*job(n)) for n in range(20, 40))))

    assert output.records()[-1]["completed"] == 20


def test_known_secrets_are_blanked_out_in_every_spelling() -> None:
    output = Output()
    token = Secret('p@ss/"word"\\ж')

    with log_to(output, secrets=[token]) as log:
        log.hide([Secret("second-secret")])
        log(events.WarningRaised("X", f"{token.reveal()} and second-secret"))
        log(events.WarningRaised("X", "redis://:p%40ss%2F%22word%22%5C%D0%B6@host"))

    text = output.getvalue()
    assert [record["message"] for record in output.records()] == ["*** and ***", "redis://:***@host"]
    assert "word" not in text


def test_the_rejected_input_that_pydantic_quotes_is_left_out() -> None:
    output = Output()
    reason = "1 validation error: bad [type=int_type, input_value='ann@example.com', input_type=str]"

    with log_to(output) as log:
        log(finished(job(1, "failed", reason=reason)))

    assert "ann@example.com" not in output.getvalue()
    assert "type=int_type" in output.records()[0]["reason"]


def test_long_texts_lists_and_odd_names_stay_one_short_line() -> None:
    output = Output()

    with log_to(output) as log:
        log(finished(job(1, name="a\nb\ud800"), job(2, "failed", reason="x" * 100_000)))
        log(events.JobsStalled("agent-jobs", tuple(str(n) for n in range(500))))

    odd, long, stalled = output.records()
    assert odd["jobName"] == "a\nb\ud800"
    assert len(long["reason"]) < 1_100
    assert stalled["jobIds"][-1] == "… and 480 more"


def test_people_get_short_lines_and_no_control_characters() -> None:
    output = Output()

    with log_to(output, line_format="human") as log:
        log(finished(job(1, name="crm\x1b[31m:sync")))
        log(events.LoopBlocked(2.0, "line one\nline two"))

    first, second, *stack = output.getvalue().splitlines()
    assert "\x1b" not in first
    assert "info  Job crm\\u001b[31m:sync 1 completed" in first
    assert "durationMs=12.346" in first
    assert "The event loop did not run for 2.0 s" in second
    assert stack == ["    line one", "    line two"]


class Terminal(Output):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("coloured", "escapes"), [(True, True), (False, False)])
def test_a_terminal_gets_the_human_form_by_default(coloured: bool, escapes: bool) -> None:
    output = Terminal()

    with log_to(output, line_format=None, coloured=coloured) as log:
        log(events.WorkerStopping("SIGTERM", 2, 27.0))

    assert "Worker stops: SIGTERM" in output.getvalue()
    assert ("\x1b[" in output.getvalue()) is escapes


def test_the_format_setting_wins_over_the_terminal() -> None:
    output = Terminal()

    with log_to(output, line_format="json") as log:
        log(events.WorkerStopping("SIGTERM", 2, 27.0))

    assert output.records()[0]["event"] == "worker.stopping"


def test_library_messages_and_warnings_come_in_the_same_form() -> None:
    output = Output()

    with log_to(output):
        logging.getLogger("some.library").warning("slow %s", "query")
        logging.getLogger("some.library").debug("unseen")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old call", DeprecationWarning, stacklevel=1)
    logging.getLogger("some.library").warning("after the end")

    slow, old = output.records()
    assert (slow["level"], slow["message"], slow["logger"]) == ("warn", "slow query", "some.library")
    assert "old call" in old["message"]


def test_a_broken_subscriber_is_reported_with_its_stack() -> None:
    output, bus = Output(), Bus()

    def broken(_: events.Event) -> None:
        raise ZeroDivisionError("oops")

    with log_to(output) as log:
        bus.subscribe(broken)
        bus.subscribe(log)
        bus.emit(events.WorkerStopping("SIGTERM", 0, 0.0))

    report, stopping = output.records()
    assert (report["level"], report["error"]) == ("error", "ZeroDivisionError: oops")
    assert "in broken" in report["stack"]
    assert stopping["event"] == "worker.stopping"


def test_setting_up_the_log_again_does_not_write_library_messages_twice() -> None:
    first, second = Output(), Output()

    with log_to(first), log_to(second):
        logging.getLogger("some.library").warning("once")

    assert (len(first.records()), len(second.records())) == (0, 1)


def test_closing_twice_is_fine() -> None:
    output = Output()
    log = configure_logging(stream=output, format="json")
    log(events.WorkerStopping("SIGTERM", 0, 0.0))

    log.close()
    log.close()

    assert len(output.records()) == 1


@pytest.mark.parametrize("text", ["loud", "", "2"])
def test_an_unknown_level_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Use debug, info, warn or error"):
        parse_level(text)


# ------------------------------------------------------------------------------------------------ the stream


def a_writer(descriptor: int) -> LineWriter:
    stream = os.fdopen(descriptor, "w")
    return LineWriter(stream, lambda: None, lambda number: b"lost %d\n" % number)


def test_a_reader_that_has_gone_does_not_stop_the_worker() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "w") as stream:
        log = configure_logging(stream=stream, format="json")
        for _ in range(3):
            log(events.WorkerStopping("SIGTERM", 0, 0.0))
        log.close()


def test_a_closed_stream_does_not_stop_the_worker() -> None:
    output = Output()
    log = configure_logging(stream=output, format="json")
    output.close()

    log(events.WorkerStopping("SIGTERM", 0, 0.0))
    log.close()


def test_a_stuck_reader_holds_nobody_up_and_what_was_lost_is_counted() -> None:
    reading, writing = os.pipe()
    writer = a_writer(writing)
    line = b"x" * 1023 + b"\n"

    for _ in range(6 * 1024):  # 6 MiB against a pipe of 64 KiB and 4 MiB of patience
        writer.put(line)

    received = bytearray()

    def read_all() -> None:
        while chunk := os.read(reading, 65536):
            received.extend(chunk)

    reader = threading.Thread(target=read_all)
    reader.start()
    wait_until(lambda: b"lost " in received, "the lost lines are reported")
    writer.close()
    writer._stream.close()  # type: ignore[union-attr]
    reader.join(10)
    os.close(reading)
    lines = bytes(received).splitlines()
    whole = sum(row == line[:-1] for row in lines)
    lost = [int(row.split()[1]) for row in lines if row.startswith(b"lost")]
    assert whole + sum(lost) == 6 * 1024
    assert sum(lost) > 0


def test_a_non_blocking_pipe_loses_nothing_while_its_reader_is_slow() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = a_writer(writing)

    for _ in range(300):
        writer.put(b"y" * 999 + b"\n")
    received = bytearray()
    while len(received) < 300_000:
        received.extend(os.read(reading, 4096))

    writer.close()
    writer._stream.close()  # type: ignore[union-attr]
    os.close(reading)
    assert bytes(received) == (b"y" * 999 + b"\n") * 300


PROGRAM = """
from oxcart.telemetry import events
from oxcart.telemetry.logs import configure_logging
log = configure_logging(format="json")
log(events.WorkerStopping("\\u0416", 0, 0.0))
"""


def test_lines_are_written_at_the_end_of_a_process_that_forgets_to_close_in_any_locale() -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}

    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, env=environment)

    assert json.loads(done.stdout)["reason"] == "Ж"


def test_a_process_started_without_a_stdout_runs() -> None:
    command = ["/bin/sh", "-c", '"$0" -c "$1" >&-', sys.executable, PROGRAM]

    done = subprocess.run(command, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


FORKS = """
import logging, os
from oxcart.telemetry.logs import configure_logging
log = configure_logging(format="json")
logging.warning("parent")
child = os.fork()
if child == 0:
    logging.warning("child")
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_child_has_no_writing_thread_and_still_writes() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, check=True)

    assert sorted(json.loads(line)["message"] for line in done.stdout.splitlines()) == ["child", "parent"]
