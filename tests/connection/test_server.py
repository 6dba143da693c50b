"""Does a server notice that it was lost, say so once, and find the way back whatever the fault was?"""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.proxy import FaultProxy
from support.valkey import (
    PASSWORD,
    Connect,
    Events,
    Valkey,
    blocked_clients,
    free_port,
    unavailable,
)
from support.waiting import wait_until

from oxcart.connection.failures import classify

BOTH_LOOPS = True
RESET = classify(ConnectionResetError(104, "Connection reset by peer"))


async def test_a_closed_server_refuses_requests(valkey: Valkey, connect: Connect) -> None:
    server = connect(valkey.port)
    link = server.link("test")
    await link.request("PING")

    await server.close()
    await server.close()

    assert (await unavailable(link.request("PING"))).failure.code == "CLOSED"
    assert (await unavailable(server.wait_until_ready())).failure.code == "CLOSED"


async def test_closing_the_server_ends_the_waiting(connect: Connect, events: Events) -> None:
    server = connect(free_port())
    waiting = asyncio.create_task(server.wait_until_ready())
    await wait_until(lambda: server.failure is not None, describe="an attempt has failed")

    await server.close()

    assert (await unavailable(waiting)).failure.code == "CLOSED"


async def test_cancelling_one_who_waits_leaves_the_others_waiting(proxy: FaultProxy, connect: Connect) -> None:
    server = connect(proxy.port)
    proxy.refuse()
    first, second = (asyncio.create_task(server.wait_until_ready()) for _ in range(2))
    await wait_until(lambda: server.failure is not None, describe="an attempt has failed")

    first.cancel()
    proxy.accept()

    await second
    assert server.connected
    assert first.cancelled()


async def test_an_outage_is_reported_once_however_many_notice_it(
    valkey: Valkey, connect: Connect, events: Events
) -> None:
    server = connect(valkey.port)
    calls: list[str] = []
    server.on_lost(lambda: calls.append("lost"))
    server.on_ready(lambda: calls.append("ready"))
    await server.wait_until_ready()
    links = [server.link(f"link {number}") for number in range(4)]
    for link in links:
        await link.open()
    waiting = [asyncio.create_task(link.request("BLPOP", "list", 30)) for link in links]
    await wait_until(lambda: blocked_clients(valkey) == 4, describe="all are blocked")

    valkey.kill()

    for task in waiting:
        assert (await unavailable(task)).outcome_unknown
    assert not server.connected
    await wait_until(lambda: server.reconnect_attempts >= 3, describe="the server has been tried in vain")
    await asyncio.gather(*(unavailable(link.request("PING")) for link in links))
    valkey.start()
    await asyncio.gather(*(server.wait_until_ready() for _ in range(5)))
    assert [await link.request("PING") for link in links] == [b"PONG"] * 4
    told = events.told()
    assert told.count("ready") == 2
    assert [text.split()[0] for text in told] in (
        ["ready", "lost", "ready"],
        ["ready", "lost", "changed", "ready"],
        ["ready", "lost", "changed", "changed", "ready"],
    )
    assert told[-2].endswith("TCP_REFUSED")
    assert calls == ["ready", "lost", "ready"]
    assert server.failure is None


async def test_a_server_that_is_away_at_the_start_is_reported_once(
    valkey: Valkey, connect: Connect, events: Events
) -> None:
    valkey.kill()
    server = connect(valkey.port)
    waiting = asyncio.create_task(server.wait_until_ready())
    await wait_until(lambda: server.reconnect_attempts >= 2, describe="it was tried again")
    assert server.failure is not None

    valkey.start()

    await waiting
    assert events.told() == ["lost TCP_REFUSED", "ready"]
    assert server.server_version


async def test_the_recovery_needs_nobody_to_wait_for_it(valkey: Valkey, connect: Connect, events: Events) -> None:
    """A producer's process may have no loop that waits; its state must still be true."""
    server = connect(valkey.port)
    link = server.link("test")
    await link.open()
    valkey.kill()
    await unavailable(link.request("PING"))

    valkey.start()

    await wait_until(lambda: server.connected, describe="the server was found again")


async def test_a_new_attempt_starts_beside_one_that_hangs(proxy: FaultProxy, connect: Connect, events: Events) -> None:
    server = connect(proxy.port, connect_timeout_seconds=60.0)
    proxy.blackhole = True
    waiting = asyncio.create_task(server.wait_until_ready())
    await wait_until(lambda: proxy.connections_accepted == 1, describe="the first attempt hangs")

    proxy.blackhole = False

    await waiting
    assert proxy.connections_accepted == 2
    await wait_until(lambda: proxy.connections_open == 0, describe="both attempts are closed")


