"""Can an account be connected by its owner alone, and its access taken away by nobody else?"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select, update
from support.kommo_door import kommo_door
from support.token_server import TokenServer, access_token

from kommo.platform_schema import ORG, make_platform
from kommo.stored import DOMAIN, account, add_account
from oxcart.errors import InvalidInput, SettingsError
from oxcart.kommo.authorize import (
    Integration,
    begin_authorization,
    connect_long_lived,
    finish_authorization,
    handle_revocation,
)
from oxcart.kommo.crypto import Keyring, Shape
from oxcart.kommo.failures import Refused
from oxcart.kommo.held_tokens import NeedsReauth
from oxcart.kommo.store.connections import (
    connection_of_domain,
    list_connections,
    organisation_is_wanted,
    purge_connection,
)
from oxcart.kommo.store.database import Database
from oxcart.kommo.store.database_url import parse_database_url
from oxcart.kommo.store.migrate import migrate
from oxcart.kommo.store.opening import open_database, reach_database
from oxcart.kommo.store.platform_tables import crm_connections, oauth_states
from oxcart.kommo.token_endpoint import KommoTokenEndpoint
from oxcart.kommo.tokens import TokenKeeper
from oxcart.secret import Secret

KEY = Secret("00" * 32)
RING = Keyring(KEY)
INTEGRATION = Integration("client", Secret("client-secret"), "https://platform.example/callback")


@pytest.fixture
async def endpoint(redis_url: str, kommo_tokens: TokenServer) -> AsyncIterator[KommoTokenEndpoint]:
    kommo_tokens.codes.add("code")
    async with kommo_door(redis_url, kommo_tokens.url) as door:
        yield KommoTokenEndpoint(door)


async def begin(database: Database, domain: str = DOMAIN, org_id: str | None = None) -> str:
    """The state in the address that the owner is sent to."""
    address = await begin_authorization(database, RING, INTEGRATION, domain, org_id=org_id)
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://www.kommo.com/oauth"
    query = parse_qs(parts.query)
    assert query["client_id"] == ["client"]
    return query["state"][0]


async def finish(
    database: Database, endpoint: KommoTokenEndpoint, state: str, *, code: str = "code", referer: str = DOMAIN
) -> str:
    return await finish_authorization(database, RING, endpoint, state=state, code=code, referer=referer)


async def test_a_code_becomes_a_connection(
    database: Database, endpoint: KommoTokenEndpoint, kommo_tokens: TokenServer
) -> None:
    connection_id = await finish(database, endpoint, await begin(database))

    row = await account(database, connection_id)
    access = RING.open(row["access_token"], "It")
    assert kommo_tokens.requests == [
        {
            "grant_type": "authorization_code",
            "code": "code",
            "client_id": "client",
            "client_secret": "client-secret",
            "redirect_uri": "https://platform.example/callback",
        }
    ]
    assert (row["base_domain"], row["account_id"], access.shape) == (DOMAIN, "31000001", Shape.BASE64)
    assert row["expires_at"] - datetime.now(UTC) > timedelta(hours=23)
    keeper = TokenKeeper(database, RING, endpoint, lambda _: None)
    assert await keeper.current(connection_id) == access.secret


async def test_an_account_that_is_connected_again_keeps_its_row(
    database: Database, endpoint: KommoTokenEndpoint, kommo_tokens: TokenServer
) -> None:
    first = await finish(database, endpoint, await begin(database))
    keeper = TokenKeeper(database, RING, endpoint, lambda _: None)
    await keeper.revoke(first, "the test says so")
    kommo_tokens.codes.add("another")

    second = await finish(database, endpoint, await begin(database), code="another")

    assert first == second
    assert (await keeper.current(first)).reveal()
    async with database.reading("Asserting") as connection:
        assert len(await list_connections(connection)) == 1


async def test_a_state_works_once(database: Database, endpoint: KommoTokenEndpoint, kommo_tokens: TokenServer) -> None:
    state = await begin(database)
    await finish(database, endpoint, state)

    with pytest.raises(InvalidInput, match="was used"):
        await finish(database, endpoint, state)

    assert len(kommo_tokens.requests) == 1


@pytest.mark.parametrize("state", ["", "made-up"])
async def test_a_state_that_we_did_not_give_out_is_refused(
    database: Database, endpoint: KommoTokenEndpoint, kommo_tokens: TokenServer, state: str
) -> None:
    with pytest.raises(InvalidInput, match="oxcart kommo connect"):
        await finish(database, endpoint, state)

    assert kommo_tokens.requests == []


async def test_a_state_ends_after_a_quarter_of_an_hour(
    database: Database, endpoint: KommoTokenEndpoint, kommo_tokens: TokenServer
) -> None:
    state = await begin(database)
    async with database.writing("Waiting 15 minutes") as connection:
        await connection.execute(update(oauth_states).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))

    with pytest.raises(InvalidInput, match="older than 15 minutes"):
        await finish(database, endpoint, state)

    assert kommo_tokens.requests == []


@pytest.mark.parametrize("referer", ["evil.example", "ann.kommo.com.evil.example", "ann.kommo.com@evil.example", ""])
async def test_a_code_is_not_sent_to_whoever_the_referer_names(
    database: Database, endpoint: KommoTokenEndpoint, kommo_tokens: TokenServer, referer: str
) -> None:
    """It arrives in the browser's address: its writer may be anyone."""
    state = await begin(database)

    with pytest.raises(InvalidInput):
        await finish(database, endpoint, state, referer=referer)

    assert kommo_tokens.requests == []


