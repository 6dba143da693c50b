"""Does `oxcart kommo connect` connect what works, say what it changes, and store nothing that does not?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from kommo.commands.conftest import DOMAIN, Crm
from kommo.platform_schema import ORG, make_platform
from oxcart.testing import wait_until

NOTHING = "SELECT id FROM crm_connections"


async def test_a_token_connects_the_account_and_adds_one_webhook_and_nothing_else(crm: Crm) -> None:
    answer = await crm.connect()

    assert (answer["domain"], answer["isAdmin"], answer["problem"]) == (DOMAIN, True, None)
    assert [hook.destination.startswith("http://127.0.0.1:") for hook in crm.remote.subscriptions] == [True]
    writes = [seen for seen in crm.world.seen if seen.method != "GET"]
    assert [(seen.method, seen.path) for seen in writes] == [("POST", "/api/v4/webhooks")]
    stored = await crm.rows("SELECT access_token, base_domain FROM crm_connections")
    assert stored[0]["base_domain"] == DOMAIN
    assert crm.token not in stored[0]["access_token"], "it lies there encrypted"


async def test_without_json_a_person_reads_what_was_done(crm: Crm) -> None:
    done = await crm.oxcart("kommo", "connect", DOMAIN, KOMMO_TOKEN=crm.token)

    assert done.code == 0
    assert done.out.startswith(f"{DOMAIN} is connected.")
    assert "administrator" in done.out
    assert "oxcart kommo status" in done.out
    assert crm.token not in done.out + done.err


async def test_connecting_again_replaces_the_token_and_keeps_the_connection(crm: Crm) -> None:
    first = await crm.connect()
    second = await crm.connect("--no-sync")

    assert second["connectionId"] == first["connectionId"]
    assert second["syncJobId"] is None
    assert len(crm.remote.subscriptions) == 1


@pytest.mark.parametrize(
    ("domain", "code", "said"),
    [
        ("demo.kommo.com.evil.example", 64, "is not the address of a Kommo account"),
        ("169.254.169.254", 64, "is not the address of a Kommo account"),
        ("nobody.kommo.com", 1, "404"),
    ],
)
async def test_a_wrong_domain_is_one_sentence_and_nothing_is_stored(
    crm: Crm, domain: str, code: int, said: str
) -> None:
    done = await crm.oxcart("kommo", "connect", domain, KOMMO_TOKEN=crm.token)

    assert done.code == code
    assert said in done.err
    assert done.err.count("\n") == 1
    assert await crm.rows(NOTHING) == []


async def test_a_wrong_token_is_refused_and_nothing_is_stored(crm: Crm) -> None:
    done = await crm.oxcart("kommo", "connect", DOMAIN, KOMMO_TOKEN="not-a-token")

    assert done.code == 1
    assert "token" in done.err
    assert "not-a-token" not in done.err
    assert await crm.rows(NOTHING) == []


async def test_a_wrong_token_does_not_replace_one_that_works(crm: Crm) -> None:
    await crm.connect()
    before = await crm.rows("SELECT access_token FROM crm_connections")

    done = await crm.oxcart("kommo", "connect", DOMAIN, KOMMO_TOKEN="not-a-token")

    assert done.code == 1
    assert await crm.rows("SELECT access_token FROM crm_connections") == before


async def test_an_unpaid_account_says_so(crm: Crm) -> None:
    crm.remote.unpaid = True

    done = await crm.oxcart("kommo", "connect", DOMAIN, KOMMO_TOKEN=crm.token)

    assert done.code == 1
    assert "not paid" in done.err


async def test_a_user_who_is_no_administrator_is_told_what_that_means(crm: Crm) -> None:
    token = crm.world.authority.long_lived(crm.remote, admin=False)

    done = await crm.oxcart("kommo", "connect", DOMAIN, KOMMO_TOKEN=token)

    assert done.code == 0, done.err
    assert "no administrator" in done.out
    assert "until an administrator's token is connected" in done.out


async def test_without_a_token_and_without_an_integration_it_says_what_to_give(crm: Crm) -> None:
    done = await crm.oxcart("kommo", "connect", DOMAIN)

    assert done.code == 64
    assert "KOMMO_TOKEN" in done.err
    assert "KOMMO_CLIENT_ID" in done.err


async def test_oauth_ends_in_a_connection_once_the_browser_has_been_there(crm: Crm, free_port: int) -> None:
    redirect = f"http://127.0.0.1:{free_port}/kommo/callback"
    integration = replace(crm.world.authority.integration, redirect_uri=redirect)
    crm.world.authority.integration = integration
    environ = {"KOMMO_CLIENT_ID": integration.client_id, "KOMMO_CLIENT_SECRET": integration.client_secret}

    async with crm.oxcart.running("kommo", "connect", DOMAIN, "--redirect-uri", redirect, **environ) as running:
        await wait_until(lambda: "Waiting for the browser" in running.err, describe="it waits", timeout=30)
        url = re.search(r"http://\S+/oauth\?\S+", running.err)
        assert url is not None
        async with aiohttp.ClientSession() as browser, browser.get(url[0], headers={"Host": DOMAIN}) as page:
            assert page.status == 200
        async with asyncio.timeout(30):
            assert await running.process.wait() == 0

    assert f"{DOMAIN} is connected." in running.out
    assert integration.client_secret not in running.out + running.err


async def test_the_platforms_database_wants_an_organisation(make_crm: Callable[..., Any], postgres_url: str) -> None:
    await make_platform(postgres_url)
    async with make_crm(postgres_url) as crm:
        migrated = await crm.oxcart("kommo", "migrate")
        without = await crm.oxcart("kommo", "connect", DOMAIN, KOMMO_TOKEN=crm.token)
        answer = await crm.connect("--org", ORG)

    assert migrated.code == 0, migrated.err
    assert without.code == 64
    assert "--org UUID" in without.err
    assert answer["domain"] == DOMAIN
