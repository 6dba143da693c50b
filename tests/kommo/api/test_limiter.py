"""Do all processes together stay within Kommo's limit, pause together, stop together, and take turns?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.sandbox import Sandbox, client_of, open_kommo
from support.waiting import wait_until

from oxcart.connection.server import Server
from oxcart.connection.target import parse_redis_url
from oxcart.errors import InvalidInput, Unavailable
from oxcart.kommo.failures import Blocked, TooManyRequests
from oxcart.kommo.limiter import Caller, Limiter, Pace, Permit
from oxcart.telemetry.events import Event, KommoBlocked, KommoPaused, KommoUnblocked
from oxcart_sandbox import change_scenario

TESTS = Path(__file__).resolve().parents[2]
KOMMO_S_LIMIT = 7

A, B = Caller("a"), Caller("b")


@pytest.fixture
async def redis_server(redis_url: str) -> AsyncIterator[Server]:
    opened = Server(parse_redis_url(redis_url, {}))
    yield opened
    await opened.close()


@contextmanager
def processes(sandbox: Sandbox, redis_url: str, bucket: str, *, requests: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Three of them, with two callers each, for two connections."""
    token = sandbox.world.token_of(sandbox.demo)
    started = []
    for number in range(3):
        words = (sandbox.url, redis_url, bucket, token, f"connection-{number % 2}", str(requests))
        command = [sys.executable, "-m", "support.kommo_process", *words]
        started.append(
            subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


async def output_of(started: list[subprocess.Popen[str]]) -> list[str]:
    outputs = await asyncio.gather(*(asyncio.to_thread(process.communicate, timeout=60) for process in started))
    return [line for out, _ in outputs for line in out.splitlines()]


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= at < start + 1.0 for at in times) for start in times)


async def test_three_processes_never_exceed_the_limit(sandbox: Sandbox, redis_url: str, queue_name: str) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, {"requests_per_second": KOMMO_S_LIMIT})

    with processes(sandbox, redis_url, queue_name, requests=8) as started:
        lines = await output_of(started)

    times = [seen.at for seen in sandbox.world.seen]
    assert lines == ["ok"] * 24
    assert sandbox.world.statuses == {200: 24}
    assert most_in_a_second(times) <= KOMMO_S_LIMIT


async def test_after_a_429_no_process_sends_before_retry_after(
    sandbox: Sandbox, redis_url: str, queue_name: str
) -> None:
    """Kommo's own wait is in the body; two answers that crossed on their way are one refusal."""
    await sandbox.control("PATCH", "/scenario", {"retry_after_real_seconds": 1.0, "requests_per_second": 7})
    await sandbox.control("POST", "/faults", {"kind": "429", "skip": 5})

    with processes(sandbox, redis_url, queue_name, requests=4) as started:
        await output_of(started)

    seen = list(sandbox.world.seen)
    (refused,) = [one for one in seen if one.status == 429]
    later = [one.at - refused.at for one in seen if one.at > refused.at]
    under_way = [gap for gap in later if gap < 0.2]  # let go before the answer had arrived
    assert len(under_way) <= 1
    assert min(gap for gap in later if gap >= 0.2) >= 1.0
    assert len(seen) == 12 + 1


async def test_an_html_403_of_the_address_stops_every_process(
    sandbox: Sandbox, redis_url: str, queue_name: str
) -> None:
    await sandbox.control("POST", "/faults", {"kind": "blocked", "skip": 5, "times": 99})

    with processes(sandbox, redis_url, queue_name, requests=20) as started:
        lines = await output_of(started)

    seen = list(sandbox.world.seen)
    assert sum(line.startswith("Blocked") for line in lines) == 6, "every caller of every process"
    assert 1 <= sum(one.status == 403 for one in seen) <= 4, "one more of each may have been under way, and one probed"
    assert len(seen) <= 9


async def test_a_block_of_an_account_stops_that_one_and_the_others_after_one_probe(
    redis_server: Server, queue_name: str
) -> None:
    """Facts 9: blocks were reported by account and by address; which it is, one request of another account tells."""
    limiter = Limiter(redis_server, bucket=queue_name, pace=Pace(requests_per_second=1e6))
    await limiter.block(await limiter.acquire(A))
    with pytest.raises(Blocked):
        await limiter.acquire(A)

    probe = await limiter.acquire(B)
    assert (probe.is_probe, probe.is_own_probe) == (True, False)
    with pytest.raises(Blocked):
        await limiter.acquire(Caller("c"))
    await limiter.unblock(probe)

    assert not (await limiter.acquire(B)).is_probe
    assert not (await limiter.acquire(Caller("c"))).is_probe
    with pytest.raises(Blocked):
        await limiter.acquire(A)
    assert (await limiter.state()).blocked_seconds > 3600


