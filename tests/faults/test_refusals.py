"""What happens while the server answers, but refuses writes? Its memory is full, or it has become a replica."""

from __future__ import annotations

import pytest
from support.effects import Effects
from support.server import PrivateServer
from support.store import Store
from support.watched import watched_worker

from oxcart import Oxcart, Queue
from oxcart.errors import ServerRefused
from oxcart.testing import wait_until


class Refusal:
    """A server that refuses writes with `code`, from `begin` to `end`."""

    def __init__(self, server: PrivateServer, code: str) -> None:
        self.server = server
        self.code = code

    def begin(self) -> None:
        with self.server.client() as client:
            if self.code == "OOM":
                client.config_set("maxmemory", 1)
            else:
                client.execute_command("REPLICAOF", "127.0.0.1", 1)

    def end(self) -> None:
        with self.server.client() as client:
            if self.code == "OOM":
                client.config_set("maxmemory", 0)
            else:
                client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.fixture(params=["OOM", "READONLY"])
def refusal(request: pytest.FixtureRequest, fresh_server: PrivateServer) -> Refusal:
    return Refusal(fresh_server, request.param)


def scripts_run(store: Store) -> int:
    return int(store.client.info("commandstats")["cmdstat_evalsha"]["calls"])


async def test_running_jobs_go_on_while_writes_are_refused(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store, refusal: Refusal
) -> None:
    """A renewal that is refused says nothing about the claim: no handler is stopped for it."""
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        held = [added.id for added in await queue.add_many([("held", n) for n in range(5)])]
        await wait_until(lambda: len(effects.started) == 5, describe="all run")

        refusal.begin()
        before = scripts_run(store)
        await wait_until(lambda: scripts_run(store) > before + 2, describe="it was tried to renew the locks")
        refusal.end()
        effects.go.set()
        await wait_until(lambda: store.ended(held), describe="all have ended")

        assert effects.cancelled == {}
        assert set(effects.started.values()) == {1}
        store.assert_ended_once(held)
        await wait_until(lambda: watched.status.healthy, describe="the worker is well again")


async def test_a_success_is_written_when_writes_are_accepted_again(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store, refusal: Refusal
) -> None:
    async with watched_worker(app, fresh_server.url, queue.name, lock_duration_ms=3000) as watched:
        held = [added.id for added in await queue.add_many([("held", n) for n in range(5)])]
        await wait_until(lambda: len(effects.started) == 5, describe="all run")

        refusal.begin()
        effects.go.set()
        await wait_until(lambda: len(effects.done) == 5, describe="all are done")
        if refusal.code == "READONLY":  # in OOM a finish, which frees more than it takes, is let through
            await wait_until(lambda: watched.failure_code == refusal.code, describe="the status says why")
        refusal.end()
        await wait_until(lambda: store.ended(held), describe="all have ended")

        assert set(effects.done.values()) == {1}
        store.assert_ended_once(held)


async def test_claiming_goes_on_when_writes_are_accepted_again(
    app: Oxcart, effects: Effects, fresh_server: PrivateServer, queue: Queue, store: Store, refusal: Refusal
) -> None:
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await wait_until(lambda: watched.status.healthy, describe="the worker runs")
        await queue.pause()
        quick = [added.id for added in await queue.add_many([("quick", n) for n in range(50)])]
        refusal.begin()
        if refusal.code == "OOM":
            await queue.resume()
        await wait_until(lambda: watched.failure_code == refusal.code, describe="the status says why")
        refusal.end()
        if refusal.code == "READONLY":
            await queue.resume()
        await wait_until(lambda: store.ended(quick), describe="all have ended")

        assert set(effects.done.values()) == {1}
        store.assert_ended_once(quick)
        await wait_until(lambda: watched.status.healthy, describe="the worker is well again")


async def test_a_refusal_is_forgotten_when_nothing_is_left_to_claim(
    app: Oxcart, fresh_server: PrivateServer, queue: Queue
) -> None:
    """The job whose claim was refused may go elsewhere: the next answer without a refusal makes the worker well."""
    refusal = Refusal(fresh_server, "OOM")
    async with watched_worker(app, fresh_server.url, queue.name) as watched:
        await queue.pause()
        await queue.add("quick")
        refusal.begin()
        await queue.resume()
        await wait_until(lambda: watched.failure_code == "OOM" and not watched.status.healthy, describe="it is refused")
        await queue.drain()
        refusal.end()

        await wait_until(lambda: watched.status.healthy, describe="the worker is well again")


async def test_adding_fails_at_once_and_in_words_while_memory_is_full(
    fresh_server: PrivateServer, queue: Queue
) -> None:
    refusal = Refusal(fresh_server, "OOM")
    refusal.begin()

    with pytest.raises(ServerRefused) as raised:
        await queue.add("quick")

    assert raised.value.failure.code == "OOM"
    refusal.end()
    assert (await queue.counts())["waiting"] == 0
