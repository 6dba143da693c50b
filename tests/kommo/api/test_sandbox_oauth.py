"""Does the sandbox hand out tokens as Kommo does?"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.sandbox import DEMO, Raw, Sandbox

from oxcart_sandbox import change_scenario


def form_of(sandbox: Sandbox, **fields: str) -> dict[str, str]:
    known = sandbox.world.authority.integration
    basis = {
        "client_id": known.client_id,
        "client_secret": known.client_secret,
        "redirect_uri": known.redirect_uri,
    }
    return basis | fields


async def ask_token(sandbox: Sandbox, *, host: str = DEMO, **fields: str) -> Raw:
    return await sandbox.ask("POST", "/oauth2/access_token", form_of(sandbox, **fields), host=host, token="")


async def by_code(sandbox: Sandbox) -> dict[str, Any]:
    code = (await sandbox.control("POST", "/accounts/demo/code"))["code"]
    answer = await ask_token(sandbox, grant_type="authorization_code", code=code)
    assert answer.status == 200, answer.text
    pair: dict[str, Any] = answer.body
    return pair


async def refresh(sandbox: Sandbox, token: str, *, host: str = DEMO) -> Raw:
    return await ask_token(sandbox, grant_type="refresh_token", refresh_token=token, host=host)


async def works(sandbox: Sandbox, access: str) -> bool:
    return (await sandbox.get("/account", token=access)).status == 200


def switch(sandbox: Sandbox, **switches: object) -> None:
    sandbox.world.scenario = change_scenario(sandbox.world.scenario, switches)


async def test_a_code_becomes_a_pair_once(sandbox: Sandbox) -> None:
    """2.2: the answer's fields; a code is for single use."""
    code = (await sandbox.control("POST", "/accounts/demo/code"))["code"]
    first = await ask_token(sandbox, grant_type="authorization_code", code=code)
    again = await ask_token(sandbox, grant_type="authorization_code", code=code)

    assert set(first.body) == {"token_type", "expires_in", "server_time", "access_token", "refresh_token"}
    assert (first.body["token_type"], first.body["expires_in"]) == ("Bearer", 86_400)
    assert await works(sandbox, first.body["access_token"])
    assert again.status == 400


async def test_a_code_lives_twenty_minutes(sandbox: Sandbox) -> None:
    """2.2: code lives 20 minutes."""
    code = (await sandbox.control("POST", "/accounts/demo/code"))["code"]
    await sandbox.control("POST", "/clock", {"advance_seconds": 1200})

    assert (await ask_token(sandbox, grant_type="authorization_code", code=code)).status == 400


async def test_an_access_token_lives_a_day(sandbox: Sandbox) -> None:
    """2.2: access token 24 h; 2.3: 401."""
    pair = await by_code(sandbox)
    sandbox.world.clock.advance(86_399)
    assert await works(sandbox, pair["access_token"])

    sandbox.world.clock.advance(1)

    assert not await works(sandbox, pair["access_token"])
    assert (await refresh(sandbox, pair["refresh_token"])).status == 200


async def test_the_old_refresh_token_works_until_the_new_pair_is_used(sandbox: Sandbox) -> None:
    """2.2: the grace rule: after a lost answer the integration resends the old refresh token."""
    pair = await by_code(sandbox)
    lost = (await refresh(sandbox, pair["refresh_token"])).body
    second = (await refresh(sandbox, pair["refresh_token"])).body

    assert second["refresh_token"] != lost["refresh_token"]
    assert await works(sandbox, second["access_token"])

    refused = await refresh(sandbox, pair["refresh_token"])
    assert (refused.status, refused.body["hint"]) == (400, "Token has been revoked")


async def test_two_refreshes_at_once_end_each_other(sandbox: Sandbox) -> None:
    """2.2: two workers refreshing at once both get pairs, and invalidate each other's once used."""
    pair = await by_code(sandbox)
    one, other = [(await refresh(sandbox, pair["refresh_token"])).body for _ in range(2)]

    assert await works(sandbox, one["access_token"])
    assert not await works(sandbox, other["access_token"])
    assert (await refresh(sandbox, other["refresh_token"])).status == 400
    assert (await refresh(sandbox, one["refresh_token"])).status == 200


@pytest.mark.parametrize("status", [400, 401])
async def test_strict_rotation_has_no_grace(sandbox: Sandbox, status: int) -> None:
    """6: switchable: strict. 2.2: exact status of a refused refresh is unknown; serve 400 and 401."""
    switch(sandbox, strict_rotation=True, refusal_status=status)
    pair = await by_code(sandbox)

    assert (await refresh(sandbox, pair["refresh_token"])).status == 200
    assert (await refresh(sandbox, pair["refresh_token"])).status == status