async def test_a_probe_that_is_blocked_too_stops_everyone(redis_server: Server, queue_name: str) -> None:
    limiter = Limiter(redis_server, bucket=queue_name, pace=Pace(requests_per_second=1e6, block_seconds=0.5))
    await limiter.block(await limiter.acquire(A))
    await limiter.block(await limiter.acquire(B))

    with pytest.raises(Blocked):
        await limiter.acquire(Caller("c"))
    await wait_until(lambda: _is_half_open(limiter), describe="the time of the blocks is up")
    await limiter.unblock(await limiter.acquire(B))

    assert not (await limiter.acquire(A)).is_own_probe, "the address was blocked, and is not"
    assert not (await limiter.acquire(Caller("c"))).is_probe


async def test_only_a_probe_looks_whether_a_block_has_ended(
    sandbox: Sandbox, redis_url: str, queue_name: str, redis_server: Server
) -> None:
    """Facts 5: half-open with one /account probe."""
    pace = Pace(requests_per_second=1e6, block_seconds=0.3)
    limiter = Limiter(redis_server, bucket=queue_name, pace=pace)
    await sandbox.control("POST", "/block")
    async with open_kommo(sandbox.url, redis_url, bucket=queue_name, pace=pace) as kommo:
        client = client_of(kommo, sandbox.world)
        with pytest.raises(Blocked):
            await client.get("/leads")
        await wait_until(lambda: _is_half_open(limiter), describe="the time of the block is up")
        with pytest.raises(Blocked) as second:
            await client.get("/leads")
        assert second.value.retry_after_seconds == pytest.approx(0.6, abs=0.1), "a failed probe doubles the block"
        await sandbox.control("DELETE", "/block")
        await wait_until(lambda: _is_half_open(limiter), describe="the time of the second block is up")
        before = len(sandbox.world.seen)

        await asyncio.gather(*(client.get("/leads") for _ in range(1)))

    asked = [(one.method, one.path, one.status) for one in list(sandbox.world.seen)[before:]]
    assert asked == [("GET", "/api/v4/account", 200), ("GET", "/api/v4/leads", 200)]
    assert (await limiter.state()).blocked_seconds == 0


async def _is_half_open(limiter: Limiter) -> bool:
    return (await limiter.state()).blocked_seconds == 0


async def test_while_one_probes_the_others_wait(redis_server: Server, queue_name: str) -> None:
    limiter = Limiter(redis_server, bucket=queue_name, pace=Pace(block_seconds=0.1))
    await limiter.block(Permit(0, is_probe=True, connection=A.connection))
    await wait_until(lambda: _is_half_open(limiter), describe="the time of the block is up")

    first = await limiter.acquire(A)
    with pytest.raises(Blocked, match="nothing is sent for another"):
        await limiter.acquire(B)
    await limiter.unblock()

    assert first.is_probe
    assert not (await limiter.acquire(B)).is_probe


async def test_an_html_403_that_was_under_way_does_not_undo_a_probe(redis_server: Server, queue_name: str) -> None:
    limiter = Limiter(redis_server, bucket=queue_name, pace=Pace(block_seconds=0.1))
    early = await limiter.acquire(A)
    await limiter.block(early)
    await wait_until(lambda: _is_half_open(limiter), describe="the time of the block is up")
    await limiter.unblock(await limiter.acquire(A))

    assert await limiter.block(early) == 0
    assert not (await limiter.acquire(A)).is_probe


async def test_a_second_refusal_in_a_row_doubles_the_pause_and_halves_the_rate(
    redis_server: Server, queue_name: str
) -> None:
    limiter = Limiter(redis_server, bucket=queue_name)
    first = await limiter.acquire(A)
    assert await limiter.pause(first, 0.2) == pytest.approx(0.2, abs=0.05)
    assert await limiter.pause(first, 0.1) == pytest.approx(0.2, abs=0.05), "the same refusal again"

    second = await limiter.acquire(A)
    assert await limiter.pause(second, 0.2) == pytest.approx(0.4, abs=0.05)

    state = await limiter.state()
    assert (state.refusals_in_a_row, state.requests_per_second) == (2, 2.5)
    assert state.paused_seconds > 0


