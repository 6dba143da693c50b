"""What does `oxcart verify` make of each thing that may answer at a URL? One sentence and one step for each."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from typing import Any

import pytest
import trustme
from support.http_answers import Fixed, fake_site

from oxcart.doctor.deployment import parse_base
from oxcart.errors import InvalidInput
from oxcart.secret import Secret

from .conftest import WorkerAnswers, states, told, verified

HTML = "<!doctype html><title>Sign in</title>"


async def test_a_worker_that_is_well_passes_every_check(answers: WorkerAnswers) -> None:
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}", token=Secret("t0ken"))

    assert set(states(diagnosis).values()) == {"ok"}
    assert diagnosis.verdict is None
    assert diagnosis.exit_code == 0
    (canary,) = [headers for method, path, headers in site.seen if (method, path) == ("POST", "/canary")]
    assert canary["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    ("answer", "verdict", "summary", "action"),
    [
        (Fixed(404, "Not found"), "VERIFY_NOT_FOUND", "answers 404", "route the domain"),
        (
            Fixed(404, {"status": "error", "code": 404, "message": "Application not found"}),
            "VERIFY_NOT_FOUND",
            "answers 404",
            "Correct the URL",
        ),
        (Fixed(200, HTML), "VERIFY_WEB_PAGE", "a web page (200)", "the worker's service"),
        (
            Fixed(302, "", {"Location": "https://sso.example/login?next=secret"}),
            "VERIFY_REDIRECT",
            "redirected to https://sso.example/login.",
            "open for /health",
        ),
        (Fixed(307, "", {"Location": "/login"}), "VERIFY_REDIRECT", "redirected to /login.", "login page"),
        (Fixed(301, "", {"Location": "https://127.0.0.1/health"}), "VERIFY_REDIRECT", "redirected", "Use https: "),
        (Fixed(401, "who are you"), "VERIFY_LOGIN", "asks for a login (401)", "/metrics"),
        (Fixed(502, HTML), "VERIFY_GATEWAY", "answers 502", "deploy log"),
        (Fixed(503, {"error": "no upstream"}), "VERIFY_GATEWAY", "answers 503", "PORT"),
        (Fixed(200, {"ok": True}), "VERIFY_WRONG_JSON", "something else", "Another service"),
        (Fixed(200, {"status": "ok", "redis": {"connected": True}}), "VERIFY_NODE_WORKER", "not Oxcart", "Node worker"),
        (Fixed(200, "true", {"Content-Type": "text/plain"}), "VERIFY_WRONG_JSON", "something else", "Another service"),
    ],
)
async def test_what_is_not_our_worker_is_named(answer: Fixed, verdict: str, summary: str, action: str) -> None:
    with fake_site({"*": answer}) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert told(diagnosis) == verdict
    assert diagnosis.verdict is not None
    assert summary in diagnosis.verdict.summary
    assert "secret" not in diagnosis.verdict.summary, "a login's query may hold one"
    assert action in diagnosis.verdict.action
    assert diagnosis.exit_code == 1
    assert states(diagnosis)["verify-health"] == "skipped"


async def test_a_worker_that_is_not_well_is_told_in_its_own_words(answers: WorkerAnswers) -> None:
    """The same code in /health, in the log, in the doctor and here."""
    answers.status = 503
    failure = {"connected": False, "error": "WRONGPASS", "errorCode": "AUTH_BAD", "advice": "Copy the token again."}
    answers.health["redis"] |= failure
    with fake_site(answers.by_path()) as site:
        diagnosis = await verified(f"http://127.0.0.1:{site.port}")

    assert diagnosis.verdict is not None
    assert (diagnosis.verdict.id, diagnosis.verdict.action) == ("AUTH_BAD", "Copy the token again.")
    assert "/health answers 503: WRONGPASS" in [result.finding.evidence for result in diagnosis.results]


async def test_nothing_listens() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    diagnosis = await verified(f"http://127.0.0.1:{port}")

    assert told(diagnosis) == "VERIFY_REFUSED"
    assert diagnosis.exit_code == 69


async def test_a_name_that_does_not_resolve() -> None:
    diagnosis = await verified("https://worker.invalid")

    assert told(diagnosis) == "VERIFY_NO_ADDRESS"
    assert diagnosis.exit_code == 69


def _context(name: str, *, expired: bool = False) -> tuple[ssl.SSLContext, trustme.CA]:
    import datetime as dt

    authority = trustme.CA()
    not_after = dt.datetime.now(dt.UTC) - dt.timedelta(days=1) if expired else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=not_after).configure_cert(context)
    return context, authority


@pytest.mark.parametrize(
    ("name", "trusted", "expired", "word"),
    [
        ("127.0.0.1", False, False, "local issuer"),
        ("redis.example", True, False, "mismatch"),
        ("127.0.0.1", True, True, "expired"),
    ],
)
async def test_tls_that_cannot_be_trusted(
    name: str, trusted: bool, expired: bool, word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    context, authority = _context(name, expired=expired)
    bundle = tmp_path / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with fake_site({"*": Fixed()}, context) as site:
        diagnosis = await verified(f"https://127.0.0.1:{site.port}")

    assert told(diagnosis) == "VERIFY_TLS"
    assert diagnosis.verdict is not None
    assert word in diagnosis.verdict.summary
    assert diagnosis.exit_code == 1


async def test_tls_that_is_trusted(answers: WorkerAnswers, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    context, authority = _context("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with fake_site(answers.by_path(), context) as site:
        diagnosis = await verified(f"https://127.0.0.1:{site.port}")

    assert set(states(diagnosis).values()) == {"ok"}


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("worker-production.up.railway.app", "https://worker-production.up.railway.app"),
        ("https://worker.example/health", "https://worker.example"),
        ("https://worker.example/metrics/", "https://worker.example"),
        ('"https://worker.example/"', "https://worker.example"),
        ("https://example.com/behind/health", "https://example.com/behind"),
        ("localhost:3001", "http://localhost:3001"),
        ("http://[::1]:3001/health/live", "http://[::1]:3001"),
    ],
)
def test_an_address_is_understood_as_people_write_it(given: str, base: str) -> None:
    assert parse_base(given) == base


@pytest.mark.parametrize("given", ["ftp://worker.example", "https://", "a b", "http://worker:port/", "https://u:pw@x"])
def test_what_is_no_address_is_one_sentence_with_the_cure(given: str) -> None:
    with pytest.raises(InvalidInput, match=r"Give the service's|Leave it out") as refused:
        parse_base(given)

    assert "pw" not in str(refused.value)
