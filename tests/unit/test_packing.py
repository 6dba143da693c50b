"""Does every verdict of every claim fit into an exchange? Whatever a job's fields, its error or its strategy are."""

from __future__ import annotations

import json
import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile import ERRORS

from oxcart.errors import InvalidInput
from oxcart.handlers import describe
from oxcart.protocol.exchange import ClaimedRun, exchange_command
from oxcart.protocol.keys import QueueKeys
from oxcart.settings import WorkerSettings
from oxcart.verdicts import Completed, Failed, Snoozed
from oxcart.worker.attempt import Attempt
from oxcart.worker.backoff import LONGEST_MS, asked_ms
from oxcart.worker.claim import read_claims
from oxcart.worker.error_text import LONGEST_REASON, LONGEST_TRACE, account_of, message_of, trace_of
from oxcart.worker.failing import failed, failed_for_good
from oxcart.worker.items import Policies, items_of

NAMES = ("attempts", "backoff", "removeOnFail", "removeOnComplete", "stackTraceLimit", "timeout", "lifo", "kl", "x")
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(10**400)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
backoffs = st.fixed_dictionaries({"type": st.sampled_from(["fixed", "exponential", "mine"]), "delay": values})
options = st.dictionaries(st.sampled_from(NAMES), values | backoffs).map(lambda found: json.dumps(found).encode())
anything = st.none() | st.binary(max_size=40) | numbers.map(lambda number: str(number).encode())
runs = st.builds(
    ClaimedRun,
    name=st.binary(max_size=9),
    opts=options | anything,
    ats=st.integers(1, 2**31),
    atm=anything,
    priority=anything,
    fields=st.integers(0, 2**31),
    rest=st.just(()) | st.tuples(anything, anything, anything, anything, anything, anything),
    jobs=st.tuples(st.binary(min_size=1, max_size=9), anything, anything),
)


def answers_nothing(*_: Any) -> Any:
    return "soon"


async def handler(job: Any) -> None: ...


@given(run=runs, answer=numbers, has_spec=st.booleans())
def test_whatever_was_claimed_can_be_handed_in(run: ClaimedRun, answer: Any, has_spec: bool) -> None:
    (claim,) = read_claims(run, "token:1", 1_800_000_000_000)
    spec = describe("bad", handler, attempts=5, backoff="mine", keep_failed={"age": 5}) if has_spec else None
    strategies = {"mine": lambda *_: answer}
    error = ValueError("failed")
    verdicts = (
        failed(claim, spec, "failed", error, strategies=strategies, job=None),
        failed(claim, spec, "failed", None, strategies={"mine": answers_nothing}, job=None),
        failed_for_good(claim, "half \ud800", error),
        Completed(b"5"),
        Snoozed(LONGEST_MS),
    )
    policies = Policies(WorkerSettings())
    attempts = [Attempt(claim, spec, cast("Any", None), 0.0) for _ in verdicts]
    for attempt, verdict in zip(attempts, verdicts, strict=True):
        attempt.verdict = verdict

    command = exchange_command(
        QueueKeys("q", "bull"),
        now_ms=0,
        token="token:2",
        lock_ms=30_000,
        room=1,
        items=items_of(attempts, policies),
        policies=policies.in_order,
    )

    assert all(isinstance(part, bytes | str | int | float) for part in command)
    assert [attempt.verdict for attempt in attempts] == [*verdicts]


def test_a_verdict_that_cannot_be_packed_fails_its_job_alone() -> None:
    run = ClaimedRun(b"bad", b"{}", 1, None, None, 0, (), [b"1", b"{}", b"5", b"2", b"{}", b"5"])
    attempts = [Attempt(claim, None, cast("Any", None), 0.0) for claim in read_claims(run, "token:1", 0)]
    attempts[0].verdict, attempts[1].verdict = Snoozed(10**400), Snoozed(5)

    items = items_of(attempts, Policies(WorkerSettings()))

    guilty, innocent = (attempt.verdict for attempt in attempts)
    assert isinstance(guilty, Failed)
    assert "could not be packed: OverflowError" in guilty.reason
    assert innocent == Snoozed(5)
    assert [item.head.kind for item in items] == ["f", "d"]


@given(asked=numbers | st.just(math.inf) | st.just(-math.inf) | st.booleans())
def test_what_a_strategy_asks_for_is_a_delay(asked: Any) -> None:
    delay = asked_ms(asked)

    assert delay == (-1 if asked < 0 else min(round(min(asked, LONGEST_MS)), LONGEST_MS))


@pytest.mark.parametrize("asked", [None, "5000", b"5", math.nan, object(), [5], {}])
def test_what_is_no_number_is_no_delay(asked: Any) -> None:
    with pytest.raises(InvalidInput, match="it is to return milliseconds"):
        asked_ms(asked)


@pytest.mark.parametrize("what", ERRORS)
def test_every_error_has_a_text(what: str) -> None:
    try:
        error = ERRORS[what]()
        raise error
    except BaseException as raised:
        texts = (message_of(raised), account_of(raised), trace_of(raised))

    assert all(type(text) is str and text for text in texts)
    assert len(texts[0]) < LONGEST_REASON + 100
    assert len(texts[2]) < LONGEST_TRACE + 100
    assert "test_packing.py" in texts[2] or "hostile.py" in texts[2]
    assert b"\\ud8" not in json.dumps(texts).encode()
