"""Are a caller's options checked, and BullMQ's options read, whoever wrote them?"""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import pytest

from oxcart.errors import InvalidInput
from oxcart.handlers import Backoff
from oxcart.protocol import js_values
from oxcart.protocol.job_options import (
    Deduplication,
    JobOptions,
    KeepJobs,
    Parent,
    from_wire,
    parse_options,
    read_options,
)
from oxcart.protocol.keys import QueueKeys
from oxcart.queue.options import JobArguments, build_options, check_job_id, parse_backoff


def own_names() -> list[str]:
    """Whatever a queue has a key for, without what comes before it."""
    keys = QueueKeys("q")
    attributes = [getattr(keys, name) for name in QueueKeys.__slots__ if name not in {"name", "prefix", "base"}]
    made = [keys.cancellations, keys.deduplication("d"), keys.metrics("completed"), keys.scheduler("nightly")]
    beside = [keys.lock, keys.logs, keys.dependencies, keys.processed, keys.failed_children, keys.unsuccessful]
    job = [make("repeat:nightly") for make in beside]
    return [key.removeprefix(keys.base) for key in [*attributes, *made, *job]] + ["de:a:b", "metrics:completed:data"]


def test_options_are_written_with_bullmqs_names() -> None:
    options = build_options(
        {
            "job_id": "mine",
            "delay_seconds": 1.5,
            "priority": 2,
            "attempts": 3,
            "backoff": "exponential:5s:0.5",
            "lifo": True,
            "keep_completed": False,
            "keep_failed": {"age": 60, "count": 5},
            "keep_logs": 10,
            "timeout_seconds": 30,
            "parent": {"id": "p", "queue": "bull:q"},
            "on_failure": "ignore_dependency",
        }
    )

    assert options.to_wire() == {
        "jobId": "mine",
        "delay": 1500,
        "priority": 2,
        "attempts": 3,
        "backoff": {"type": "exponential", "delay": 5000, "jitter": 0.5},
        "lifo": True,
        "removeOnComplete": True,
        "removeOnFail": {"age": 60, "count": 5},
        "kl": 10,
        "timeout": 30_000,
        "parent": {"id": "p", "queue": "bull:q"},
        "idof": True,
    }
    assert from_wire(options.to_wire()) == options


@pytest.mark.parametrize("names", ["short", "long"])
def test_short_and_long_names_are_read(names: str) -> None:
    short = {"fpof": True, "kl": 5, "de": {"id": "x", "ttl": 10, "keepLastIfActive": True}, "tm": "trace"}
    long = {"failParentOnFailure": True, "keepLogs": 5, "deduplication": short["de"], "tm": "trace"}

    options = from_wire(short if names == "short" else long)

    assert (options.on_failure, options.keep_logs, options.other) == ("fail_parent", 5, {"tm": "trace"})
    assert options.deduplication == Deduplication("x", 10, keep_last_if_active=True)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (True, KeepJobs(count=0)),
        (False, KeepJobs()),
        (0, KeepJobs(count=0)),
        (100, KeepJobs(count=100)),
        (-1, KeepJobs()),
        ({"age": 3600}, KeepJobs(age_seconds=3600)),
        ({"age": 3600, "count": 5, "limit": 9}, KeepJobs(5, 3600, 9)),
        ({"count": -1}, KeepJobs()),
        ("many", KeepJobs(count=0)),
        ("100", KeepJobs(count=0)),
        ("", KeepJobs()),
        (1.5, KeepJobs(count=1)),
        ({"age": "60", "count": "5"}, KeepJobs(5, 60)),
        (None, None),
        ([1], None),
    ],
)
def test_every_way_to_keep_finished_jobs_is_read(written: Any, kept: KeepJobs | None) -> None:
    assert from_wire({"removeOnComplete": written}).keep_completed == kept


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        (True, (0, -1, 1000)),
        (False, (-1, -1, 1000)),
        (100, (100, -1, 1000)),
        ({"age": 0.5}, (-1, 0.5, 1000)),
        ({"age": 3600, "count": 5, "limit": 9}, (5, 3600, 9)),
        ({"count": -7, "age": -1, "limit": 0}, (-1, -1, 1000)),
    ],
)
def test_what_is_kept_is_ready_for_an_exchange(written: Any, policy: tuple[int, float, int]) -> None:
    kept = from_wire({"removeOnComplete": written}).keep_completed

    assert kept is not None
    assert kept.policy == policy


@pytest.mark.parametrize(
    "text",
    ['{"attempts":"three","delay":-5,"backoff":[],"de":{},"parent":7,"priority":null,"lifo":0}', "{}", "", None],
)
def test_values_that_make_no_sense_count_as_not_given(text: str | None) -> None:
    assert parse_options(text) == JobOptions()


@pytest.mark.parametrize("text", ["[]", "{", "7"])
def test_options_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Reading opts"):
        parse_options(text)


@pytest.mark.parametrize("text", [b"[]", b"{", b"7", b"\xff", b"[" * 5000, b""])
def test_a_worker_reads_options_that_are_no_object_as_none_at_all(text: bytes) -> None:
    """Whoever claims such a job must be able to finish it."""
    assert read_options(text) == JobOptions()


