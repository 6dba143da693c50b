"""What does an exchange say of what it claimed? What jobs share, how long `active` is now, whether more is there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from oxcart.protocol.exchange import MAX_BYTES
from oxcart.protocol.job_options import JobOptions, read_options

from .queue_of_ours import OurQueue


def test_the_answer_says_how_long_active_is(queue: OurQueue) -> None:
    """A job of a worker that died lies there: who sees more than it has itself runs the stalled check."""
    assert queue.exchange().active == 0
    queue.server.lpush(queue.keys.active, "of a dead worker")
    assert queue.exchange().active == 1
    assert queue.exchange(5).active == 1

    for number in range(3):
        queue.add(f"j{number}")
    assert queue.exchange(2).active == 3
    queue.server.hset(queue.keys.meta, "concurrency", 4)
    assert queue.exchange(2).active == 4
    assert queue.exchange(2).active == 4


def test_a_claim_that_fills_its_room_is_plenty(queue: OurQueue) -> None:
    for number in range(3):
        queue.add(f"j{number}")

    assert [queue.exchange(2).plenty for _ in range(3)] == [1, 0, 0]


def test_a_claim_that_ends_at_the_byte_limit_is_plenty(queue: OurQueue) -> None:
    """Else the worker would wait for a wake although it knows that jobs are there."""
    for number in range(3):
        queue.add(f"j{number}", data="x" * (MAX_BYTES // 2 + 1), priority=number % 2)

    replies = [queue.exchange(10) for _ in range(4)]

    assert [(reply.claimed, reply.plenty) for reply in replies] == [(1, 1), (1, 1), (1, 0), (0, 0)]


def _said(opts: bytes) -> JobOptions:
    """Without the two members that are each job's own."""
    options = read_options(opts)
    return replace(options, job_id=None, other={name: value for name, value in options.other.items() if name != "tm"})


def _trace(number: int) -> str:
    return json.dumps({"traceparent": f"00-{number:032x}-{number:016x}-01", "tracestate": "a=b/c"})


@pytest.mark.parametrize(
    "opts",
    [
        '{"attempts":3,"jobId":%s,"removeOnComplete":true,"tm":%s}',
        '{"tm":%s,"backoff":{"type":"fixed","delay":5},"attempts":3,"jobId":%s}',
        '{"backoff":{"type":"fixed","keep":{"x":"}"}},"jobId":%s,"tm":%s}',
        '{"jobId":%s,"tm":%s,"de":{"jobId":"nested","tm":"{}"}}',
    ],
)
def test_jobs_with_ids_and_traces_of_their_own_are_one_run(queue: OurQueue, opts: str) -> None:
    for number in range(5):
        own = (json.dumps(f"x-{number}"), json.dumps(_trace(number)).replace("/", "\\/"))  # as cjson writes a slash
        queue.add(f"x-{number}", opts=opts % (own if opts.index("jobId") < opts.index("tm") else own[::-1]))

    (run,) = queue.exchange(10).runs

    assert list(run.job_ids) == [b"x-%d" % number for number in range(5)]
    assert json.loads(run.opts or b"") == json.loads(opts % ('""', '""'))


@pytest.mark.parametrize(
    "opts",
    [
        '{"telemetry":{"jobId":"x-%d"}}',
        '{"telemetry":{"a":1,"jobId":"x-%d"}}',
        '{"a":{"b":"}","jobId":"x-%d"}}',
        '{"a":"\\",\\"jobId\\":\\"x-%d"}',
        '{"a":"\\"","jobId":"x-%d"}',
        '{"jobId":"\\"x-%d"}',
        '{"jobId":%d}',
        '{"tm":{"traceparent":"%d"}}',
        '{"tm":"{\\"a\\":\\"\\\\%d\\"}"}',
        '{"tm":"{}","other":"}%d"}',
        '{"tm":"{","other%d":"}"}',
    ],
)
def test_what_only_looks_like_an_id_or_a_trace_stays_as_it_is(queue: OurQueue, opts: str) -> None:
    for number in range(2):
        queue.add(f"j{number}", opts=opts % number)

    runs = queue.exchange(10).runs

    assert [_said(run.opts or b"") for run in runs] == [_said((opts % number).encode()) for number in range(2)]
    assert len(runs) == 2


