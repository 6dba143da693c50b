"""Which of token, provider and network is at fault? The tables here are the specification of the Upstash verdicts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from support.examined import TOKEN, Examined, examined
from support.fake_redis import FakeRedis, Reply
from support.fake_rest import FakeRest
from support.ports import closed_port
from support.russian import not_russian
from support.tls import TlsFront

from oxcart.checks import State, may_pass
from oxcart.connection.failure_table import ROWS as FAILURES
from oxcart.connection.failures import failure_for
from oxcart.doctor.checks.elsewhere import rest_url
from oxcart.doctor.upstash import Evidence, Rest, diagnose, shape_of
from oxcart.doctor.visit import begin_visit
from oxcart.language import speaking

GOOD = shape_of(TOKEN, needs_stripping=False)
BASE = Evidence(GOOD)
WRONGPASS = "-WRONGPASS invalid username-password pair or user is disabled."
QUOTA = "ERR max requests limit exceeded. Limit: 500000, Usage: 500000"

# What REST says (rows) and how TCP ends (columns): the verdict, or None where the failure's own code stays.
TCP = ("accepted", "AUTH_BAD", "Q_MONTH", "TCP_TIMEOUT", "TCP_REFUSED", "READ_TIMEOUT", "TLS_SELF")
TABLE: dict[str, tuple[str | None, ...]] = {
    "accepted": (None, None, "QUOTA_USED", "PORT_BLOCKED", "PORT_REFUSED", "LOGIN_SILENT", None),
    "default_ro": ("UPSTASH_TOKEN_KIND",) * 2 + ("QUOTA_USED",) + ("UPSTASH_TOKEN_KIND",) * 4,
    "quota": ("QUOTA_USED",) * 7,
    "unauthorized": (None, "UPSTASH_TOKEN_WRONG", "QUOTA_USED", "PORT_BLOCKED", "PORT_REFUSED", "LOGIN_SILENT", None),
    "failing": (None, "PROVIDER_FAILING", "QUOTA_USED") + ("PROVIDER_FAILING",) * 4,
    "silent": (None, None, "QUOTA_USED", None, None, None, None),
}
CASES = [(rest, tcp, verdict) for rest, row in TABLE.items() for tcp, verdict in zip(TCP, row, strict=True)]

# Those that wait for a timeout are met with real sockets once, below.
QUICK = [case for case in CASES if case[1] not in {"TCP_TIMEOUT", "READ_TIMEOUT"}]

RESTS: dict[str, dict[str, Any]] = {
    "accepted": {},
    "default_ro": {"whoami": "default_ro"},
    "quota": {"status": 400, "error": QUOTA},
    "unauthorized": {"status": 401, "error": "WRONGPASS invalid or missing auth token"},
    "failing": {"status": 503},
}


@contextmanager
def database(rest: str, tcp: str, *, token: str = TOKEN, auth: Reply = "+OK") -> Iterator[dict[str, str]]:
    """The environment of a database whose two sides behave like this, on loopback."""
    answers: dict[str, Reply] = {"AUTH_BAD": WRONGPASS, "Q_MONTH": f"-{QUOTA}"}
    with ExitStack() as stack:
        behind = stack.enter_context(FakeRedis({"AUTH": answers.get(tcp, auth)}))
        front = stack.enter_context(TlsFront(behind.port, "self_signed" if tcp == "TLS_SELF" else "good"))
        port = closed_port() if tcp == "TCP_REFUSED" else front.port
        url = f"http://localhost:{closed_port()}"
        if rest != "silent":
            url = stack.enter_context(FakeRest(**RESTS[rest])).url
        yield {
            "UPSTASH_REDIS_REST_URL": url,
            "UPSTASH_REDIS_REST_TOKEN": token,
            "OXCART_REDIS_PORT": str(port),
            "OXCART_REDIS_TLS_CA_FILE": front.ca_file,
            "OXCART_REDIS_CONNECT_TIMEOUT_SECONDS": "2",
        }


async def reached(environ: dict[str, str], **options: Any) -> Examined:
    """The way to the server and what is decided from it; the fake server could not go further."""
    return await examined(environ, only=["upstash"], control_host="localhost", **options)


@pytest.mark.parametrize(("rest", "tcp", "verdict"), CASES)
def test_the_table(rest: str, tcp: str, verdict: str | None) -> None:
    seen = Evidence(
        GOOD,
        rest={"quota": Rest.OTHER, "default_ro": Rest.ACCEPTED}.get(rest) or Rest(rest),
        rest_said=QUOTA if rest == "quota" else "",
        whoami="default_ro" if rest == "default_ro" else "default" if rest == "accepted" else None,
        tcp=None if tcp == "accepted" else failure_for(tcp),
    )

    found = diagnose(seen)

    assert (found.id if found else None) == verdict


@pytest.mark.parametrize(("rest", "tcp", "verdict"), QUICK)
async def test_the_table_with_real_sockets(rest: str, tcp: str, verdict: str | None) -> None:
    with database(rest, tcp) as environ:
        seen = await reached(environ)

    own = None if tcp == "accepted" else tcp
    assert seen.verdict == (verdict or own)
    assert seen.diagnosis.verdict is None or seen.action
    if seen.verdict is not None and tcp != "accepted":
        assert seen.diagnosis.exit_code == 69


@pytest.mark.parametrize(("rest", "tcp", "verdict"), QUICK)
async def test_the_table_in_russian(rest: str, tcp: str, verdict: str | None) -> None:
    """The same verdicts, every sentence of them in the operator's language, and no token in any (see `examined`)."""
    with database(rest, tcp) as environ, speaking("ru"):
        seen = await reached(environ)

    assert seen.verdict == (verdict or (None if tcp == "accepted" else tcp))
    assert list(not_russian(seen.as_json)) == []