async def test_another_account_than_was_asked_for_is_refused(
    database: Database, endpoint: KommoTokenEndpoint, kommo_tokens: TokenServer
) -> None:
    """Whoever is logged in to two accounts grants access to the wrong one with one click."""
    state = await begin(database)

    with pytest.raises(InvalidInput, match=f"Connecting {DOMAIN}: access was granted to other.kommo.com"):
        await finish_authorization(database, RING, endpoint, state=state, code="code", referer="other.kommo.com")

    assert kommo_tokens.requests == []
    async with database.reading("Asserting") as connection:
        assert await list_connections(connection) == []


async def test_an_account_that_is_connected_under_a_new_name_keeps_its_row(
    database: Database, endpoint: KommoTokenEndpoint
) -> None:
    first = await connect_long_lived(database, RING, DOMAIN, Secret(access_token(1)))
    state = await begin(database, "renamed.kommo.com")

    second = await finish_authorization(database, RING, endpoint, state=state, code="code", referer="renamed.kommo.com")

    assert second == first
    async with database.reading("Asserting") as connection:
        (stored,) = await list_connections(connection)
    assert (stored.domain, stored.account_id, stored.client_id) == ("renamed.kommo.com", "31000001", "client")


async def test_one_account_of_two_organisations_has_two_rows(database: Database) -> None:
    one, other = str(uuid.uuid4()), str(uuid.uuid4())

    ids = {
        await connect_long_lived(database, RING, DOMAIN, Secret(access_token(1)), org_id=org) for org in (one, other)
    }

    assert len(ids) == 2


async def test_a_wrong_code_is_kommos_refusal(database: Database, endpoint: KommoTokenEndpoint) -> None:
    state = await begin(database)

    with pytest.raises(Refused):
        await finish(database, endpoint, state, code="wrong")

    async with database.reading("Asserting") as connection:
        assert await list_connections(connection) == []


async def test_a_long_lived_token_is_stored_encrypted(database: Database) -> None:
    connection_id = await connect_long_lived(database, RING, "https://Ann.kommo.com/leads", Secret(" token "))

    row = await account(database, connection_id)
    assert (row["base_domain"], row["refresh_token"], row["expires_at"]) == (DOMAIN, None, None)
    assert RING.open(row["access_token"], "It").secret == Secret("token")


async def test_without_a_key_a_token_is_not_stored(database: Database) -> None:
    with pytest.raises(SettingsError, match="openssl rand -base64 32"):
        await connect_long_lived(database, Keyring(), DOMAIN, Secret("token"))

    async with database.reading("Asserting") as connection:
        assert await list_connections(connection) == []


async def test_the_platforms_connection_is_reused_in_its_own_shape(database: Database) -> None:
    org_id = str(uuid.uuid4())
    connection_id = await add_account(database, org_id=org_id)

    again = await connect_long_lived(database, RING, DOMAIN, Secret("token"), org_id=org_id)

    row = await account(database, connection_id)
    assert again == connection_id
    assert (row["access_token"], row["refresh_token"]) == ("token", None)


async def test_the_platforms_table_wants_an_organisation(postgres_url: str) -> None:
    await make_platform(postgres_url)
    target = parse_database_url(Secret(postgres_url))
    async with reach_database(target) as bare:
        await migrate(bare)
    async with open_database(target) as platform:
        async with platform.reading("Asking") as connection:
            assert await organisation_is_wanted(connection) is True
        assert await connect_long_lived(platform, RING, DOMAIN, Secret("token"), org_id=ORG)


async def test_our_own_table_wants_none(database: Database) -> None:
    async with database.reading("Asking") as connection:
        assert await organisation_is_wanted(connection) is False


async def test_a_connection_is_forgotten_as_a_whole_and_others_stay(database: Database) -> None:
    gone, stays = await add_account(database), await add_account(database, base_domain="bob.kommo.com")
    async with database.writing("Purging") as connection:
        await purge_connection(connection, gone)

    async with database.reading("Asserting") as connection:
        left = (await connection.execute(select(crm_connections.c.id))).scalars().all()
        assert list(left) == [stays]
        assert await connection_of_domain(connection, DOMAIN) is None


# ------------------------------------------------------------------------------------------------ revocation
def notice(secret: str = "client-secret", **changes: str) -> dict[str, str]:
    signed = hmac.new(secret.encode(), b"client|31000001", hashlib.sha256).hexdigest()
    return {"client_uuid": "client", "account_id": "31000001", "signature": signed} | changes


async def test_a_signed_notice_parks_the_connection(database: Database, endpoint: KommoTokenEndpoint) -> None:
    connection_id = await add_account(database, client_secret=RING.seal(Secret("client-secret"), Shape.BASE64))
    keeper = TokenKeeper(database, RING, endpoint, lambda _: None)

    assert await handle_revocation(database, RING, lambda _: None, notice()) == (connection_id,)

    with pytest.raises(NeedsReauth, match="revoked"):
        await keeper.current(connection_id)


@pytest.mark.parametrize(
    "query",
    [
        notice("another-secret"),
        notice(account_id="31000002"),
        notice(client_uuid="other"),
        notice(signature=""),
        notice(signature="ü"),
        {},
    ],
)
async def test_a_notice_that_is_not_genuine_parks_nothing(
    database: Database, endpoint: KommoTokenEndpoint, query: dict[str, str]
) -> None:
    connection_id = await add_account(database)
    keeper = TokenKeeper(database, RING, endpoint, lambda _: None)

    assert await handle_revocation(database, RING, lambda _: None, query) == ()
    assert await keeper.current(connection_id) == Secret("access-0")