def test_a_job_of_a_schedule_comes_with_its_options_as_they_are(queue: OurQueue) -> None:
    """Its next run is made from them."""
    opts = '{"jobId":"repeat:x:1","tm":"{}"}'
    for number in range(2):
        queue.add(f"j{number}", opts=opts)
        queue.server.hset(queue.keys.job(f"j{number}"), "rjk", "x")

    assert [run.opts for run in queue.exchange(10).runs] == [opts.encode()] * 2


_LIKE_OURS = [
    '"jobId":"x"',
    ',"jobId":"x"',
    '{"tm":"{}"',
    '{"tm":"{\\"a\\":1}"}',
    "\\",
    '"',
    "{",
    "}",
    "[",
    ",",
    "é",
    "x",
]
_strings = st.lists(st.sampled_from(_LIKE_OURS), max_size=4).map("".join) | st.text(max_size=6)
_names = st.sampled_from(["jobId", "tm", "attempts", "backoff", "type", "removeOnComplete", "age", "other"]) | _strings
_values: st.SearchStrategy[Any] = st.recursive(
    _strings | st.integers(0, 3) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=4,
)
_traces = st.dictionaries(_strings, _strings, max_size=2).map(lambda trace: json.dumps(trace, separators=(",", ":")))
_members = (
    st.tuples(_names, _values)
    | st.tuples(st.just("jobId"), _strings | st.just("@"))
    | st.tuples(st.just("tm"), _traces | st.integers(0, 9).map(_trace) | st.just('{"traceparent":"00-#-01"}'))
)


@st.composite
def _opts_texts(draw: st.DrawFn) -> bytes:
    """JSON objects, names twice and all, and what becomes of them when a character is lost or put in."""
    writer = json.JSONEncoder(ensure_ascii=draw(st.booleans()), separators=(",", draw(st.sampled_from([":", ": "]))))
    members = draw(st.lists(_members, max_size=5))
    text = "{" + ",".join(f"{writer.encode(name)}:{writer.encode(value)}" for name, value in members) + "}"
    if draw(st.booleans()):
        text = text.replace("/", "\\/")
    raw = _with_a_slip(draw, text).encode("utf-8", "surrogatepass")
    return raw if draw(st.integers(0, 9)) else raw.replace(b"x", b"\xff")


def _with_a_slip(draw: st.DrawFn, text: str) -> str:
    if draw(st.integers(0, 2)):
        return text
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.sampled_from(["", "", '"', "\\", "{", "}", ",", "\x01", "\x7f", " "])) + text[at + 1 :]


@st.composite
def _rows_of_texts(draw: st.DrawFn) -> list[bytes]:
    """As a producer has them: mostly those before with the next job's id (@) and another trace (#), or nearly so."""
    row: list[bytes] = []
    for number in range(draw(st.integers(1, 12))):
        if not row or draw(st.integers(0, 3)) == 0:
            before = draw(_opts_texts())
        inserted = draw(st.sampled_from(["0", "a-b", '","delay":5,"x":"', '\\"', "é", "}", "\x01"]) | _strings)
        text = _with_a_slip(draw, before.decode("utf-8", "surrogateescape").replace("#", inserted))
        row.append(text.encode("utf-8", "surrogateescape").replace(b"@", b"j%d" % number))
    return row


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(texts=[b'{"a":"b,"jobId":"x",c"}', b'{"jobId":"\xff","attempts":3}', b'{"tm":"{\\q}","attempts":3}'])
@given(texts=_rows_of_texts())
def test_options_say_the_same_without_id_and_trace(queue: OurQueue, texts: list[bytes]) -> None:
    for number, text in enumerate(texts):
        queue.add(f"j{number}", opts=text)

    reply = queue.exchange(len(texts))
    queue.server.flushdb()

    said = [_said(run.opts or b"") for run in reply.runs for _ in run.job_ids]
    assert said == [_said(text) for text in texts]