async def test_a_login_that_is_never_answered_is_no_blocked_port() -> None:
    """TCP, TLS and REST are fine: whoever looks for a firewall then loses the night."""
    never = threading.Event()
    with database("accepted", "silent login", auth=lambda _: str(never.wait(20))) as environ:
        seen = await reached({**environ, "OXCART_REDIS_CONNECT_TIMEOUT_SECONDS": "0.5"})
        never.set()

    assert (seen["tcp"].finding.state, seen["tls"].finding.state) == (State.OK, State.OK)
    assert seen.verdict == "LOGIN_SILENT"
    assert "status.upstash.com" in seen.action
    assert seen.as_json["verdict"]["retryable"] is True
    assert "another network" in seen.as_json["verdict"]["doubt"]
    assert "Not certain" in seen.text


async def test_what_auth_itself_says_counts_before_a_later_noauth() -> None:
    """At a used-up plan Upstash answers AUTH with the limit, and whatever follows with NOAUTH."""
    replies: dict[str, Reply] = {"AUTH": f"-{QUOTA}", "PING": "-NOAUTH Authentication required."}
    with FakeRedis(replies) as behind, TlsFront(behind.port) as front, FakeRest() as rest:
        environ = {
            "UPSTASH_REDIS_REST_URL": rest.url,
            "UPSTASH_REDIS_REST_TOKEN": TOKEN,
            "OXCART_REDIS_PORT": str(front.port),
            "OXCART_REDIS_TLS_CA_FILE": front.ca_file,
        }
        seen = await reached(environ)

    assert seen.verdict == "QUOTA_USED"


@pytest.mark.parametrize("failure", sorted({row.code for row in FAILURES}))
@pytest.mark.parametrize("rest", [Rest.ACCEPTED, Rest.UNAUTHORIZED, Rest.SILENT])
def test_doctor_and_verify_agree_on_whether_it_may_pass(rest: Rest, failure: str) -> None:
    """Verify knows the failure that the worker names, and the doctor has asked REST as well."""
    found = diagnose(replace(BASE, rest=rest, tcp=failure_for(failure)))

    assert found is None or found.retryable is may_pass(failure_for(failure).kind)


