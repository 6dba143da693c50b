"""Is a webhook taken in over real HTTP, kept once and answered rightly, without Redis and on both databases?"""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from datetime import UTC, datetime
from io import BytesIO

import pytest
from sqlalchemy import update
from support.http_site import serving as serving_http
from support.sandbox import Sandbox
from support.waiting import wait_until

from kommo.stored import account as stored_account
from kommo.stored import add_account
from kommo.webhooks.conftest import ON_SQLITE, RING, Door, hooks_of, path_of
from oxcart.http.webhooks import LARGEST_BODY, webhook_routes
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.own_tables import crm_connection_states, crm_hooks
from oxcart.kommo.store.platform_tables import crm_credentials
from oxcart.kommo.webhooks.hook_secrets import change_secrets, forget_secrets
from oxcart.kommo.webhooks.inbox import AWAY, STRANGER, HookInbox
from oxcart.secret import Secret
from oxcart.telemetry.events import WarningRaised
from oxcart_sandbox import World

BODY = b"leads[update][0][id]=5&leads[update][0][updated_at]=1790000000&account[id]=31000001"


async def test_a_webhook_is_stored_as_it_came(database: Database, door: Door) -> None:
    connection_id = await add_account(database)

    status, _ = await door.send(await path_of(database, connection_id), BODY)

    (hook,) = await hooks_of(database)
    assert status == 200
    assert hook["body"] == BODY.decode()
    assert hook["content_type"] == "application/x-www-form-urlencoded"
    assert (hook["connection_id"], hook["expanded_at"], hook["error"]) == (connection_id, None, None)
    assert door.told == [connection_id]


async def test_what_is_no_webhook_is_kept_all_the_same(database: Database, door: Door) -> None:
    """Its sender knows the secret: what we cannot read may be what we have yet to learn."""
    path = await path_of(database, await add_account(database))

    answers = [
        await door.send(path, b"\x00\xff\xc3(broken"),
        await door.send(path, b"", Content_Type="text/plain; charset=latin-1"),
        await door.send(path, b'{"leads": 1}', Content_Type="application/json"),
    ]

    assert [status for status, _ in answers] == [200] * 3
    kept = {(hook["content_type"], hook["body"]) for hook in await hooks_of(database)}
    assert kept == {
        ("application/x-www-form-urlencoded", "%00%FF%C3(broken"),
        ("text/plain; charset=latin-1", ""),
        ("application/json", '{"leads": 1}'),
    }


async def test_the_same_webhook_twice_is_one(database: Database, door: Door) -> None:
    """2.6: Kommo repeats what was not answered in time; the bytes are the same."""
    one, other = await add_account(database), await add_account(database, base_domain="bob.kommo.com")
    path = await path_of(database, one)

    sent = [door.send(path, BODY) for _ in range(5)]
    statuses = [status for status, _ in await asyncio.gather(*sent)]
    await door.send(await path_of(database, other), BODY)

    assert statuses == [200] * 5
    assert sorted(hook["connection_id"] for hook in await hooks_of(database)) == sorted([one, other])


async def test_the_same_bytes_of_another_day_are_expanded_again(database: Database, door: Door) -> None:
    """Of a lead that is deleted, restored and deleted again Kommo sends the same bytes twice."""
    path = await path_of(database, await add_account(database))
    await door.send(path, BODY)
    (first,) = await hooks_of(database)
    long_ago = first["received_at"].replace(year=2020)
    async with database.writing("Letting time pass") as connection:
        await connection.execute(update(crm_hooks).values(expanded_at=long_ago, received_at=long_ago, error="old"))

    await door.send(path, BODY)

    (again,) = await hooks_of(database)
    assert (again["expanded_at"], again["error"]) == (None, None)
    assert again["received_at"] >= first["received_at"]


async def test_strangers_learn_nothing(database: Database, door: Door) -> None:
    connection_id, bare = await add_account(database), await add_account(database, base_domain="bob.kommo.com")
    path = await path_of(database, connection_id)
    secret = path.rpartition("/")[2]

    answers = [
        await door.send(f"/webhooks/kommo/{connection_id}/{secret[:-1]}", BODY),
        await door.send(f"/webhooks/kommo/{connection_id}/é", BODY),
        await door.send(f"/webhooks/kommo/{bare}/{secret}", BODY),
        await door.send(f"/webhooks/kommo/{bare}/None", BODY),
        await door.send(f"/webhooks/kommo/00000000-0000-0000-0000-000000000000/{secret}", BODY),
        await door.send(f"/webhooks/kommo/none/{secret}", BODY),
        await door.send(f"/webhooks/kommo/{connection_id}/{secret[:-1]}", method="GET"),
    ]

    assert len(set(answers)) == 1
    assert answers[0][0] == 404
    assert STRANGER in answers[0][1].replace("\\u0060", "`")
    assert await hooks_of(database) == []
    assert door.told == []


