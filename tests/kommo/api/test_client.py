"""Does the client turn everything that Kommo may answer into the right way on? Over real HTTP, against the sandbox."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from support.sandbox import DEMO, Sandbox, client_of, open_kommo

from oxcart.errors import InvalidInput
from oxcart.kommo.client import Client, Kommo, LongLivedToken
from oxcart.kommo.failures import (
    Blocked,
    Gone,
    KommoError,
    NoRights,
    Refused,
    ServerTrouble,
    TooManyRequests,
    Unauthorized,
    Unpaid,
)
from oxcart.kommo.limiter import Caller, Pace
from oxcart.secret import Secret
from oxcart_sandbox import change_scenario


def switch(sandbox: Sandbox, **switches: object) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, switches)


async def plan(sandbox: Sandbox, kind: str, **more: Any) -> None:
    await sandbox.control("POST", "/faults", {"kind": kind, **more})


def paths(sandbox: Sandbox) -> list[str]:
    return [seen.path.removeprefix("/api/v4") for seen in sandbox.world.seen]


async def test_a_success_has_its_body_and_the_server_s_time(sandbox: Sandbox, client: Client) -> None:
    answer = await client.get("/account", [("with", "version")])

    assert (answer.status, answer.body["id"], answer.body["version"]) == (200, 31_000_001, 12)
    assert answer.server_time == 1_790_000_000


async def test_nothing_is_none_and_no_error(client: Client) -> None:
    """Facts 2.3: 204 for an empty list and for an unknown id."""
    assert (await client.get("/events")).body is None
    assert await client.find("/leads/1") is None
    assert await client.find("/nowhere/1") is None
    assert (await client.find("/leads/20000001"))["id"] == 20_000_001


async def test_the_account_is_named_by_the_host_header(sandbox: Sandbox, kommo: Kommo) -> None:
    token = Secret(sandbox.world.token_of(sandbox.world.accounts[1]))
    client = kommo.client("second.amocrm.com", LongLivedToken(token), Caller("second"))

    assert (await client.get("/account")).body["id"] == 31_000_002


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400", Refused),
        ("402", Unpaid),
        ("403", NoRights),
        ("404", Gone),
        ("405", Refused),
        ("422", Refused),
        ("500", ServerTrouble),
        ("502", ServerTrouble),
        ("503", ServerTrouble),
        ("504", ServerTrouble),
    ],
)
async def test_each_status_is_the_error_for_its_recovery(
    sandbox: Sandbox, client: Client, status: str, kind: type[KommoError]
) -> None:
    await plan(sandbox, status, times=9)

    with pytest.raises(kind) as caught:
        await client.get("/leads")

    assert caught.value.status == int(status)
    assert str(caught.value).startswith("Kommo GET demo.kommo.com/api/v4/leads: ")


@pytest.mark.parametrize("kind", ["500", "502", "504", "hang", "truncate", "garbage", "cut", "lost"])
async def test_a_read_is_repeated_after_trouble(sandbox: Sandbox, redis_url: str, queue_name: str, kind: str) -> None:
    await plan(sandbox, kind, times=2)
    pace = Pace(requests_per_second=1e6)

    async with open_kommo(sandbox.url, redis_url, bucket=queue_name, pace=pace, request_seconds=0.2) as kommo:
        answer = await client_of(kommo, sandbox.world).get("/account")

    assert answer.body["id"] == 31_000_001
    assert len(paths(sandbox)) == 3


async def test_a_read_is_given_up_after_three_tries(sandbox: Sandbox, client: Client) -> None:
    await plan(sandbox, "500", times=9)

    with pytest.raises(ServerTrouble) as caught:
        await client.get("/account")

    assert len(paths(sandbox)) == 3
    assert not caught.value.outcome_unknown
    assert "trace" in str(caught.value)


@pytest.mark.parametrize("kind", ["500", "504", "hang", "truncate", "garbage", "cut", "lost"])
async def test_a_write_is_sent_once_and_its_outcome_is_open(
    sandbox: Sandbox, redis_url: str, queue_name: str, kind: str
) -> None:
    """Facts 2.4: there is no idempotency key; after an unknown outcome look first."""
    await plan(sandbox, kind)
    pace = Pace(requests_per_second=1e6)

    async with open_kommo(sandbox.url, redis_url, bucket=queue_name, pace=pace, request_seconds=0.2) as kommo:
        with pytest.raises(ServerTrouble) as caught:
            await client_of(kommo, sandbox.world).write("POST", "/leads", [{"name": "x"}])

    assert caught.value.outcome_unknown
    assert len(paths(sandbox)) == 1


async def test_a_write_that_never_left_was_not_done(redis_url: str, queue_name: str, sandbox: Sandbox) -> None:
    async with open_kommo("http://127.0.0.1:9", redis_url, bucket=queue_name) as kommo:
        with pytest.raises(ServerTrouble) as caught:
            await client_of(kommo, sandbox.world).write("POST", "/leads", [{"name": "x"}])

    assert not caught.value.outcome_unknown


async def test_validation_errors_name_their_rows(sandbox: Sandbox, client: Client) -> None:
    rows = [{"name": "fine", "request_id": "0"}, {"name": 7, "price": "x", "request_id": "1"}]

    with pytest.raises(Refused) as caught:
        await client.write("POST", "/leads", rows)

    assert [(row.request_id, row.code, row.path) for row in caught.value.rows] == [
        ("1", "InvalidType", "price"),
        ("1", "InvalidType", "name"),
    ]
    assert "row 1: price" in str(caught.value)


@pytest.mark.parametrize(("where", "seconds"), [("body", 90.0), ("header", 90.0)])
async def test_a_429_says_how_long(sandbox: Sandbox, client: Client, where: str, seconds: float) -> None:
    """Facts 2.3: the wait is in the JSON body; then the header."""
    switch(sandbox, requests_per_second=0, retry_after_real_seconds=seconds, retry_after_in=where)

    with pytest.raises(TooManyRequests) as caught:
        await client.get("/account")

    assert caught.value.retry_after_seconds == pytest.approx(seconds, abs=1)
    assert len(paths(sandbox)) == 1


async def test_a_429_that_does_not_say_pauses_for_a_minute(sandbox: Sandbox, client: Client) -> None:
    switch(sandbox, requests_per_second=0, retry_after_in="none")

    with pytest.raises(TooManyRequests) as caught:
        await client.get("/account")

    assert caught.value.retry_after_seconds is not None
    assert 60 <= caught.value.retry_after_seconds <= 66


async def test_a_short_429_is_waited_out_by_a_read(sandbox: Sandbox, client: Client) -> None:
    switch(sandbox, requests_per_second=1, retry_after_real_seconds=1.2)
    await client.get("/account")

    answer = await client.get("/account")

    times = [(seen.status, seen.at) for seen in sandbox.world.seen]
    assert answer.status == 200
    assert [status for status, _ in times] == [200, 429, 200]
    assert times[2][1] - times[1][1] >= 1.2


async def test_a_write_is_not_repeated_after_a_429(sandbox: Sandbox, client: Client) -> None:
    """Facts 7: whether writes answered with 429 are ever applied is unknown."""
    switch(sandbox, requests_per_second=0, retry_after_real_seconds=0.1)

    with pytest.raises(TooManyRequests):
        await client.write("POST", "/leads", [{"name": "x"}])

    assert len(paths(sandbox)) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_one_401_is_not_the_end_of_a_token(sandbox: Sandbox, client: Client, method: str) -> None:
    """Facts 9. A long-lived token was refused for good by it: now the account is asked, and the call repeated."""
    await plan(sandbox, "401")

    if method == "GET":
        assert (await client.get("/leads")).status == 200
    else:
        assert (await client.write("POST", "/leads", [{"name": "x"}])).status == 200

    assert [seen.path for seen in sandbox.world.seen] == ["/api/v4/leads", "/api/v4/account", "/api/v4/leads"]


async def test_an_html_403_is_a_block_and_a_json_403_is_not(sandbox: Sandbox, client: Client) -> None:
    """Facts 2.3: classify 403-HTML as circuit open, distinct from 403-JSON (rights)."""
    await plan(sandbox, "403")
    with pytest.raises(NoRights):
        await client.get("/leads")
    assert (await client.get("/account")).status == 200

    await plan(sandbox, "blocked")
    with pytest.raises(Blocked) as caught:
        await client.get("/leads")

    assert caught.value.retry_after_seconds == 2 * 3600
    before = len(sandbox.world.seen)
    with pytest.raises(Blocked):
        await client.get("/account")
    with pytest.raises(Blocked):
        await client.kommo.request_token(DEMO, {}, client.caller)
    assert len(sandbox.world.seen) == before


async def test_a_redirect_is_not_followed(sandbox: Sandbox, client: Client) -> None:
    """Facts 2.1: never follow redirects with a token or secret."""
    integration = sandbox.world.authority.integration
    elsewhere = f"{sandbox.url}/sandbox/"
    sandbox.world.authority.integration = type(integration)(redirect_uri=elsewhere)

    from oxcart.kommo.client import Call

    call = Call("GET", DEMO, "/oauth", [("client_id", integration.client_id)])
    with pytest.raises(Gone, match="no token is sent"):
        await client.kommo.send(call, client.caller, Secret("t0ken"))

    assert [seen.path for seen in sandbox.world.seen] == ["/oauth"]


class Rotating:
    """Tokens that were handed out in turn; the last stays."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = [Secret(token) for token in tokens]
        self.refused: list[Secret] = []

    async def current(self) -> Secret:
        return self.tokens[0]

    async def replace(self, refused: Secret) -> Secret:
        self.refused.append(refused)
        if len(self.tokens) > 1:
            del self.tokens[0]
        return self.tokens[0]