@pytest.mark.parametrize(
    ("attempts", "read_as"),
    [
        *[('"3"', 3), ('" 3 "', 3), ('"0x3"', 3), ("2.5", 3), ("[3]", 3), ("true", 1), ('"many"', None), ("{}", None)],
        *[("-3", None), ("0.5", None), ('""', None), ("null", None), ("1e400", 2**53 - 1), ("9" * 30, 2**53 - 1)],
    ],
)
def test_attempts_are_those_that_node_makes(attempts: str, read_as: int | None) -> None:
    """It compares as JavaScript does: attempts made < attempts. Infinity is as many as a number can tell."""
    read = read_options(f'{{"attempts":{attempts},"timeout":"5"}}'.encode())

    assert read.attempts == read_as
    assert read.timeout_ms == 5


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("3", 3),
        ("-1.5e1", -15),
        (".5", 0.5),
        ("5.", 5),
        ("0b11", 3),
        ("Infinity", math.inf),
        ([], 0),
        (["7"], 7),
        (None, 0),
    ],
)
def test_numbers_are_read_as_javascript_reads_them(value: Any, number: float) -> None:
    assert js_values.number(value) == number


@pytest.mark.parametrize("value", ["many", "1_000", "١", "1 2", "0x", "-0x3", [1, 2], {}, "nan", "inf"])
def test_what_is_no_number_in_javascript_is_none_here(value: Any) -> None:
    assert math.isnan(js_values.number(value))


@pytest.mark.parametrize(
    ("given", "backoff"),
    [
        (5000, Backoff("fixed", 5000)),
        ("fixed:30s", Backoff("fixed", 30_000)),
        ("exponential:5s", Backoff("exponential", 5000)),
        ("exponential:1.5m:0.25", Backoff("exponential", 90_000, 0.25)),
        ({"type": "custom", "delay": 7}, Backoff("custom", 7)),
    ],
)
def test_backoff_is_understood(given: Any, backoff: Backoff) -> None:
    assert parse_backoff("backoff", given) == backoff


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"job_id": "123"}, "a number could be taken"),
        ({"job_id": "a:b"}, 'a ":" separates'),
        ({"job_id": ""}, "not empty"),
        ({"job_id": "x" * 40_000}, "40000 bytes, 32768 are the limit"),
        ({"priority": 2**21}, "no whole number from 0 to 2097151"),
        ({"priority": 1.5}, "no whole number"),
        ({"attempts": 0}, "no whole number from 1"),
        ({"delay_seconds": -1}, "out of range"),
        ({"delay_seconds": float("nan")}, "is no number"),
        ({"backoff": "linear:5s"}, "write it like"),
        ({"backoff": "exponential:5s:2"}, "a share from 0 to 1"),
        ({"keep_failed": {"days": 3}}, "give True"),
        ({"deduplication": {"ttl": 5}}, "give an id"),
        ({"parent": {"id": "x"}}, "job id and its queue"),
        ({"on_failure": "panic", "parent": {"id": "p", "queue": "q"}}, "is none of fail_parent"),
        ({"on_failure": "fail_parent"}, "needs a parent"),
        ({"deduplication": "x", "parent": {"id": "p", "queue": "q"}}, "both deduplication and a parent"),
        ({"retries": 3}, '"retries" is no option'),
        ({"lifo": "yes"}, "neither True nor False"),
    ],
)
def test_a_mistake_in_the_options_is_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        build_options(given)

    assert sentence in str(raised.value)


@pytest.mark.parametrize("name", own_names())
def test_the_name_of_a_queue_s_own_key_is_no_job_id(name: str) -> None:
    """A job of that id would be stored where the queue keeps something else."""
    with pytest.raises(InvalidInput, match="the queue keeps something of its own under this name"):
        check_job_id(name)
    if not name.startswith("repeat:"):
        with pytest.raises(InvalidInput, match="the queue keeps something of its own there"):
            build_options({"parent": {"id": name, "queue": "q"}})


@pytest.mark.parametrize("name", ["waiting", "stalled-2", "metrics", "de", "oxcart", "my-wait", "active_"])
def test_a_name_that_is_only_similar_is_a_job_id(name: str) -> None:
    assert check_job_id(name) == name


def test_every_documented_option_has_a_check() -> None:
    """Options that are None count as not given, so that callers can pass on what they have."""
    assert build_options(dict.fromkeys(JobArguments.__annotations__)) == JobOptions()


def test_parents_are_found_by_their_key() -> None:
    assert Parent("p", "bull:q").key == "bull:q:p"
    assert json.loads(json.dumps(JobOptions().to_wire())) == {"attempts": 0}


def test_long_options_are_read_and_not_kept() -> None:
    """Whoever adds jobs chooses how long they are: 300 with a MiB each kept 630 MiB."""
    tracemalloc.start()
    try:
        for number in range(100):
            text = json.dumps({"attempts": 3, "other": "x" * 1_000_000, "number": number}).encode()
            assert read_options(text).attempts == 3
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 5_000_000


def test_ordinary_options_are_read_once() -> None:
    text = json.dumps({"attempts": 3, "backoff": {"type": "exponential", "delay": 1000}}).encode()

    assert read_options(text) is read_options(bytes(bytearray(text)))