@ON_SQLITE
async def test_other_methods_and_a_curious_person_are_answered(database: Database, door: Door) -> None:
    path = await path_of(database, await add_account(database))

    status, text = await door.send(path, method="GET")
    others = [(await door.send(path, method=method))[0] for method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")]

    assert status == 200
    assert path.rpartition("/")[2] not in text
    assert others == [405] * 5
    assert await hooks_of(database) == []


@ON_SQLITE
async def test_a_body_that_is_too_large_is_refused(database: Database, door: Door) -> None:
    path = await path_of(database, await add_account(database))

    async def in_pieces() -> object:
        for _ in range(17):
            yield b"x" * 65_536

    whole, _ = await door.send(path, BytesIO(b"x" * (LARGEST_BODY + 1)))
    chunked, _ = await door.send(path, in_pieces())
    largest, _ = await door.send(path, BytesIO(b"x" * LARGEST_BODY))

    assert (whole, chunked, largest) == (413, 413, 200)
    assert [len(hook["body"]) for hook in await hooks_of(database)] == [LARGEST_BODY]


@ON_SQLITE
async def test_a_body_that_breaks_off_leaves_nothing(
    database: Database, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    path = await path_of(database, await add_account(database))
    with closing(socket.create_connection(("127.0.0.1", door.port))) as caller:
        caller.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nleads".encode())

    status, _ = await door.send(path, BODY)

    assert status == 200
    assert len(await hooks_of(database)) == 1
    assert caplog.records == []


async def test_the_secret_before_a_rotation_is_taken_for_a_day(database: Database, door: Door) -> None:
    connection_id = await add_account(database)
    old = await path_of(database, connection_id)
    await change_secrets(database, RING, connection_id)
    new = await path_of(database, connection_id)

    both = [(await door.send(path, BODY))[0] for path in (old, new)]
    async with database.writing("Letting a day pass") as connection:
        past = datetime(2020, 1, 1, tzinfo=UTC)
        await connection.execute(update(crm_connection_states).values(old_webhook_secret_until=past))

    async def is_refused() -> bool:
        return (await door.send(old, BODY))[0] == 404

    assert both == [200, 200]
    await wait_until(is_refused, describe="the old secret is refused")
    assert (await door.send(new, BODY))[0] == 200


@ON_SQLITE
async def test_a_connection_that_was_disconnected_is_a_stranger(database: Database, door: Door) -> None:
    connection_id = await add_account(database)
    path = await path_of(database, connection_id)
    assert (await door.send(path, BODY))[0] == 200

    await forget_secrets(database, connection_id)

    async def is_refused() -> bool:
        return (await door.send(path, BODY))[0] == 404

    await wait_until(is_refused, describe="its webhooks are refused")


async def test_without_a_database_kommo_is_told_to_come_again() -> None:
    """503: Kommo repeats the webhook four times within 95 minutes."""
    target = parse_database_url(Secret("postgresql://nobody:hidden@127.0.0.1:9/none"))
    events: list[object] = []
    inbox = HookInbox(target, RING, lambda _: None, events.append)
    with serving_http(more_routes=webhook_routes(inbox), beside=inbox) as running:
        door = Door(running.port)
        answers = [await door.send("/webhooks/kommo/a/b", BODY) for _ in range(3)]

    (warning,) = events
    assert [status for status, _ in answers] == [503] * 3
    assert AWAY in answers[0][1]
    assert isinstance(warning, WarningRaised)
    assert "hidden" not in warning.message
    assert "127.0.0.1:9" in warning.message


@ON_SQLITE
async def test_a_broken_listener_costs_no_webhook(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    path = await path_of(database, await add_account(database))

    def fail(_: str) -> None:
        raise RuntimeError("the job loop is closed")

    inbox = HookInbox(database.target, RING, fail, lambda _: None)
    with serving_http(more_routes=webhook_routes(inbox), beside=inbox) as running:
        status, _ = await Door(running.port).send(path, BODY)

    assert status == 200
    assert [record.getMessage() for record in caplog.records] == [
        "Nobody could be told of stored webhooks; the next poll reads them."
    ]


async def test_a_burst_is_announced_a_few_times_and_after_its_end(database: Database, door: Door) -> None:
    connection_id = await add_account(database)
    path = await path_of(database, connection_id)

    for round_ in range(5):
        sent = [door.send(path, BODY + f"&n={round_}.{number}".encode()) for number in range(20)]
        assert {status for status, _ in await asyncio.gather(*sent)} == {200}
        count = len(door.told)
    await wait_until(lambda: len(door.told) > count, describe="there was a call after the last webhook")

    assert len(await hooks_of(database)) == 100
    assert len(door.told) < 20
    assert set(door.told) == {connection_id}


async def test_a_signed_notice_of_revocation_parks_the_connection(database: Database, door: Door) -> None:
    """2.2: GET with client_uuid, account_id and a signature by the client secret."""
    world = World(contacts=1, leads=1)
    integration, demo = world.authority.integration, world.accounts[0]
    connection_id = await add_account(database, client_secret=integration.client_secret, account_id=str(demo.id))
    async with database.writing("Naming the integration") as connection:
        await connection.execute(update(crm_credentials).values(client_id=integration.client_id))
    signature = world.authority.signature(demo)
    query = f"client_uuid={integration.client_id}&account_id={demo.id}&signature="

    forged, _ = await door.send(f"/webhooks/kommo/revoked?{query}{'0' * 64}", method="GET")
    before = (await stored_account(database, connection_id)).get("reauth_reason")
    genuine, _ = await door.send(f"/webhooks/kommo/revoked?{query}{signature}", method="GET")

    assert (forged, before, genuine) == (404, None, 200)
    assert "revoked" in (await stored_account(database, connection_id))["reauth_reason"]


@ON_SQLITE
async def test_the_sandbox_itself_is_answered_well(sandbox: Sandbox, database: Database, door: Door) -> None:
    path = await path_of(database, await add_account(database))
    body = {"destination": door.url + path, "settings": ["update_lead"], "sort": 1}
    assert (await sandbox.ask("POST", "/api/v4/webhooks", body)).status == 200

    sandbox.demo.edit("leads", 20_000_001, {"name": "Ñandú"})

    hooks = sandbox.world.hooks
    await wait_until(lambda: bool(hooks.log) and hooks.log[0].is_over, describe="the webhook was sent")
    assert hooks.log[0].codes == [200]
    assert len(await hooks_of(database)) == 1