async def test_a_refused_token_is_replaced_once(sandbox: Sandbox, kommo: Kommo) -> None:
    good = sandbox.world.token_of(sandbox.demo)
    tokens = Rotating("stale", good)
    client = kommo.client(DEMO, tokens, Caller("demo"))

    made = await client.write("POST", "/leads", [{"name": "x"}])

    assert made.status == 200
    assert tokens.refused == [Secret("stale")]


async def test_a_token_that_stays_refused_is_no_loop(sandbox: Sandbox, kommo: Kommo) -> None:
    for tokens in (Rotating("stale"), Rotating("stale", "stale too", "and so on")):
        sandbox.world.seen.clear()
        with pytest.raises(Unauthorized):
            await kommo.client(DEMO, tokens, Caller("demo")).get("/account")
        assert len(sandbox.world.seen) <= 3


async def test_a_long_lived_token_that_ended_asks_for_another(sandbox: Sandbox, kommo: Kommo) -> None:
    client = kommo.client(DEMO, LongLivedToken(Secret("ended")), Caller("demo"))

    with pytest.raises(Unauthorized, match="Make a new one"):
        await client.get("/account")


async def test_tokens_are_exchanged_and_a_moved_account_is_found(sandbox: Sandbox, kommo: Kommo) -> None:
    known = sandbox.world.authority.integration
    basis = {
        "client_id": known.client_id, "client_secret": known.client_secret, "redirect_uri": known.redirect_uri
    }  # fmt: skip
    code = sandbox.world.authority.code(sandbox.demo)
    caller = Caller("demo")

    pair = await kommo.request_token(DEMO, {**basis, "grant_type": "authorization_code", "code": code}, caller)
    sandbox.demo.subdomain = "moved"
    refresh = {**basis, "grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}

    with pytest.raises(Gone):
        await kommo.request_token(DEMO, refresh, caller)
    found = await kommo.find_domain("api-c.kommo.com", Secret(pair["refresh_token"]), caller)
    again = await kommo.request_token(found, refresh, caller)
    with pytest.raises(Refused) as caught:
        await kommo.request_token(found, {**refresh, "refresh_token": "spent"}, caller)

    assert found == "moved.kommo.com"
    assert again["access_token"] != pair["access_token"]
    assert caught.value.hint == "Token has been revoked"


async def test_no_error_shows_a_secret(sandbox: Sandbox, client: Client, kommo: Kommo) -> None:
    token = sandbox.world.token_of(sandbox.demo)
    shown = [repr(client), repr(kommo), repr(LongLivedToken(Secret(token)))]
    for kind in ("400", "401", "402", "403", "404", "429", "500", "hang", "truncate", "cut", "blocked"):
        await plan(sandbox, kind, times=3)
        switch(sandbox, hang_real_seconds=0.05)
        with pytest.raises(KommoError) as caught:
            await client.write("POST", "/leads", [{"name": "x"}])
        shown += [str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr(vars(caught.value))]
        await sandbox.control("DELETE", "/faults")
        await kommo.limiter.unblock()
        await kommo.limiter._channel.command("Clearing", "DEL", kommo.limiter._state)

    assert not [text for text in shown if token in text or token.split(".")[1] in text]


async def test_a_closed_door_says_so(sandbox: Sandbox, redis_url: str, queue_name: str) -> None:
    async with open_kommo(sandbox.url, redis_url, bucket=queue_name) as kommo:
        client = client_of(kommo, sandbox.world)
        await kommo.__aexit__(None, None, None)
        with pytest.raises(InvalidInput, match="closed"):
            await client.get("/account")


def test_a_worker_without_kommo_does_not_carry_aiohttp() -> None:
    code = "import sys, oxcart.kommo.client, oxcart.kommo.entities, oxcart.cli.kommo; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "False"