async def test_a_link_that_hangs_while_it_opens_is_not_left_alone(
    proxy: FaultProxy, connect: Connect, events: Events
) -> None:
    """Its socket was closed while idle, so nobody was told. In a black hole a SYN is repeated ever more seldom."""
    server = connect(proxy.port, connect_timeout_seconds=60.0)
    await server.wait_until_ready()
    link = server.link("test")
    await link.open()
    proxy.cut()
    await wait_until(lambda: not link.is_open, describe="the link has seen it")
    proxy.blackhole = True
    accepted = proxy.connections_accepted
    waiting = asyncio.create_task(link.request("PING"))
    await wait_until(lambda: proxy.connections_accepted == accepted + 2, describe="the server tries beside the link")

    proxy.blackhole = False

    assert (await unavailable(waiting)).failure.code == "CLOSED"
    assert await link.request("PING") == b"PONG"
    assert events.told() == ["ready"]


async def test_a_socket_that_has_spoken_since_an_outage_tells_of_the_next_one(
    proxy: FaultProxy, connect: Connect, events: Events
) -> None:
    """What a socket from before an outage says after it is old news only if the socket has been silent since."""
    server = connect(proxy.port)
    await server.wait_until_ready()
    link = server.link("test")
    await link.open()
    server.report(RESET)
    await wait_until(lambda: events.told() == ["ready", f"lost {RESET.code}", "ready"], describe="it was found again")
    assert await link.request("PING") == b"PONG"
    waiting = asyncio.create_task(link.request("BLPOP", "list", 30))
    await asyncio.sleep(0)

    proxy.reset()

    await unavailable(waiting)
    await server.wait_until_ready()
    assert [text.split()[0] for text in events.told()[3:]] == ["lost", "ready"]


async def test_a_replica_is_not_ready_and_closes_every_link(valkey: Valkey, connect: Connect, events: Events) -> None:
    """After a failover the old address answers PING, and refuses every write."""
    server = connect(valkey.port)
    await server.wait_until_ready()
    writing, idle = server.link("writing"), server.link("idle")
    await writing.open()
    await idle.open()
    valkey.run("REPLICAOF", "127.0.0.1", free_port())

    error = await unavailable(writing.request("SET", "key", "1"))

    assert (error.failure.code, error.outcome_unknown) == ("READONLY", False)
    assert not idle.is_open
    attempts = server.reconnect_attempts
    await wait_until(lambda: server.reconnect_attempts >= attempts + 3, describe="the replica was tried again")
    assert not server.connected
    valkey.run("REPLICAOF", "NO", "ONE")
    await server.wait_until_ready()
    assert await writing.request("SET", "key", "1") == b"OK"
    assert events.told() == ["ready", "lost READONLY", "ready"]


async def test_a_write_refused_in_a_pipeline_makes_the_whole_unknown(valkey: Valkey, connect: Connect) -> None:
    link = connect(valkey.port).link("test")
    await link.open()
    valkey.run("REPLICAOF", "127.0.0.1", free_port())

    error = await unavailable(link.requests([("PING",), ("SET", "key", "1")]))

    assert (error.failure.code, error.outcome_unknown) == ("READONLY", True)


async def test_a_server_that_loads_its_data_is_waited_for(valkey: Valkey, connect: Connect, events: Events) -> None:
    valkey.run("CONFIG", "SET", "rdbcompression", "no")  # while it loads, it answers once every 1024 bytes
    for number in range(100):
        valkey.run("SET", f"key{number}", "x" * 2000)
    valkey.run("SAVE")
    valkey.kill()
    valkey.start("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
    server = connect(valkey.port)

    await server.wait_until_ready()

    assert events.told() == ["lost LOADING", "ready"]


async def test_a_changed_password_is_read_again_at_each_connect(
    valkey: Valkey, connect: Connect, events: Events, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    server = connect(valkey.port, password=None, password_file=str(file))
    await server.wait_until_ready()
    link = server.link("test")
    await link.open()

    with valkey.client() as admin:
        admin.config_set("requirepass", "another-9c1e")
        waiting = asyncio.create_task(link.request("BLPOP", "list", 30))
        await wait_until(lambda: int(admin.info("clients")["blocked_clients"]) == 1, describe="the link is blocked")
        admin.client_kill_filter(_type="normal", skipme=True)
        await unavailable(waiting)
        await wait_until(lambda: "AUTH_BAD" in events.told()[-1], describe="the old password was refused")
        file.write_text("another-9c1e\n")
        await server.wait_until_ready()
        assert await link.request("PING") == b"PONG"
        admin.config_set("requirepass", PASSWORD)

    assert events.told() == ["ready", "lost TCP_RESET_LATE", "changed AUTH_BAD", "ready"]
