"""What does a claim say of a job that lost its worker? How often, and what we wrote down of it."""

from __future__ import annotations

import pytest

from oxcart.protocol.exchange import ClaimedRun
from oxcart.protocol.suspects import STALLED_TOO_OFTEN, Trial, forget_trial, write_acquittal, write_trial
from oxcart.worker.claim import Shared, read_claims

from .queue_of_ours import OurQueue


def claimed(queue: OurQueue, **fields: str | int) -> Shared:
    """A job with these fields, as its claim has it."""
    queue.add("j1")
    if fields:
        queue.server.hset(queue.keys.job("j1"), mapping=fields)
    (run,) = queue.exchange(1).runs
    return shared_of(run)


def shared_of(run: ClaimedRun) -> Shared:
    (claim,) = read_claims(run, "token", 0)
    return claim.shared


def test_a_job_that_never_stalled_is_no_suspect(queue: OurQueue) -> None:
    shared = claimed(queue)

    assert (shared.stalls, shared.trial, shared.is_suspect) == (0, None, False)


def test_a_job_that_stalled_is_one_and_its_trial_is_known(queue: OurQueue) -> None:
    queue.server.execute_command(*write_trial(queue.keys, b"j1", Trial(3, "oxcart-1")))

    shared = claimed(queue, stc=4)

    assert (shared.stalls, shared.trial, shared.is_suspect) == (4, Trial(3, "oxcart-1"), True)


def test_one_whose_handler_has_ended_since_is_none_until_it_stalls_again(queue: OurQueue) -> None:
    queue.server.execute_command(*write_acquittal(queue.keys, b"j1", 2))

    assert not claimed(queue, stc=2).is_suspect
    queue.server.execute_command("LMOVE", queue.keys.active, queue.keys.wait, "LEFT", "LEFT")
    queue.server.hincrby(queue.keys.job("j1"), "stc", 1)
    (run,) = queue.exchange(1).runs
    assert shared_of(run).stalls == 3


def test_a_record_of_a_wrong_type_is_as_none(queue: OurQueue) -> None:
    queue.server.rpush(str(forget_trial(queue.keys, b"j1")[1], "ascii"), "a list")  # type: ignore[arg-type]

    shared = claimed(queue, stc=4)

    assert (shared.stalls, shared.trial) == (4, None)


@pytest.mark.parametrize(("reason", "is_suspect"), [(STALLED_TOO_OFTEN, True), ("child x failed", False)])
def test_only_the_verdict_of_a_stalled_check_is_doubted(queue: OurQueue, reason: str, is_suspect: bool) -> None:
    shared = claimed(queue, stc=2, defa=reason)

    assert shared.is_suspect is shared.given_up is is_suspect
    assert shared.deferred_failure == (None if is_suspect else reason)
