"""What does a supervisor live through? Handlers that end their process, and whatever is written to its sockets."""

from __future__ import annotations

import pytest
from support.http_site import ask
from support.processes import Fleet
from support.several import PATIENCE_SECONDS, started
from support.store import Store

from oxcart import Queue
from oxcart.supervisor.channel import LONGEST_LINE_BYTES
from oxcart.testing import wait_until


@pytest.mark.parametrize("cause", ["exit 0", "exit 1", "exit 3", "SIGSEGV", "SIGKILL"])
async def test_a_process_that_a_handler_ends_is_replaced_whatever_its_exit_code(
    fleet: Fleet, queue: Queue, store: Store, cause: str
) -> None:
    """Only a stop that was asked for, or that the worker has reported, is the end of all."""
    several = await started(fleet, processes=2, OXCART_MAX_STALLED_COUNT="0")

    poison = await queue.add("dies", cause)
    await wait_until(lambda: several.supervisor.events("process.replaced"), describe="it is replaced", timeout=40)
    added = await queue.add("quick")
    await wait_until(lambda: store.ended([added.id]), describe="jobs run", timeout=40)
    await wait_until(lambda: store.ended([poison.id], "failed"), describe="the poison fails", timeout=60)

    lost = several.supervisor.events("process.lost")[0]
    assert lost.get("signal", f"exit {lost.get('exitCode')}") == cause
    assert several.supervisor.terminate(within_seconds=PATIENCE_SECONDS) == 0


async def test_what_is_no_message_is_left_out_and_said(fleet: Fleet, queue: Queue, store: Store) -> None:
    """A child that a handler started, or a bug, may write to the supervisor's socket."""
    several = await started(fleet, processes=2)
    added = await queue.add("babbles", LONGEST_LINE_BYTES + 1)
    await wait_until(lambda: store.ended([added.id]), describe="it has babbled", timeout=30)
    await wait_until(lambda: several.supervisor.events("worker.warning"), describe="it is said", timeout=40)
    await wait_until(several.is_well, describe="both are heard", timeout=40)

    after = await queue.add("quick")
    await wait_until(lambda: store.ended([after.id]), describe="jobs run")

    assert several.supervisor.events("worker.warning")[0]["code"] == "MESSAGE_DROPPED"
    assert several.supervisor.events("process.lost") == []
    assert several.supervisor.terminate(within_seconds=PATIENCE_SECONDS) == 0


async def test_names_of_a_mebibyte_end_no_supervisor(fleet: Fleet, queue: Queue, store: Store) -> None:
    several = await started(fleet, OXCART_UNKNOWN_JOBS="fail")
    names = ["n" * 2**20 + str(number) for number in range(150)]

    ids = [(await queue.add(name)).id for name in names]
    await wait_until(lambda: store.ended(ids, "failed"), describe="all were looked at", timeout=60)
    await wait_until(lambda: several.metrics()["jobs"]["failed"] == 150, describe="all are counted", timeout=40)

    assert several.health()["status"] == "ok"
    assert len(ask(several.port, "/metrics").body) < 200_000
    assert several.supervisor.terminate(within_seconds=PATIENCE_SECONDS) == 0
    assert several.supervisor.events("process.lost") == several.supervisor.events("worker.warning") == []