WRONG = failure_for("AUTH_BAD")
LOST = failure_for("DNS_NX")
SILENT = failure_for("TCP_TIMEOUT")
DAMAGED = replace(GOOD, length_is_off=True)
HALF = shape_of(TOKEN[:24], needs_stripping=False)
KEY = replace(GOOD, is_management_key=True)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (replace(BASE, token=replace(GOOD, needs_stripping=True)), "UPSTASH_TOKEN_DAMAGED"),
        (replace(BASE, token=DAMAGED, tcp=WRONG, rest=Rest.UNAUTHORIZED), "UPSTASH_TOKEN_DAMAGED"),
        (replace(BASE, token=DAMAGED, tcp=WRONG), "UPSTASH_TOKEN_DAMAGED"),
        (replace(BASE, token=DAMAGED, rest=Rest.ACCEPTED), None),
        (replace(BASE, token=HALF, tcp=WRONG, rest=Rest.UNAUTHORIZED), "UPSTASH_TOKEN_DAMAGED"),
        (replace(BASE, token=HALF, rest=Rest.ACCEPTED), None),
        (replace(BASE, tcp=WRONG, rest=Rest.ACCEPTED, read_only_accepted=True), "UPSTASH_TOKEN_KIND"),
        (replace(BASE, token=KEY, tcp=SILENT), "UPSTASH_TOKEN_KIND"),
        (replace(BASE, token=KEY, tcp=WRONG, rest=Rest.UNAUTHORIZED), "UPSTASH_TOKEN_WRONG"),
        (replace(BASE, token=KEY, rest=Rest.ACCEPTED), None),
        (replace(BASE, tcp=LOST, host_resolves=False, rest=Rest.SILENT), "UPSTASH_DELETED"),
        (
            replace(BASE, tcp=LOST, tcp_answered=False, host_resolves=False, control_resolves=False, rest=Rest.SILENT),
            "NETWORK_DOWN",
        ),
        (replace(BASE, tcp=SILENT, tcp_answered=False, control_resolves=False, rest=Rest.SILENT), "NETWORK_DOWN"),
        (replace(BASE, tcp=SILENT, tcp_answered=True, control_resolves=False, rest=Rest.SILENT), None),
        (replace(BASE, tcp=SILENT, tcp_answered=False, control_resolves=True, rest=Rest.SILENT), None),
        (
            replace(BASE, tcp=SILENT, tcp_answered=False, control_resolves=False, rest=Rest.SILENT, is_ip_literal=True),
            None,
        ),
    ],
)
def test_the_rows_that_look_at_more(seen: Evidence, verdict: str | None) -> None:
    found = diagnose(seen)

    assert (found.id if found else None) == verdict


@pytest.mark.parametrize(
    ("token", "off", "key"),
    [
        (TOKEN, False, False),
        (TOKEN[:-1], True, False),
        ("AXqyASQgNzc4ZWU1YTYtMTVhYQ==", False, False),
        ("AXqyASQgNzc4ZWU1YTYtMTVhYQ=", True, False),
        ("wrong-token", False, False),
        ("0b3c1d5e-1111-4222-8333-444455556666", False, True),
        ("ops@example.com:0b3c1d5e-1111-4222-8333-444455556666", False, True),
    ],
)
def test_the_shape_of_a_token(token: str, off: bool, key: bool) -> None:
    shape = shape_of(token, needs_stripping=False)

    assert (shape.length_is_off, shape.is_management_key) == (off, key)
    assert token not in str(shape)
    assert token[-5:] not in str(shape)


@pytest.mark.parametrize(
    "pasted",
    [f'"{TOKEN}"', f"{TOKEN}\n", f" {TOKEN}", f"Bearer {TOKEN}", f"{TOKEN[:9]}\n{TOKEN[9:]}", f"{TOKEN[:9]}%3D"],
)
async def test_a_token_that_needs_stripping_fails_though_it_would_work(pasted: str) -> None:
    """Node takes the variable literally: what works here is broken there."""
    with database("accepted", "accepted", token=pasted) as environ:
        seen = await reached(environ)

    assert seen.verdict == "UPSTASH_TOKEN_DAMAGED"
    assert "copy button" in seen.action
    assert seen["auth"].finding.state is State.SKIPPED, "the doctor stops there"


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        ("<token>", "placeholder"),
        ("YOUR_TOKEN_HERE", "placeholder"),
        ("AYcUASQ…NDI=", "masked"),
        ("AYcU********NDI=", "masked"),
        ("AYcUASQ...NDI=", "masked"),
        ("••••••••", "masked"),
        ("https://some.upstash.io", "swapped"),
        ("${{Redis.TOKEN}}", "not filled in"),
    ],
)
async def test_a_token_that_is_none_is_told_before_anyone_is_asked(pasted: str, words: str) -> None:
    """It was sent, refused, and told as a wrong token: nobody looks at a placeholder then."""
    with database("accepted", "accepted", token=pasted) as environ:
        seen = await examined(environ)

    assert seen.ids(State.FAILED)[0] == "redis-url"
    assert words in seen["redis-url"].finding.evidence
    assert seen.diagnosis.exit_code == 78