async def test_a_refresh_token_lives_three_months(sandbox: Sandbox) -> None:
    """2.2: refresh token 3 months."""
    pair = await by_code(sandbox)
    sandbox.world.clock.advance(90 * 86_400)

    assert (await refresh(sandbox, pair["refresh_token"])).status == 400


async def test_a_form_body_is_taken_too(sandbox: Sandbox) -> None:
    """2.2: the PHP SDK sends the same fields form-encoded."""
    code = sandbox.world.authority.code(sandbox.demo)
    form = form_of(sandbox, grant_type="authorization_code", code=code)

    async with sandbox.session.post(f"{sandbox.url}/oauth2/access_token", data=form, headers={"Host": DEMO}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [("client_secret", "wrong", 401), ("redirect_uri", "http://elsewhere/", 400), ("grant_type", "password", 400)],
)
async def test_a_wrong_integration_is_refused(sandbox: Sandbox, field: str, value: str, status: int) -> None:
    """2.2: the body includes redirect_uri, and it must be the registered one."""
    pair = await by_code(sandbox)
    fields = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"], field: value}

    assert (await ask_token(sandbox, **fields)).status == status


async def test_access_can_be_revoked_and_the_notice_is_signed(sandbox: Sandbox) -> None:
    """2.2: signature = hex(HMAC-SHA256(client_secret, "client_id|account_id"))."""
    pair = await by_code(sandbox)
    assert await works(sandbox, pair["access_token"])

    notice = await sandbox.control("POST", "/accounts/demo/revoke")

    assert not await works(sandbox, pair["access_token"])
    assert (await refresh(sandbox, pair["refresh_token"])).status == 400
    known = sandbox.world.authority.integration
    text = f"{notice['client_uuid']}|{notice['account_id']}".encode()
    assert notice["signature"] == hmac.new(known.client_secret.encode(), text, hashlib.sha256).hexdigest()


async def test_a_moved_account_is_found_by_its_refresh_token(sandbox: Sandbox) -> None:
    """2.1: GET https://{api_domain}/oauth2/account/current/subdomain with X-Refresh-Token."""
    pair = await by_code(sandbox)
    await sandbox.control("POST", "/accounts/demo/move", {"subdomain": "moved"})

    at_old = await refresh(sandbox, pair["refresh_token"])
    found = await sandbox.ask(
        "GET",
        "/oauth2/account/current/subdomain",
        host="api-c.kommo.com",
        headers={"X-Refresh-Token": pair["refresh_token"]},
    )
    at_new = await refresh(sandbox, pair["refresh_token"], host=found.body["domain"])

    assert at_old.status == 404
    assert found.body == {
        "id": 31_000_001, "subdomain": "moved", "domain": "moved.kommo.com", "top_level_domain": "com"
    }  # fmt: skip
    assert at_new.status == 200
    assert (await sandbox.get("/account", token=at_new.body["access_token"])).status == 404


async def test_an_access_token_is_a_jwt_with_its_domains(sandbox: Sandbox) -> None:
    """2.1: account_id, base_domain, api_domain, sub, exp, scopes."""
    payload = (await by_code(sandbox))["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    assert (claims["account_id"], claims["base_domain"]) == (31_000_001, "kommo.com")
    assert claims["api_domain"] == "api-c.kommo.com"
    assert claims["exp"] == 1_790_000_000 + 86_400
    assert "crm" in claims["scopes"]


@pytest.mark.parametrize("denies", [False, True])
async def test_the_page_where_access_is_granted_redirects(sandbox: Sandbox, denies: bool) -> None:
    """2.2: redirect gets code, referer, state, client_id; or error=access_denied."""
    switch(sandbox, deny_access=denies)
    known = sandbox.world.authority.integration

    answer = await sandbox.ask("GET", f"/oauth?client_id={known.client_id}&state=s1&mode=popup", token="")

    where = urlsplit(answer.headers["Location"])
    given = {name: value for name, (value,) in parse_qs(where.query).items()}
    assert answer.status == 302
    assert known.redirect_uri.startswith(f"{where.scheme}://{where.netloc}")
    assert given["state"] == "s1"
    if denies:
        assert given["error"] == "access_denied"
    else:
        assert given["referer"] == DEMO
        assert (await ask_token(sandbox, grant_type="authorization_code", code=given["code"])).status == 200
