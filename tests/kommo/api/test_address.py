"""Does a token leave for Kommo's account hosts alone? The table of addresses that look like one."""

from __future__ import annotations

import pytest
from support.sandbox import Sandbox

from oxcart.errors import InvalidInput
from oxcart.kommo.address import check_account_host, read_account_host
from oxcart.kommo.client import Call, Kommo, LongLivedToken
from oxcart.kommo.limiter import Caller
from oxcart.secret import Secret
from oxcart.settings import inspect

GOOD = [
    "demo.kommo.com",
    "a.kommo.com",
    "d-e-m-o.amocrm.ru",
    "x1.amocrm.com",
    f"{'a' * 63}.kommo.com",
    "api-c.kommo.com",
]
BAD = [
    "",
    "kommo.com",
    ".kommo.com",
    "demo.kommo.com.evil.example",
    "demo.kommo.com@evil.example",
    "evil.example/.kommo.com",
    "evil.example#.kommo.com",
    "evil.example?.kommo.com",
    "evil.example\\.kommo.com",
    "demo.kommo.com:8080",
    "demo.kommo.com/",
    "demo.kommo.com\n",
    "demo.kommo.com\r\nHost: evil.example",
    "demo.kommo.com.",
    "demo.kommo.com%2eevil.example",
    " demo.kommo.com",
    "a.b.kommo.com",
    "-demo.kommo.com",
    "demo-.kommo.com",
    f"{'a' * 64}.kommo.com",
    "DEMO.kommo.com",
    "dеmo.kommo.com",  # a Cyrillic е
    "demo.kommo.соm",  # Cyrillic с and о
    "demo。kommo.com",
    "demo_x.kommo.com",
    "demokommo.com",
    "demo.kommoxcom",
    "demo.kommo.ru",
    "127.0.0.1",
    "[::1]",
    "localhost",
    "169.254.169.254",
    "user:password@demo.kommo.com",
]


@pytest.mark.parametrize("host", GOOD)
def test_an_account_s_host_is_taken_as_it_is(host: str) -> None:
    assert check_account_host(host) == host


@pytest.mark.parametrize("host", BAD)
def test_anything_else_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="no token is sent anywhere else"):
        check_account_host(host)


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidInput):
        check_account_host(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", BAD)
async def test_no_request_is_made_for_one_that_is_refused(sandbox: Sandbox, kommo: Kommo, host: str) -> None:
    """Also where everything is sent to the sandbox: a test would not find the hole otherwise."""
    with pytest.raises(InvalidInput):
        kommo.client(host, LongLivedToken(Secret("x")), Caller("c"))
    with pytest.raises(InvalidInput):
        await kommo.send(Call("GET", host, "/api/v4/account"), Caller("c"), Secret("x"))

    assert not sandbox.world.seen


@pytest.mark.parametrize(
    "text",
    [
        "demo.kommo.com",
        " demo.kommo.com ",
        "https://demo.kommo.com",
        "https://demo.kommo.com/",
        "https://demo.kommo.com/leads/list/?skip=1",
        "Demo.Kommo.com",
    ],
)
def test_a_person_may_paste_the_address_of_a_page(text: str) -> None:
    assert read_account_host(text) == "demo.kommo.com"


@pytest.mark.parametrize(
    "text",
    [
        "demo",
        "http://demo.kommo.com",
        "https://evil.example/demo.kommo.com",
        "https://demo.kommo.com@evil.example/",
        "https://demo.kommo.com:444/",
        "https://demo.kommo.com\\@evil.example",
        "ftp://demo.kommo.com",
    ],
)
def test_but_not_one_that_means_another_host(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"demo\.kommo\.com"):
        read_account_host(text)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8321", "http://localhost:8321/", "http://[::1]:8321"])
def test_the_sandbox_s_address_is_of_this_machine(url: str) -> None:
    settings = inspect({"OXCART_KOMMO_BASE_URL": url}).settings

    assert settings is not None
    assert settings.kommo_base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.0.0.1@evil.example",
        "http://user@127.0.0.1:1",
        "http://127.0.0.1:1/path",
        "http://127.0.0.1:1?x=y",
        "http://0.0.0.0:1",
        "https://demo.kommo.com",
        "127.0.0.1:8321",
    ],
)
def test_any_other_base_url_is_a_problem(url: str) -> None:
    (problem,) = inspect({"OXCART_KOMMO_BASE_URL": url}).problems

    assert problem.startswith("OXCART_KOMMO_BASE_URL")
    assert "of this machine" in problem