async def test_a_token_that_lost_a_character() -> None:
    with database("unauthorized", "AUTH_BAD", token=TOKEN[:-1]) as environ:
        seen = await reached(environ)

    assert seen.verdict == "UPSTASH_TOKEN_DAMAGED"


async def test_the_read_only_token() -> None:
    """Redis takes it for the user default_ro alone."""

    def auth(words: list[bytes]) -> str:
        return "+OK" if words[1] == b"default_ro" else WRONGPASS

    with database("accepted", "read-only", auth=auth) as environ:
        seen = await reached(environ)

    assert seen.verdict == "UPSTASH_TOKEN_KIND"
    assert "Read-Only Token" in seen.action
    assert "default_ro accepted" in seen["upstash"].finding.evidence


async def test_a_database_that_is_gone() -> None:
    environ = {"UPSTASH_REDIS_REST_URL": "https://gone.invalid", "UPSTASH_REDIS_REST_TOKEN": TOKEN}

    seen = await reached(environ)

    assert seen.verdict == "UPSTASH_DELETED"
    assert "console" in seen.action


async def test_a_machine_without_a_network() -> None:
    environ = {"UPSTASH_REDIS_REST_URL": "https://gone.invalid", "UPSTASH_REDIS_REST_TOKEN": TOKEN}

    seen = await examined(environ, only=["upstash"], control_host="control.invalid")

    assert seen.verdict == "NETWORK_DOWN"
    assert seen.as_json["verdict"]["retryable"] is True


async def test_the_probes_ask_with_the_token_and_stay_on_the_port_of_the_url() -> None:
    with FakeRest() as rest, FakeRedis({}) as behind, TlsFront(behind.port) as front:
        environ = {
            "UPSTASH_REDIS_REST_URL": f"{rest.url}/",
            "UPSTASH_REDIS_REST_TOKEN": TOKEN,
            "OXCART_REDIS_PORT": str(front.port),
            "OXCART_REDIS_TLS_CA_FILE": front.ca_file,
        }
        seen = await reached(environ)

    assert seen.verdict is None
    assert rest.asked == [["PING"], ["ACL", "WHOAMI"]]
    assert rest.authorizations == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("https://some.upstash.io", "https://some.upstash.io"),
        (' "https://SOME.upstash.io/" ', "https://some.upstash.io"),
        ("https://some.upstash.io:8443/x", "https://some.upstash.io:8443"),
        ("http://some.upstash.io", "https://some.upstash.io"),
        ("http://127.0.0.1:8079", "http://127.0.0.1:8079"),
        ("rediss://default:tok@some.upstash.io:6379", "https://some.upstash.io"),
    ],
)
def test_where_the_rest_api_is(given: str, asked: str) -> None:
    """The token never leaves this machine without TLS, whatever the variable says."""
    environ = {"UPSTASH_REDIS_REST_URL": given, "UPSTASH_REDIS_REST_TOKEN": TOKEN}

    assert rest_url(begin_visit(environ, known_names=frozenset())) == asked


async def test_rest_over_https_trusts_the_ca_file() -> None:
    with FakeRest() as rest, TlsFront(rest.port) as https, FakeRedis({}) as behind, TlsFront(behind.port) as front:
        environ = {
            "UPSTASH_REDIS_REST_URL": f"https://localhost:{https.port}",
            "UPSTASH_REDIS_REST_TOKEN": TOKEN,
            "OXCART_REDIS_PORT": str(front.port),
            "OXCART_REDIS_TLS_CA_FILE": _both(https.ca_file, front.ca_file),
        }
        seen = await reached(environ)

    assert seen.verdict is None, seen.text
    assert seen["upstash"].finding.evidence.startswith("REST accepted")


def _both(first: str, second: str) -> str:
    """One file with the authorities of two."""
    from pathlib import Path

    bundle = Path(first).with_name("both.pem")
    bundle.write_text(Path(first).read_text() + Path(second).read_text())
    return str(bundle)


async def test_a_token_that_no_http_header_can_hold() -> None:
    """The error of the HTTP library may repeat what it could not send."""
    with database("accepted", "AUTH_BAD", token=f"{TOKEN}ж") as environ:
        seen = await reached(environ)

    assert seen.verdict == "AUTH_BAD"
    assert "REST silent (UnicodeEncodeError)" in seen["upstash"].finding.evidence