async def test_a_change_is_told_once_whoever_notices_it(redis_server: Server, queue_name: str) -> None:
    told: list[Event] = []
    one, other = (
        Limiter(redis_server, bucket=queue_name, pace=Pace(block_seconds=0.1), emit=told.append) for _ in range(2)
    )
    permits = [await limiter.acquire(A) for limiter in (one, other)]

    for limiter, permit in zip((one, other), permits, strict=True):
        await limiter.pause(permit, 0.2)
    (paused,) = told
    assert isinstance(paused, KommoPaused)
    assert paused.seconds == pytest.approx(0.2, abs=0.01)
    assert paused.refusals_in_a_row == 1
    for limiter, permit in zip((one, other), permits, strict=True):
        await limiter.block(permit)
    assert told[1:] == [KommoBlocked(0.1)]
    await wait_until(lambda: _is_half_open(one), describe="the time of the block is up")
    probe = await one.acquire(A)
    assert (probe.is_probe, probe.is_own_probe) == (True, True)
    await one.unblock(probe)
    await other.unblock(probe)

    assert told[2:] == [KommoUnblocked()]


async def test_who_has_no_patience_is_told_when_to_come_back(redis_server: Server, queue_name: str) -> None:
    limiter = Limiter(redis_server, bucket=queue_name)
    await limiter.pause(await limiter.acquire(A), 300)

    with pytest.raises(TooManyRequests, match="answered 429") as caught:
        await limiter.acquire(Caller("a", patience_seconds=1))

    assert caught.value.retry_after_seconds == pytest.approx(300, abs=1)


async def test_a_queue_that_is_too_long_is_told_as_well(redis_server: Server, queue_name: str) -> None:
    limiter = Limiter(redis_server, bucket=queue_name, pace=Pace(requests_per_second=1))
    await limiter.acquire(A)

    with pytest.raises(TooManyRequests, match="its turn does not come in time"):
        await limiter.acquire(Caller("a", patience_seconds=0.2))


async def order_of(limiter: Limiter, *callers: Caller) -> list[str]:
    """Who is let go, in turn, when all of these wait at once."""
    let_go: list[tuple[int, str]] = []

    async def wait(caller: Caller) -> None:
        let_go.append(((await limiter.acquire(caller)).granted_at_ms, caller.connection))

    await limiter.acquire(Caller("someone"))
    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(wait(caller))
    return [name for _, name in sorted(let_go)]


async def test_interactive_requests_go_first(redis_server: Server, queue_name: str) -> None:
    limiter = Limiter(redis_server, bucket=queue_name)
    person = Caller("person", interactive=True)

    order = await order_of(limiter, A, A, A, person, person)

    assert order == ["person", "person", "a", "a", "a"]


async def test_connections_take_turns_however_many_wait(redis_server: Server, queue_name: str) -> None:
    limiter = Limiter(redis_server, bucket=queue_name)

    order = await order_of(limiter, *[A] * 6, *[B] * 2)

    assert sorted(order[:4]) == ["a", "a", "b", "b"]
    assert order[4:] == ["a"] * 4


async def test_one_that_went_away_costs_the_others_nothing(redis_server: Server, queue_name: str) -> None:
    limiter = Limiter(redis_server, bucket=queue_name)
    await limiter.acquire(A)
    gone = asyncio.create_task(limiter.acquire(Caller("gone", interactive=True)))
    await wait_until(lambda: _is_waiting(limiter), describe="it waits")
    gone.cancel()

    permit = await limiter.acquire(Caller("b", patience_seconds=5))

    assert not permit.is_probe


async def _is_waiting(limiter: Limiter) -> bool:
    return bool(await limiter._channel.command("Looking", "HLEN", limiter._waiting))


async def test_buckets_are_apart(redis_server: Server, queue_name: str) -> None:
    """One for each address that requests leave from."""
    blocked, other = (Limiter(redis_server, bucket=f"{queue_name}{side}") for side in "xy")
    await blocked.block(await blocked.acquire(A))

    assert not (await other.acquire(A)).is_probe


async def test_without_redis_nothing_is_sent(sandbox: Sandbox, redis_url: str, queue_name: str) -> None:
    """Nobody knows what the other processes send."""
    async with open_kommo(sandbox.url, redis_url, bucket=queue_name) as kommo:
        client = client_of(kommo, sandbox.world)
        await kommo.limiter._channel.server.close()
        with pytest.raises(Unavailable):
            await client.get("/account")

    assert not sandbox.world.seen


def test_a_pace_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Pace(requests_per_second=0)
