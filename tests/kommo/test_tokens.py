"""Is there always one good token, fetched once, stored before use, and given up only when Kommo means it?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support.token_server import API_DOMAIN, REFUSED, TokenServer, access_token

from kommo.stored import DOMAIN, account, add_account, change_account, lease_holder
from oxcart.errors import InvalidInput, SettingsError
from oxcart.kommo.crypto import Keyring, Shape
from oxcart.kommo.failures import ServerTrouble, TooManyRequests, Unpaid
from oxcart.kommo.held_tokens import NeedsReauth
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.leases import acquire_lease
from oxcart.kommo.tokens import TokenKeeper
from oxcart.secret import Secret
from oxcart.telemetry.events import Event, KommoReauthNeeded, KommoTokenRefreshed

Keepers = Callable[..., TokenKeeper]

KEY = Secret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
OLD_KEY = Secret("00" * 32)


async def test_a_fresh_token_is_used_as_it_is(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database)

    token = await keeper_for().current(connection_id)

    assert token == Secret("access-0")
    assert kommo_tokens.requests == []


@pytest.mark.parametrize("ends_in_seconds", [-10, 0, 240])
async def test_a_token_about_to_end_is_refreshed_and_stored(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database, ends_in_seconds: float
) -> None:
    connection_id = await add_account(database, ends_in_seconds=ends_in_seconds)
    events: list[Event] = []

    token = await keeper_for(emit=events.append).current(connection_id)

    row = await account(database, connection_id)
    assert row["access_token"] == token.reveal()
    assert (row["refresh_token"], row["token_version"], row["api_domain"]) == ("refresh-1", 1, API_DOMAIN)
    assert row["metadata"] == {"sync": {"status": "done"}}
    assert events == [KommoTokenRefreshed(connection_id, DOMAIN)]
    assert kommo_tokens.requests == [
        {
            "grant_type": "refresh_token",
            "refresh_token": "refresh-0",
            "client_id": "client",
            "client_secret": "client-secret",
            "redirect_uri": "https://platform.example/callback",
        }
    ]
    assert kommo_tokens.hosts == [DOMAIN]


async def test_a_token_that_kommo_refuses_is_replaced_before_its_end(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database)
    tokens = keeper_for().of(connection_id)

    fresh = await tokens.replace(await tokens.current())

    assert fresh == await tokens.current() != Secret("access-0")
    assert kommo_tokens.refreshes == 1


async def test_a_token_whose_end_nobody_knows_is_used_until_it_is_refused(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database, ends_in_seconds=None)

    assert await keeper_for().current(connection_id) == Secret("access-0")
    assert kommo_tokens.requests == []


async def test_many_who_were_refused_at_once_refresh_once(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database)
    keepers = [keeper_for() for _ in range(4)]

    found = await asyncio.gather(*(keepers[n % 4].replace(connection_id, Secret("access-0")) for n in range(40)))

    assert kommo_tokens.refreshes == 1
    assert {token.reveal() for token in found} == {(await account(database, connection_id))["access_token"]}


async def test_whoever_comes_late_with_the_old_token_gets_the_new_one(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database)
    first = await keeper_for().replace(connection_id, Secret("access-0"))

    assert await keeper_for().replace(connection_id, Secret("access-0")) == first
    assert kommo_tokens.refreshes == 1


# ----------------------------------------------------------------------------------------------- failures that pass
async def test_a_lost_answer_sends_the_same_token_again(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    """Kommo had rotated; by its documentation the old token works until the new one is used."""
    connection_id = await add_account(database, ends_in_seconds=0)
    kommo_tokens.answers.extend(["lose"])

    token = await keeper_for().current(connection_id)

    assert [form["refresh_token"] for form in kommo_tokens.requests] == ["refresh-0", "refresh-0"]
    assert (await account(database, connection_id))["access_token"] == token.reveal()


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_trouble_at_kommo_is_no_refusal(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database, status: int
) -> None:
    connection_id = await add_account(database, ends_in_seconds=0)
    kommo_tokens.answers.extend([(status, "<html>")] * 3)
    keeper = keeper_for()

    with pytest.raises(ServerTrouble):
        await keeper.current(connection_id)

    assert (await account(database, connection_id)).get("reauth_reason") is None
    assert await keeper.current(connection_id) == Secret((await account(database, connection_id))["access_token"])


@pytest.mark.parametrize(
    ("answer", "error"), [((402, {"title": "Payment Required"}), Unpaid), ((429, {"retry_after": 1}), TooManyRequests)]
)
async def test_unpaid_and_too_many_park_nothing(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database, answer: tuple[int, Any], error: type[Exception]
) -> None:
    connection_id = await add_account(database, ends_in_seconds=0)
    kommo_tokens.answers.append(answer)

    with pytest.raises(error):
        await keeper_for().current(connection_id)

    assert (await account(database, connection_id)).get("reauth_reason") is None
    assert kommo_tokens.refreshes == 1


async def test_the_lease_of_a_process_that_vanished_ends_by_itself(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database, ends_in_seconds=0)
    async with database.writing("Vanishing") as connection:
        assert await acquire_lease(connection, f"refresh:{connection_id}", "gone", 0.3)

    assert (await keeper_for().current(connection_id)).reveal() != "access-0"
    async with database.reading("Asserting") as connection:
        assert await lease_holder(connection, f"refresh:{connection_id}") is None


async def test_a_cancelled_refresh_leaves_the_way_free(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database, ends_in_seconds=0)
    arrived = asyncio.Event()
    kommo_tokens.on_request = arrived.set
    kommo_tokens.delay_seconds = 5
    keeper = keeper_for()
    task = asyncio.create_task(keeper.current(connection_id))
    await arrived.wait()

    task.cancel()
    await asyncio.wait([task])
    kommo_tokens.delay_seconds = 0

    assert (await keeper.current(connection_id)).reveal() != "access-0"


# ----------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    "answer", [REFUSED, (401, {"title": "Unauthorized"}), (404, {"title": "Not Found"}), (403, {"title": "Forbidden"})]
)
async def test_a_refusal_parks_the_connection_and_is_asked_once(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database, answer: tuple[int, Any]
) -> None:
    connection_id = await add_account(database, ends_in_seconds=0)
    kommo_tokens.answers.append(answer)
    events: list[Event] = []
    keeper = keeper_for(emit=events.append)

    for _ in range(5):
        with pytest.raises(NeedsReauth, match=rf"{answer[0]}.*oxcart kommo connect {DOMAIN}"):
            await keeper.current(connection_id)

    row = await account(database, connection_id)
    assert kommo_tokens.refreshes == 1
    assert row["reauth_at"] is not None
    assert (row["access_token"], row["refresh_token"]) == ("access-0", "refresh-0")
    assert [type(event) for event in events] == [KommoReauthNeeded]


async def test_a_parked_connection_works_again_once_its_row_has_other_tokens(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    """Node, or a person, has connected it anew."""
    connection_id = await add_account(database, ends_in_seconds=0)
    kommo_tokens.answers.append(REFUSED)
    keeper = keeper_for()
    with pytest.raises(NeedsReauth):
        await keeper.current(connection_id)
    kommo_tokens.valid.add("refresh-of-node")

    await change_account(database, connection_id, refresh_token="refresh-of-node")

    assert (await keeper.current(connection_id)).reveal() != "access-0"
    assert (await account(database, connection_id))["reauth_reason"] is None


async def test_a_refusal_because_node_was_faster_uses_what_node_stored(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database)
    kommo_tokens.answers.append(REFUSED)
    kommo_tokens.on_request = lambda: change_account(
        database, connection_id, access_token="access-of-node", refresh_token="refresh-of-node"
    )

    token = await keeper_for().replace(connection_id, Secret("access-0"))

    assert token == Secret("access-of-node")
    assert kommo_tokens.refreshes == 1
    assert kommo_tokens.lookups == []


async def test_a_pair_that_node_stored_meanwhile_is_not_overwritten(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database)
    kommo_tokens.on_request = lambda: change_account(
        database, connection_id, access_token="access-of-node", refresh_token="refresh-of-node"
    )

    token = await keeper_for().replace(connection_id, Secret("access-0"))

    row = await account(database, connection_id)
    assert token == Secret("access-of-node")
    assert (row["access_token"], row["refresh_token"]) == ("access-of-node", "refresh-of-node")


async def test_an_account_that_moved_is_found_and_its_row_follows(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database, access_token=access_token(0), ends_in_seconds=0)
    kommo_tokens.moved_to = "anna.kommo.com"

    token = await keeper_for().current(connection_id)

    row = await account(database, connection_id)
    assert (row["base_domain"], row["access_token"]) == ("anna.kommo.com", token.reveal())
    assert kommo_tokens.lookups == ["refresh-0"]
    assert kommo_tokens.hosts == [DOMAIN, "anna.kommo.com"]


async def test_no_token_follows_a_lookup_to_a_stranger(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database, access_token=access_token(0), ends_in_seconds=0)
    kommo_tokens.moved_to = "kommo.com.example.org"

    with pytest.raises(NeedsReauth):
        await keeper_for().current(connection_id)

    assert kommo_tokens.hosts == [DOMAIN]


async def test_a_new_address_that_is_another_connections_is_a_persons_matter(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database, access_token=access_token(0), ends_in_seconds=0)
    org_id = (await account(database, connection_id))["org_id"]
    await add_account(database, org_id=org_id, base_domain="anna.kommo.com", client_secret=None)
    kommo_tokens.moved_to = "anna.kommo.com"

    with pytest.raises(NeedsReauth, match="has a connection of its own"):
        await keeper_for().current(connection_id)

    assert (await account(database, connection_id))["base_domain"] == DOMAIN


async def test_without_the_integrations_secret_no_refresh_is_tried(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database, ends_in_seconds=0, client_secret=None)

    with pytest.raises(NeedsReauth, match="client_secret"):
        await keeper_for().current(connection_id)

    assert kommo_tokens.requests == []


async def test_a_long_lived_token_is_used_until_kommo_refuses_it(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    connection_id = await add_account(database, refresh_token=None, ends_in_seconds=-3600)
    keeper = keeper_for()
    assert await keeper.current(connection_id) == Secret("access-0")

    with pytest.raises(NeedsReauth, match="long-lived token has ended"):
        await keeper.replace(connection_id, Secret("access-0"))

    with pytest.raises(NeedsReauth):
        await keeper.current(connection_id)
    await change_account(database, connection_id, access_token="access-new")
    assert await keeper.current(connection_id) == Secret("access-new")
    assert kommo_tokens.requests == []


async def test_an_unknown_connection_is_named(keeper_for: Keepers) -> None:
    for connection_id in ("7b1d1e5c-6a0e-4f0e-9a53-0d1f6f7b2a10", "ann"):
        with pytest.raises(InvalidInput, match=f"no Kommo connection {connection_id}"):
            await keeper_for().current(connection_id)


# ----------------------------------------------------------------------------------------------- shapes
@pytest.mark.parametrize("access_shape", list(Shape))
@pytest.mark.parametrize("refresh_shape", list(Shape))
async def test_new_tokens_keep_the_shapes_of_the_old(
    keeper_for: Keepers, database: Database, access_shape: Shape, refresh_shape: Shape
) -> None:
    """Node goes on reading the row beside us."""
    ring = Keyring(KEY, [OLD_KEY])
    written = Keyring(OLD_KEY)
    connection_id = await add_account(
        database,
        ends_in_seconds=0,
        access_token=written.seal(Secret("access-0"), access_shape),
        refresh_token=written.seal(Secret("refresh-0"), refresh_shape),
        client_secret=written.seal(Secret("client-secret"), Shape.BASE64),
    )

    token = await keeper_for(ring).current(connection_id)

    row = await account(database, connection_id)
    access, refresh = ring.open(row["access_token"], "It"), ring.open(row["refresh_token"], "It")
    assert (access.secret, access.shape, access.is_current) == (token, access_shape, True)
    assert (refresh.secret, refresh.shape, refresh.is_current) == (Secret("refresh-1"), refresh_shape, True)


async def test_a_token_that_no_key_opens_is_not_sent(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    sealed = Keyring(OLD_KEY).seal(Secret("refresh-0"), Shape.BASE64)
    connection_id = await add_account(database, ends_in_seconds=0, refresh_token=sealed)

    with pytest.raises(SettingsError, match=f"refresh token of {DOMAIN} is encrypted.*OXCART_ENCRYPTION_KEYS_OLD"):
        await keeper_for(Keyring(KEY)).current(connection_id)

    assert kommo_tokens.requests == []


async def test_a_row_that_is_encrypted_during_a_refresh_still_gets_the_new_pair(
    keeper_for: Keepers, kommo_tokens: TokenServer, database: Database
) -> None:
    ring = Keyring(KEY)
    connection_id = await add_account(database, ends_in_seconds=0)
    kommo_tokens.on_request = lambda: change_account(
        database,
        connection_id,
        access_token=ring.seal(Secret("access-0"), Shape.BASE64),
        refresh_token=ring.seal(Secret("refresh-0"), Shape.BASE64),
    )

    token = await keeper_for(ring).current(connection_id)

    row = await account(database, connection_id)
    assert ring.open(row["access_token"], "It").secret == token
    assert ring.open(row["refresh_token"], "It").shape is Shape.BASE64
    assert kommo_tokens.refreshes == 1
